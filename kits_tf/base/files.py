"""Files that are written whole or not at all: text, tables, and whatever a library writes."""

import csv
import hashlib
import io
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence

from kits_tf.base.errors import InputError
from kits_tf.base.paths import GFilePath, as_path
from kits_tf.base.version import __version__
from tfrecords_tools import text as text_files
from tfrecords_tools.errors import RecordError
from tfrecords_tools.files import name_in_errors, remove_partial, written_whole

__all__ = [
    "MADE_BY",
    "name_in_errors",
    "read_table",
    "read_text",
    "remove_partial",
    "require_own",
    "require_writable",
    "require_writable_file",
    "sha256",
    "write_table",
    "write_text",
    "written_whole",
]

# What stands within the first bytes of a picture or page of kits_tf, by which it is known again.
_MARK, _MARK_BYTES = b"Made by kits_tf", 4096
MADE_BY = f"{_MARK.decode()} {__version__}"
_BLOCK_BYTES = 1 << 22
# Excel writes semicolons where the comma is in numbers.
_DELIMITERS = ",;\t"


def read_text(path: str | os.PathLike) -> str:
    """Returns the text of a file in UTF-8, or in UTF-16 or UTF-32 by its mark; line ends stay as they are.

    Raises:
        OSError: the file cannot be read.
        InputError: it is in another encoding, or no text.
    """
    try:
        return text_files.read_text(path)
    except RecordError as error:
        raise InputError(str(error)) from None


def read_table(path: str | os.PathLike, columns: Sequence[str]) -> dict[int, dict[str, str]]:
    """Returns the rows of a CSV file by line number; commas, semicolons or tabs lie between its cells.

    Spaces around names and cells are left out, as are rows without any text.

    Args:
        path: file to read.
        columns: names of the columns that it must have.

    Raises:
        OSError: the file cannot be read.
        InputError: it is no text, a column is missing or there twice, or a row has another number of cells.
    """
    text = read_text(path)
    first = text.lstrip().splitlines()[:1]
    has_all = (
        mark for mark in _DELIMITERS if set(columns) <= {name.strip(' "') for name in "".join(first).split(mark)}
    )
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=next(has_all, ","), strict=True)
    lines: dict[int, list[str]] = {}
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                lines[reader.line_num] = [cell.strip() for cell in cells]
    except csv.Error as error:
        raise InputError(f"{path}: expected a table in CSV, line {reader.line_num} cannot be read: {error}") from None
    names = lines.pop(next(iter(lines))) if lines else []
    if not set(columns) <= set(names):
        present = ", ".join(names)
        raise InputError(f"{path}: expected columns {' and '.join(columns)}, found {present:.200}")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(f"{path}: expected every column once, found {', '.join(map(repr, twice))} again")
    for line, cells in lines.items():
        if len(cells) != len(names):
            raise InputError(f"{path}: expected {len(names)} cells in line {line}, found {len(cells)}")
    return {line: dict(zip(names, cells, strict=True)) for line, cells in lines.items()}


def require_absent(paths: Iterable[str | os.PathLike]) -> None:
    """Raises InputError if one of the files is there, which --overwrite would replace."""
    for path in paths:
        if os.path.lexists(path):
            raise InputError(f"{path}: exists already and is kept; --overwrite replaces it")


def require_own(paths: Iterable[str | os.PathLike], mark: bytes = _MARK) -> None:
    """Checks before long work that files can be written, and replace nothing but earlier results of kits_tf.

    Args:
        paths: files to write; their folders need not exist yet.
        mark: bytes near the beginning of every such file of kits_tf; pictures and pages have MADE_BY.

    Raises:
        InputError: one of the paths is another file or a folder, or nothing can be written there.
    """
    for path in paths:
        require_writable_file(path)
        if not os.path.lexists(path):
            continue
        with name_in_errors(path), as_path(path).open("rb") as file:
            is_own = mark in file.read(_MARK_BYTES)
        if not is_own:
            raise InputError(
                f"{path}: expected no file or one that kits_tf made, found another; it is kept as it is: choose "
                "another place for the results, or move it away"
            )


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
        raise InputError(f"{folder}: expected a folder to write to, {existing} is a file")
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
