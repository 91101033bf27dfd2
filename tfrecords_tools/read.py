"""Reading files of records, and finding out which one is damaged."""

import itertools
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from tfrecords_tools.errors import RecordError
from tfrecords_tools.framing import Frame, check_frame, frames, open_records, read_frame


def read_records(path: str | os.PathLike) -> Iterator[bytes]:
    """Yields the records of a file, checked.

    Raises:
        RecordError: the file is missing, cut short or has a flipped byte; the message names the file and the record.
    """
    with open_records(path) as file:
        for where in frames(file):
            yield read_frame(file, where)


def list_frames(path: str | os.PathLike) -> list[Frame]:
    """Returns where the records of a file lie; fast, since only their lengths are read and checked.

    Raises:
        RecordError: the file is missing or cut short, or a length is damaged.
    """
    with open_records(path) as file:
        return list(frames(file))


def read_at(places: Iterable[tuple[Path, Frame]]) -> Iterator[bytes]:
    """Yields the records of given files and places, checked; a file stays open while the next place is in it.

    Raises:
        RecordError: a file is missing, cut short or has a flipped byte; the message names the file and the record.
    """
    for path, group in itertools.groupby(places, key=lambda place: place[0]):
        with open_records(path) as file:
            for _, where in group:
                yield read_frame(file, where)


def find_damage(path: str | os.PathLike) -> Iterator[RecordError | int]:
    """Reads every record of a file; yields the size in bytes of each whole one and the error of each damaged one.

    After a wrong length no further record can be located; after a wrong checksum of data the next one can.
    """
    try:
        with open_records(path) as file:
            for where in frames(file):
                try:
                    check_frame(file, where)
                    yield where.num_bytes
                except RecordError as error:
                    yield error
    except RecordError as error:
        yield error


def check_files(paths: Iterable[str | os.PathLike]) -> None:
    """Reads every record of every file.

    Raises:
        RecordError: a file is missing, cut short or has a flipped byte; the message names the file and the record.
    """
    for path in paths:
        for size_or_error in find_damage(path):
            if isinstance(size_or_error, RecordError):
                raise size_or_error
