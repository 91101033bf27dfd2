"""Paths of this machine's files, and of remote ones through tf.io.gfile, with the same methods.

etils.epath has such paths too, but knows only gs://, s3://, az:// and hf:// (any other scheme, as that of a file system
which TensorFlow loads as a plugin, is a KeyError), and lets TensorFlow's own errors through where callers of pathlib
expect an OSError.
"""

import contextlib
import errno
import fnmatch
import io
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from tfrecords_tools.errors import RecordError
from tfrecords_tools.silent_import import silent_import

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
# A record may be as large as memory allows: what TensorFlow takes at once is copied.
_BLOCK_BYTES = 1 << 24


def is_remote(path: str | os.PathLike) -> bool:
    """Returns whether a path starts as "gs://" does."""
    return _SCHEME.match(os.fspath(path)) is not None


def as_path(path: str | os.PathLike) -> "AnyPath":
    """Returns a Path, or for "gs://bucket/x" and its like a GFilePath; "file:///x" is the Path "/x".

    Raises:
        RecordError: TensorFlow knows no such file system, or no bucket follows "://".
    """
    text = os.fspath(path)
    match = _SCHEME.match(text)
    if match is None:
        return Path(path)
    scheme, rest = match[1], text[match.end() :]
    if scheme == "file":
        return Path(rest)
    schemes = sorted(name for name in _tensorflow().io.gfile.get_registered_schemes() if name)
    if scheme not in schemes:
        known = ", ".join(schemes)
        raise RecordError(f"{text}: expected a file system that TensorFlow knows ({known}), found {scheme}")
    if not rest.strip("/") or rest.startswith("/"):
        raise RecordError(f"{text}: expected {scheme}://NAME/..., found no name after ://")
    return GFilePath(text)


def joined(folder: "AnyPath", text: str) -> "AnyPath":
    """Returns what a text in a file of `folder` names: a path relative to it, an absolute one, or a remote one."""
    return as_path(text) if is_remote(text) or text.startswith("/") else folder / text


class GFilePath(PurePosixPath):
    """A remote path: the methods of pathlib.Path that data and records need, through tf.io.gfile.

    A method raises FileNotFoundError or another OSError where TensorFlow has an error of its own.
    """

    __slots__ = ()

    def __str__(self) -> str:
        return super().__str__().replace(":/", "://", 1)

    def __fspath__(self) -> str:
        return str(self)

    def exists(self) -> bool:
        with _as_os_error(self):
            return _gfile().exists(str(self))

    def is_dir(self) -> bool:
        with _as_os_error(self):
            return _gfile().isdir(str(self))

    def is_file(self) -> bool:
        return self.exists() and not self.is_dir()

    def iterdir(self) -> Iterator["GFilePath"]:
        with _as_os_error(self):
            names = _gfile().listdir(str(self))
        return (self / name.rstrip("/") for name in names)

    def glob(self, pattern: str) -> Iterator["GFilePath"]:
        """Yields the paths in this folder, not in those below, whose name fits; none where there is no folder."""
        paths = self.iterdir() if self.is_dir() else iter(())
        return (path for path in paths if fnmatch.fnmatchcase(path.name, pattern))

    def open(self, mode: str = "rb") -> Any:
        if mode == "rb":
            return io.BufferedReader(_RawFile(self, mode), 1 << 20)
        if mode == "wb":
            return io.BufferedWriter(_RawFile(self, mode), 1 << 20)
        raise ValueError(f"{self}: expected mode rb or wb, got {mode}")

    def read_bytes(self) -> bytes:
        with self.open("rb") as file:
            return file.read()

    def write_bytes(self, content: bytes) -> None:
        with self.open("wb") as file:
            file.write(content)

    def read_text(self, encoding: str = "utf-8") -> str:
        return self.read_bytes().decode(encoding)

    def write_text(self, text: str, encoding: str = "utf-8") -> None:
        self.write_bytes(text.encode(encoding))

    def unlink(self, missing_ok: bool = False) -> None:
        try:
            with _as_os_error(self):
                _gfile().remove(str(self))
        except FileNotFoundError:
            if not missing_ok:
                raise

    def rmdir(self) -> None:
        with _as_os_error(self):
            _gfile().rmtree(str(self))

    def mkdir(self, parents: bool = False, exist_ok: bool = False) -> None:
        """Makes the folder and those above it; no error if it exists, since object stores have no folders."""
        with _as_os_error(self):
            _gfile().makedirs(str(self))

    def stat(self) -> "FileStatus":
        with _as_os_error(self):
            return FileStatus(_gfile().stat(str(self)).length)

    def replace(self, target: str | os.PathLike) -> None:
        with _as_os_error(self):
            _gfile().rename(str(self), os.fspath(target), overwrite=True)

    def resolve(self) -> "GFilePath":
        return self


AnyPath = Path | GFilePath


@dataclass(frozen=True)
class FileStatus:
    """What is known of a remote file: its size in bytes, named as in os.stat_result."""

    st_size: int


class _RawFile(io.RawIOBase):
    """A remote file as Python's buffered readers and writers take it."""

    def __init__(self, path: GFilePath, mode: str) -> None:
        super().__init__()
        self.name = str(path)
        self.mode = mode
        self._path = path
        self._position = 0
        with _as_os_error(path):
            self._file = _gfile().GFile(str(path), mode)
            # Opening alone neither looks for a file nor makes one.
            self._file.size() if mode == "rb" else self._file.write(b"")

    def readable(self) -> bool:
        return self.mode == "rb"

    def writable(self) -> bool:
        return self.mode == "wb"

    def seekable(self) -> bool:
        return self.mode == "rb"

    def readinto(self, buffer: Any) -> int:
        with _as_os_error(self._path):
            block = self._file.read(min(len(buffer), _BLOCK_BYTES))
        buffer[: len(block)] = block
        self._position += len(block)
        return len(block)

    def write(self, block: Any) -> int:
        part = bytes(memoryview(block)[:_BLOCK_BYTES])
        with _as_os_error(self._path):
            self._file.write(part)
        self._position += len(part)
        return len(part)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence == io.SEEK_CUR and offset == 0:
            return self._position  # also of a file that is written, which cannot be sought in
        with _as_os_error(self._path):
            start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._file.size()}[whence]
            self._file.seek(start + offset)
        self._position = start + offset
        return self._position

    def close(self) -> None:
        if not self.closed:
            super().close()
            with _as_os_error(self._path):
                self._file.close()


def _tensorflow() -> Any:
    if "tensorflow" in sys.modules:
        return sys.modules["tensorflow"]
    with silent_import():
        import tensorflow as tf

    return tf


def _gfile() -> Any:
    return _tensorflow().io.gfile


@contextlib.contextmanager
def _as_os_error(path: GFilePath) -> Iterator[None]:
    errors = _tensorflow().errors
    try:
        yield
    except errors.NotFoundError:
        raise FileNotFoundError(errno.ENOENT, "no such file or folder", str(path)) from None
    except errors.OpError as error:
        raise OSError(errno.EIO, " ".join(error.message.split()), str(path)) from None
