"""Files of a folder or a zip file, each accounted for: an image, passed over for a reason, or damaged.

What a file is, its content decides. Its name counts only where the content is no DICOM: a page of a web server that was
saved in place of IM0003 is a lost slice, a README is none.
"""

import functools
import re
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal

from kits_tf.base.errors import InputError

if TYPE_CHECKING:
    from pydicom import Dataset

_PREAMBLE = 128
_ZIP = b"PK\x03\x04"
# A file holds a slice, of 0.5 MB as a rule; a zip file that claims more than a whole body is made to do harm.
_LARGEST_FILE, _LARGEST_ZIP = 256_000_000, 16_000_000_000
# What damage raises in files, zip files (encrypted ones, too) and the parser of DICOM.
UNREADABLE = (
    *(OSError, ValueError, EOFError, LookupError, TypeError, AttributeError, struct.error, NotImplementedError),
    *(RuntimeError, zipfile.BadZipFile, zlib.error),
)
# Data elements that a file without a preamble begins with: groups 2 and 8, little endian.
_FIRST_GROUPS = (b"\x02\x00", b"\x08\x00")
_LONGEST_FIRST_VALUE = 1024
_SLICE_SUFFIXES = (".dcm", ".dicom", ".ima")
_SYSTEM_FILES = ("thumbs.db", "desktop.ini", "dicomdir")
# Tags of pixels as stored, whole numbers or floats: group and element.
_PIXEL_TAGS = ((0x7FE0, 0x0008), (0x7FE0, 0x0009), (0x7FE0, 0x0010))
_UNDEFINED_LENGTH = 0xFFFFFFFF


@dataclass(frozen=True)
class DicomFile:
    """A file of a folder or a zip file.

    Attributes:
        name: name for messages.
        open: function that opens it for reading bytes.
        size: number of bytes.
    """

    name: str
    open: Callable[[], Any]
    size: int

    @property
    def folder(self) -> str:
        """Name of the folder that holds it."""
        return str(PurePosixPath(self.name.replace("\\", "/")).parent)

    @property
    def pattern(self) -> str:
        """Own name, its numbers left out."""
        return re.sub(r"\d+", "", PurePosixPath(self.name.replace("\\", "/")).name)


@dataclass(frozen=True, eq=False, kw_only=True)
class ExaminedFile:
    """What a file is.

    Attributes:
        file: file itself.
        header: attributes without pixels; None of what is no DICOM.
        damage: what is wrong with it; empty if nothing is.
        is_image: whether it holds pixels.
    """

    file: DicomFile
    header: "Dataset | None" = None
    damage: str = ""
    is_image: bool = False


def files_of(path: Path) -> list[DicomFile]:
    """Returns the files of a folder, with all folders in it, or of a zip file.

    Raises:
        InputError: the zip file is damaged, or claims to hold more than a body.
    """
    if path.is_dir():
        paths = sorted(p for p in path.rglob("*") if p.is_file())
        return [DicomFile(str(p), functools.partial(p.open, "rb"), p.stat().st_size) for p in paths]
    try:
        archive = zipfile.ZipFile(path)
        members = sorted((info for info in archive.infolist() if not info.is_dir()), key=lambda info: info.filename)
    except UNREADABLE as error:
        raise InputError(f"{path}: expected a zip file of DICOM slices, {_what_is_wrong(path, error)}") from None
    # zipfile reads no more of a member than it claims to have.
    for size, limit, what in (
        (max((info.file_size for info in members), default=0), _LARGEST_FILE, "a file"),
        (sum(info.file_size for info in members), _LARGEST_ZIP, "all files together"),
    ):
        if size > limit:
            raise InputError(f"{path}: expected {limit / 1e9:g} GB at most of {what} in a zip, got {size / 1e9:.3g}")
    return [
        DicomFile(f"{path}/{_printable(info.filename)}", functools.partial(archive.open, info), info.file_size)
        for info in members
    ]


def _what_is_wrong(path: Path, error: Exception) -> str:
    """Returns in plain words why a zip file cannot be read."""
    with path.open("rb") as file:
        start = file.read(len(_ZIP))
    if start == _ZIP and isinstance(error, zipfile.BadZipFile):  # its list of files is at its end
        return "it ends too early: copy it again"
    return f"it cannot be read: {error}" if start else "found an empty file"


def is_system_file(file: DicomFile) -> bool:
    """Returns whether a file is one that systems leave: hidden, a directory of a disc, thumbnails."""
    name = PurePosixPath(file.name).name.lower()
    return name.startswith(".") or name in _SYSTEM_FILES or "__MACOSX" in file.name


def is_named_as_slice(file: DicomFile, patterns: set[str]) -> bool:
    """Returns whether a file has the name of a slice.

    Args:
        file: file that is no DICOM.
        patterns: patterns of the names of the slices beside it.
    """
    return file.name.lower().endswith(_SLICE_SUFFIXES) or file.pattern in patterns


def examine(file: DicomFile) -> ExaminedFile:
    """Returns what a file is."""
    from pydicom import dcmread

    if not file.size:
        return ExaminedFile(file=file, damage="empty")
    try:
        with file.open() as stream:
            start = stream.read(_PREAMBLE + 4)
        has_preamble = start[_PREAMBLE:] == b"DICM"
        if not has_preamble and not _begins_with_an_element(start):
            return ExaminedFile(file=file, damage="" if start.strip(b"\0") else "zeros")
        with file.open() as stream, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about values, which are checked where they are used
            header = dcmread(stream, stop_before_pixels=True, force=True)
            damage = _damage(file, header, stream)
    except UNREADABLE as error:
        return ExaminedFile(file=file, damage=f"damaged: {' '.join(str(error).split())[:200]}")
    if not has_preamble and not (header.get("Rows") or text_of(header, "SOPClassUID")):
        return ExaminedFile(file=file)
    return ExaminedFile(file=file, header=header, damage=damage, is_image=bool(damage) or "Rows" in header)


def text_of(header: "Dataset | None", name: str) -> str:
    """Returns an attribute as text; empty if it is missing or cannot be read."""
    from pydicom.config import disable_value_validation

    try:
        with disable_value_validation(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value = None if header is None else header.get(name)
    except UNREADABLE:
        return ""
    return "" if value is None else str(value).strip()


def _begins_with_an_element(start: bytes) -> bool:
    """Returns whether bytes begin as DICOM without a preamble, in explicit or implicit VR."""
    if start[:2] not in _FIRST_GROUPS or len(start) < 12:
        return False
    return (start[4:6].isalpha() and start[4:6].isupper()) or int.from_bytes(
        start[4:8], "little"
    ) < _LONGEST_FIRST_VALUE


def _damage(file: DicomFile, header: "Dataset", stream: Any) -> str:
    """Returns what is wrong with a file that was read up to its pixels; empty if nothing is.

    Args:
        file: file that was read.
        header: its attributes.
        stream: the open file, where the reader stopped.
    """
    from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

    meta = getattr(header, "file_meta", None) or {}
    kind = text_of(header, "SOPClassUID") or str(meta.get("MediaStorageSOPClassUID", ""))
    syntax = str(meta.get("TransferSyntaxUID", ""))
    if syntax == DeflatedExplicitVRLittleEndian:
        return ""  # the reader's place in what it inflated is not known; cut pixels fail when they are decoded
    order: Literal["big", "little"] = "big" if syntax and not UID(syntax).is_little_endian else "little"
    element = stream.read(12)
    tag = (int.from_bytes(element[:2], order), int.from_bytes(element[2:4], order))
    if tag not in _PIXEL_TAGS:
        has_pixels = not kind or UID(kind).name.endswith("Image Storage") or "Rows" in header
        return "cut, or without pixels" if has_pixels else ""
    has_long_length = element[4:6].isalpha() and element[4:6].isupper()
    size = int.from_bytes(element[8:12] if has_long_length else element[4:8], order)
    here = stream.seek(0, 1) - (0 if has_long_length else 4)
    missing = here + size - file.size
    return f"cut: {missing} bytes of its pixels are missing" if size != _UNDEFINED_LENGTH and missing > 0 else ""


def _printable(name: str) -> str:
    """Returns a name from within a file for a line of text."""
    return name if name.isprintable() else ascii(name)
