"""How records lie in a TFRecord file, read and made without TensorFlow.

    length (uint64) | masked CRC-32C of length (uint32) | record (length bytes) | masked CRC-32C of record (uint32)

All numbers are little-endian. The CRCs are TensorFlow's: rotated and shifted by a constant.
"""

import contextlib
import os
import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import google_crc32c

from tfrecords_tools.errors import RecordError

_LENGTH = struct.Struct("<Q")
_CRC = struct.Struct("<I")
_HEADER_BYTES = _LENGTH.size + _CRC.size
# google_crc32c releases the lock of the interpreter for blocks of 1 MiB and more.
_BLOCK_BYTES = 1 << 22
_LENGTH_WRONG = "length checksum is wrong"
_DATA_WRONG = "data checksum is wrong"
_CUT = "the file ends in the middle of it"


@dataclass(frozen=True)
class Frame:
    """Where a record lies in its file.

    Attributes:
        number: position of the record in its file, from 0.
        start: offset of its first byte in the file.
        num_bytes: size of the record alone.
    """

    number: int
    start: int
    num_bytes: int


def framed_size(num_bytes: int) -> int:
    """Returns how many bytes of a file a record takes."""
    return _HEADER_BYTES + num_bytes + _CRC.size


def frame(record: bytes) -> tuple[bytes, bytes, bytes]:
    """Returns what a file holds of a record: header, the record itself, footer."""
    length = _LENGTH.pack(len(record))
    return length + _masked(google_crc32c.value(length)), record, _masked(google_crc32c.value(record))


def frames(file: BinaryIO) -> Iterator[Frame]:
    """Yields where the records of an open file lie; reads and checks their headers, skips the records themselves.

    A length is used only if its checksum is right and the file is long enough for it.

    Raises:
        RecordError: a length is damaged or the file is cut; the message names file, record and reason.
    """
    size = os.fstat(file.fileno()).st_size
    number = offset = 0
    while offset < size:
        header = _read(file, offset, _HEADER_BYTES)
        if len(header) < _HEADER_BYTES:
            raise unreadable(file.name, number, _CUT)
        length = header[: _LENGTH.size]
        if _masked(google_crc32c.value(length)) != header[_LENGTH.size :]:
            hint = "; gunzip it first, it is compressed" if header.startswith(b"\x1f\x8b") and not number else ""
            raise unreadable(file.name, number, _LENGTH_WRONG + hint)
        where = Frame(number, offset + _HEADER_BYTES, _LENGTH.unpack(length)[0])
        number, offset = number + 1, offset + framed_size(where.num_bytes)
        if offset > size:
            raise unreadable(file.name, where.number, _CUT)
        yield where


def read_frame(file: BinaryIO, where: Frame) -> bytes:
    """Returns a record of an open file.

    Raises:
        RecordError: its checksum is wrong, or the file has become shorter.
    """
    record = _read(file, where.start, where.num_bytes)
    _check(file, where, len(record), google_crc32c.value(record))
    return record


def check_frame(file: BinaryIO, where: Frame) -> None:
    """Reads a record in blocks and checks it as `read_frame` does, without holding the record.

    Raises:
        RecordError: its checksum is wrong, or the file has become shorter.
    """
    crc = num_bytes = 0
    while block := _read(file, where.start + num_bytes, min(_BLOCK_BYTES, where.num_bytes - num_bytes)):
        crc, num_bytes = google_crc32c.extend(crc, block), num_bytes + len(block)
    _check(file, where, num_bytes, crc)


@contextlib.contextmanager
def open_records(path: str | os.PathLike) -> Iterator[BinaryIO]:
    """Yields a file of records, open for reading.

    Raises:
        RecordError: there is no such file, it is not a regular file, or it cannot be read.
    """
    name = os.fspath(path)
    try:
        regular = stat.S_ISREG(os.stat(path).st_mode)
        file = open(path, "rb") if regular else None  # noqa: SIM115
    except FileNotFoundError:
        raise RecordError(f"{name}: expected whole records, found no such file") from None
    except OSError as error:
        raise RecordError(f"{name}: expected a readable file, found: {error.strerror}") from None
    if file is None:
        raise RecordError(f"{name}: expected a file of records, found a folder or device")
    with file:
        yield file


def unreadable(path: str | os.PathLike, number: int, reason: str) -> RecordError:
    """Returns the error of a record that cannot be read."""
    return RecordError(f"{os.fspath(path)}: expected whole records, record {number} cannot be read: {reason}")


def _read(file: BinaryIO, offset: int, num_bytes: int) -> bytes:
    """Returns the bytes from an offset on, fewer where the file ends."""
    try:
        file.seek(offset)
        return file.read(num_bytes)
    except OSError as error:
        raise RecordError(f"{file.name}: expected a readable file, found: {error.strerror}") from None


def _check(file: BinaryIO, where: Frame, num_bytes: int, crc: int) -> None:
    stored = _read(file, where.start + where.num_bytes, _CRC.size)
    if num_bytes < where.num_bytes or len(stored) < _CRC.size:
        raise unreadable(file.name, where.number, _CUT)
    if _masked(crc) != stored:
        raise unreadable(file.name, where.number, _DATA_WRONG)


def _masked(crc: int) -> bytes:
    return _CRC.pack((((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF)
