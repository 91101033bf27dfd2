"""Prints what is in files of tf.train.Example, readably."""

import os
from collections.abc import Sequence

from tfrecords_tools import commands
from tfrecords_tools.describe import describe_features
from tfrecords_tools.errors import RecordError
from tfrecords_tools.framing import frames, open_records, read_frame
from tfrecords_tools.progress import count_text, size_text
from tfrecords_tools.silent_import import silent_import

_EXAMPLES = 3


def main(arguments: Sequence[str]) -> int:
    """Returns the exit status of the command line."""
    parser = commands.Parser(
        "show",
        "Prints what is in TFRecord files of tf.train.Example: for each feature of an example its kind, shape\n"
        "and values, or their range. A tensor stored as NAME, NAME/shape and NAME/dtype is one line.",
        "records/case_00000.tfrecord --limit=1",
    )
    parser.add_argument("files", metavar="FILE", nargs="+", help="a TFRecord file, not compressed")
    parser.add_argument(
        "--limit",
        metavar="N",
        type=commands.whole_number(0),
        default=_EXAMPLES,
        help="examples to show of each file; the others are counted (default %(default)s)",
    )
    args = parser.parse_args(arguments)
    with silent_import():
        from tfrecords_tools import example  # noqa: F401
    status = 0
    for path in args.files:
        try:
            others = show_file(path, args.limit)
            status = 1 if others else status
        except RecordError as error:
            print(end="", flush=True)
            commands.say_error(str(error))
            status = 1
    return status


def show_file(path: str | os.PathLike, limit: int) -> int:
    """Prints what is in the first `limit` examples of a file; returns how many of them are not a tf.train.Example.

    Raises:
        RecordError: the file is missing or damaged; the message names the record.
    """
    count = others = 0
    with open_records(path) as file:
        print(f"{os.fspath(path)}: {size_text(os.fstat(file.fileno()).st_size)}")
        for where in frames(file):
            count += 1
            if count <= limit:
                others += not show_record(where.number, read_frame(file, where))
    if count == 0:
        print("no examples")
    elif count > limit:
        print(f"{count_text(count - limit, 'more example')} (--limit={count} shows all)")
    return others


def show_record(number: int, record: bytes) -> bool:
    """Prints what is in a record; returns whether it is a tf.train.Example."""
    from tfrecords_tools.example import parse_example

    size = count_text(len(record), "byte")
    try:
        lines = describe_features(parse_example(record).features.feature)
    except RecordError as error:
        print(f"record {number}, {size}: {error}")
        return False
    print(f"example {number}, {size}")
    for line in lines or ["no features"]:
        print(f"  {line}")
    return True


if __name__ == "__main__":
    commands.run(main)
