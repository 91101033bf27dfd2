"""Writing files of records, text and tables: whole or not at all."""

import contextlib
import csv
import hashlib
import io
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tfrecords_tools.files import written_whole
from tfrecords_tools.framing import frame
from tfrecords_tools.paths import as_path


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
    digest, num_bytes = hashlib.sha256(), 0
    with _named(path), written_whole(path) as partial, partial.open("wb") as file:
        for record in records:
            for part in frame(record):
                digest.update(part)
                file.write(part)
                num_bytes += len(part)
            del record, part  # before the next one is made: both may be large
    return WrittenFile(num_bytes, digest.hexdigest())


def write_text(path: str | os.PathLike, text: str) -> None:
    """Writes a text file in UTF-8, under a temporary name that is renamed at the end.

    Raises:
        OSError: the file cannot be written; what it was before stays.
    """
    with _named(path), written_whole(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_table(path: str | os.PathLike, columns: Sequence[str], rows: Iterable[Mapping]) -> None:
    """Writes rows as a CSV file, under a temporary name that is renamed at the end; what a row lacks is left empty.

    Raises:
        OSError: the file cannot be written; what it was before stays.
        ValueError: a row has a column that is not named.
    """
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns)
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


@contextlib.contextmanager
def _named(path: str | os.PathLike) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OSError(f"{os.fspath(path)}: cannot be written: {error.strerror or error}") from None


def sha256(path: str | os.PathLike) -> str:
    """Returns the SHA-256 of a file in hexadecimal."""
    digest = hashlib.sha256()
    with as_path(path).open("rb") as file:
        while block := file.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()
