"""Checks that records are whole, at the speed of the disk, and says which are not."""

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tfrecords_tools import commands
from tfrecords_tools.damage import check_file, check_shard
from tfrecords_tools.errors import RecordError
from tfrecords_tools.index import MANIFEST_NAME, read_index, record_files
from tfrecords_tools.progress import ByteProgress, count_text


@dataclass(frozen=True)
class FileCheck:
    """A file to check.

    Attributes:
        path: path of the file.
        damage: function that returns what is wrong, line by line; its argument receives the numbers of bytes read.
    """

    path: Path
    damage: Callable[[Callable[[int], None]], list[str]]

    @property
    def num_bytes(self) -> int:
        """The size of the file; 0 if there is none."""
        return self.path.stat().st_size if self.path.is_file() else 0


def main(arguments: Sequence[str]) -> int:
    """Returns the exit status of the command line."""
    parser = commands.Parser(
        "verify",
        "Checks that records are whole and says which file and record is not.\n\n"
        "In a folder with a manifest.json each shard must be there with its size, SHA-256 and number of records,\n"
        "and no other file but texts. Elsewhere the checksums of each record of each such file are checked, and\n"
        "so are *.tfrecord files in the folders within.",
        "records",
    )
    parser.add_argument("paths", metavar="DIR|FILE", nargs="+", help="a folder of TFRecords, or a TFRecord file")
    parser.add_argument(
        "--workers",
        metavar="N",
        type=commands.whole_number(1),
        default=os.cpu_count() or 1,
        help="files to read at the same time (default: as many as there are cores, %(default)s here)",
    )
    args = parser.parse_args(arguments)
    checks = []
    for path in args.paths:
        try:
            checks += find_checks(Path(path))
        except RecordError as error:
            if len(args.paths) == 1:
                raise
            checks.append(FileCheck(Path(path), partial(_refused, str(error))))
    if damaged := verify(checks, args.workers):
        commands.say_error(f"{damaged} of {count_text(len(checks), 'file')} damaged, missing or unknown")
    return 1 if damaged else 0


def find_checks(path: Path) -> list[FileCheck]:
    """Returns what there is to check of a file or folder.

    Raises:
        RecordError: a folder has neither manifest nor TFRecords, or its manifest cannot be read.
    """
    if not path.is_dir():
        return [FileCheck(path, partial(check_file, path))]
    within = sorted({file.parent for file in path.rglob("*.tfrecord*")} - {path})
    checks = [check for folder in [path, *within] for check in _folder_checks(folder)]
    if not checks and not (path / MANIFEST_NAME).exists():
        raise RecordError(f"{path}: expected {MANIFEST_NAME} or files of records, found neither")
    return checks


def _folder_checks(path: Path) -> list[FileCheck]:
    others = record_files(path)
    if not (path / MANIFEST_NAME).exists():
        return [FileCheck(other, partial(check_file, other)) for other in others]
    shards = read_index(path).shards
    checks = [FileCheck(path / name, partial(check_shard, path / name, shard)) for name, shard in shards.items()]
    return checks + [FileCheck(other, partial(_unknown, other)) for other in others if other.name not in shards]


def verify(checks: Sequence[FileCheck], workers: int) -> int:
    """Prints what is wrong with the files, in their order, and the rate; returns how many are not as they should be."""
    stopped = threading.Event()
    with (
        ByteProgress("verifying", sum(check.num_bytes for check in checks)) as progress,
        ThreadPoolExecutor(workers) as pool,
    ):

        def on_bytes(num_bytes: int) -> None:
            if stopped.is_set():
                raise InterruptedError
            progress.add(num_bytes)

        results = [pool.submit(check.damage, on_bytes) for check in checks]
        damaged = 0
        try:
            for result in results:
                damaged += bool(result.result())
                for line in result.result():
                    progress.say(line)
        except BaseException:
            stopped.set()  # or Ctrl-C would wait for every file
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        progress.say(f"verified {count_text(len(checks), 'file')}, {progress.summary()}")
    return damaged


def _refused(message: str, _: Callable[[int], None]) -> list[str]:
    return [message]


def _unknown(path: Path, _: Callable[[int], None]) -> list[str]:
    return [f"{path}: expected only the manifest's shards, found another file"]


if __name__ == "__main__":
    commands.run(main)
