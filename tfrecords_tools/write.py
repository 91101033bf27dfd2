"""Writing files of records: whole or not at all."""

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass

from tfrecords_tools.files import name_in_errors, written_whole
from tfrecords_tools.framing import frame


@dataclass(frozen=True)
class WrittenFile:
    """Size in bytes and SHA-256, in hexadecimal, of a written file."""

    num_bytes: int
    sha256: str


def write_records(path: str | os.PathLike, records: Iterable[bytes]) -> WrittenFile:
    """Writes serialized records as one TFRecord file, under a temporary name that is renamed at the end.

    Raises:
        OSError: the file cannot be written (no such folder, read-only, disk full); nothing is left of it.
    """
    digest, num_bytes = hashlib.sha256(), 0
    with name_in_errors(path), written_whole(path) as partial, partial.open("wb") as file:
        for record in records:
            for part in frame(record):
                digest.update(part)
                file.write(part)
                num_bytes += len(part)
            del record, part  # before the next one is made: both may be large
    return WrittenFile(num_bytes, digest.hexdigest())
