"""Packs records into shards of another size, byte for byte."""

import argparse
import dataclasses
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from tfrecords_tools import commands
from tfrecords_tools.errors import RecordError
from tfrecords_tools.files import name_in_errors, remove_partial, written_whole
from tfrecords_tools.framing import framed_size
from tfrecords_tools.index import MANIFEST_NAME, Shard, read_index, record_files
from tfrecords_tools.packing import Places, ShardPlan, check_splits, find_examples, pack_splits
from tfrecords_tools.progress import ByteProgress, count_text
from tfrecords_tools.read import read_at
from tfrecords_tools.write import write_records


def main(arguments: Sequence[str]) -> int:
    """Returns the exit status of the command line."""
    parser = commands.Parser(
        "reshard",
        "Packs the examples of a folder with a manifest.json into shards of about N MB in another folder: those\n"
        "of each split by themselves, in the order of the split, every byte of an example as it was. The new\n"
        "manifest.json is the old one with other shards, and is written last. Run it again if it was stopped.",
        "records packed --shard_mb=200",
    )
    parser.add_argument("source", metavar="IN", type=Path, help="a folder of TFRecords with a manifest.json")
    parser.add_argument("target", metavar="OUT", type=Path, help="the folder to write; made if it is not there")
    parser.add_argument(
        "--shard_mb",
        metavar="N",
        type=_megabytes,
        required=True,
        help="largest size of a shard in MB (10^6 bytes); a larger example gets a shard of its own",
    )
    args = parser.parse_args(arguments)
    print(reshard(args.source, args.target, int(args.shard_mb * 1e6)))
    return 0


def reshard(source: Path, target: Path, max_bytes: int) -> str:
    """Packs the examples of one folder into shards of at most `max_bytes` in another; returns a line about it.

    Raises:
        RecordError: the source is damaged or its splits do not name every example once, or the target has records.
        OSError: the target cannot be written.
    """
    index = read_index(source)
    if (target / MANIFEST_NAME).exists():
        raise RecordError(f"{target}: expected a folder without {MANIFEST_NAME}, found one; choose a new folder")
    places = find_examples(source, index)
    check_splits(source, index, places)
    plans = pack_splits(index.splits, places, max_bytes)
    _make_target(target, {plan.name for plan in plans})
    with ByteProgress("writing", sum(framed_size(where.num_bytes) for _, where in places.values())) as progress:
        shards = {plan.name: _write(target, plan, places, progress) for plan in plans}
        content = index.content | {"shards": {name: dataclasses.asdict(shards[name]) for name in sorted(shards)}}
        with name_in_errors(target / MANIFEST_NAME), written_whole(target / MANIFEST_NAME) as partial:
            partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        return f"wrote {count_text(len(places), 'example')} in {count_text(len(shards), 'shard')}, {progress.summary()}"


def _make_target(target: Path, names: set[str]) -> None:
    """Makes the folder, which may hold what a stopped run of the same command left."""
    target.mkdir(parents=True, exist_ok=True)
    remove_partial(target)
    for path in record_files(target):
        if path.name not in names:
            raise RecordError(f"{path}: expected no other records in the folder to write; remove it or choose another")


def _write(target: Path, plan: ShardPlan, places: Places, progress: ByteProgress) -> Shard:
    def records() -> Iterator[bytes]:
        for record in read_at(places[name] for name in plan.examples):
            progress.add(framed_size(len(record)))
            yield record
            del record  # before the next one is read: both may be large

    written = write_records(target / plan.name, records())
    return Shard(written.num_bytes, written.sha256, plan.examples)


def _megabytes(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number above 0, found {text!r}")
    return value


if __name__ == "__main__":
    commands.run(main)
