"""The part of manifest.json that describes the shards beside it.

Two keys of it belong to tfrecords_tools, whatever else it holds:

    "shards": {"case_00000.tfrecord": {"num_bytes": 1024, "sha256": "9f86...", "examples": ["case_00000"]}, ...}
    "splits": {"train": ["case_00000", ...], "validation": [...], ...}

"examples" names the records of a shard in their order; "splits" (optional) says which of them belong together.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfrecords_tools.errors import RecordError
from tfrecords_tools.text import read_text

MANIFEST_NAME = "manifest.json"
_SHA256_DIGITS = 64
# What lies beside records and is none, whatever names those have.
_OTHER_SUFFIXES = {".csv", ".flags", ".html", ".json", ".log", ".md", ".txt", ".yaml", ".yml"}


@dataclass(frozen=True)
class Shard:
    """A file of records.

    Attributes:
        num_bytes: size of the file.
        sha256: SHA-256 of the file in hexadecimal.
        examples: names of its records, in order.
    """

    num_bytes: int
    sha256: str
    examples: tuple[str, ...]


@dataclass(frozen=True)
class Index:
    """A folder's manifest.

    Attributes:
        shards: the shards by file name.
        splits: names of the examples of each split, in order; empty where the manifest has none.
        content: whole content of the manifest, as JSON gives it.
    """

    shards: dict[str, Shard]
    splits: dict[str, list[str]]
    content: dict[str, Any]


def read_index(directory: str | os.PathLike) -> Index:
    """Returns the shards and splits in the manifest of a folder.

    Raises:
        RecordError: the manifest is missing, not JSON, or lacks a key or has one of another type; it is named.
    """
    path = Path(directory) / MANIFEST_NAME
    try:
        content = json.loads(read_text(path))
    except FileNotFoundError:
        raise RecordError(f"{path}: expected a manifest, found no such file") from None
    except OSError as error:
        raise RecordError(f"{path}: expected a readable file, found: {error.strerror}") from None
    except ValueError as error:
        raise RecordError(f"{path}: expected JSON, found: {error}") from None
    try:
        shards = {name: _shard(name, value) for name, value in _typed(content, "shards", dict).items()}
        splits = _typed({"splits": {}} | content, "splits", dict)
        return Index(shards, {name: _names(splits, name, "splits.") for name in splits}, content)
    except RecordError as error:
        raise RecordError(f"{path}: {error}") from None


def record_files(directory: str | os.PathLike) -> list[Path]:
    """Returns the files of a folder that may hold records, whatever their names: all but hidden ones and texts."""
    visible = Path(directory).glob("[!.]*")
    return sorted(path for path in visible if path.suffix.lower() not in _OTHER_SUFFIXES and not path.is_dir())


def _shard(name: str, value: Any) -> Shard:
    if Path(name).name != name:
        raise RecordError(f"expected shards in the same folder, found {name!r}")
    where = f"shards.{name}."
    num_bytes, digest = _typed(value, "num_bytes", int, where), _typed(value, "sha256", str, where)
    if len(digest) != _SHA256_DIGITS or set(digest) - set("0123456789abcdef"):
        raise RecordError(f"{where}sha256: expected {_SHA256_DIGITS} hexadecimal digits, found {digest!r}")
    return Shard(num_bytes, digest, tuple(_names(value, "examples", where)))


def _names(holder: Any, key: str, where: str) -> list[str]:
    names = _typed(holder, key, list, where)
    for name in names:
        if not isinstance(name, str):
            raise RecordError(f"{where}{key}: expected names of examples, found {name!r}")
    return names


def _typed(holder: Any, key: str, kind: type, where: str = "") -> Any:
    """Returns holder[key], checked to be of one kind."""
    words = {dict: "an object", list: "a list", str: "a text", int: "a whole number"}
    if not isinstance(holder, dict):
        raise RecordError(f"{where.rstrip('.') or 'content'}: expected an object, found {holder!r:.40}")
    if key not in holder:
        raise RecordError(f"{where}{key}: expected {words[kind]}, found nothing")
    if not isinstance(holder[key], kind) or isinstance(holder[key], bool):
        raise RecordError(f"{where}{key}: expected {words[kind]}, found {holder[key]!r:.40}")
    return holder[key]
