"""Writing files of records: whole or not at all."""

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass

import tensorflow as tf

from tfrecords_tools.files import written_whole


@dataclass(frozen=True)
class WrittenFile:
    """What identifies a written file."""

    num_bytes: int
    sha256: str


def write_records(path: str | os.PathLike, records: Iterable[bytes]) -> WrittenFile:
    """Writes serialized records as one TFRecord file, under a temporary name that is renamed at the end.

    Raises:
        OSError: the file cannot be written (no such folder, read-only, disk full); nothing is left of it.
    """
    try:
        with written_whole(path) as partial:
            with tf.io.TFRecordWriter(os.fspath(partial)) as writer:
                for record in records:
                    writer.write(record)
            return WrittenFile(partial.stat().st_size, sha256(partial))
    except tf.errors.OpError as error:
        raise OSError(f"{path}: cannot be written: {error.message}") from None


def sha256(path: str | os.PathLike) -> str:
    """Returns the SHA-256 of a file in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()
