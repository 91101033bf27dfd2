"""Files that are written whole or not at all: text, tables, and whatever a library writes."""

import csv
import hashlib
import io
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence

from kits_tf.base.errors import InputError
from kits_tf.base.paths import GFilePath, as_path
from tfrecords_tools.files import name_in_errors, remove_partial, written_whole

__all__ = [
    "remove_partial",
    "require_writable",
    "require_writable_file",
    "sha256",
    "write_table",
    "write_text",
    "written_whole",
]

_BLOCK_BYTES = 1 << 22


def write_text(path: str | os.PathLike, text: str) -> None:
    """Writes a text file in UTF-8, under a temporary name that is renamed at the end.

    Raises:
        OSError: the file cannot be written; what it was before stays.
    """
    with name_in_errors(path), written_whole(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_table(path: str | os.PathLike, columns: Sequence[str], rows: Iterable[Mapping]) -> None:
    """Writes rows as a CSV file, under a temporary name that is renamed at the end; missing values are left empty.

    Raises:
        OSError: the file cannot be written; what it was before stays.
        ValueError: a row has a column that is not in `columns`.
    """
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns)
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def sha256(path: str | os.PathLike) -> str:
    """Returns the SHA-256 of a file in hexadecimal."""
    digest = hashlib.sha256()
    with as_path(path).open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def require_writable(folder: str | os.PathLike) -> None:
    """Checks before long work that its results can be written; the folder itself need not exist yet.

    Permissions alone do not say: the nearest folder that exists is tried with a file, which is removed at once. A
    remote folder is not tried.

    Raises:
        InputError: nothing can be written there.
    """
    path = as_path(folder)
    if isinstance(path, GFilePath):
        return
    existing = path.absolute()
    while not existing.exists() and not existing.is_symlink():
        existing = existing.parent
    if not existing.is_dir():
        raise InputError(f"{folder}: expected a folder to write to, {existing} is none")
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise InputError(f"{folder}: expected a folder that can be written to: {error.strerror or error}") from None


def require_writable_file(path: str | os.PathLike) -> None:
    """Checks before long work that a file can be written; its folder need not exist yet.

    Raises:
        InputError: there is a folder of this name, or nothing can be written there.
    """
    if as_path(path).is_dir():
        raise InputError(f"{path}: expected a file to write, found a folder")
    require_writable(as_path(path).parent)
