"""DICOM series -> volumes, by pydicom, which the extra `dicom` brings."""

import functools
import struct
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kits_tf.base.errors import InputError
from kits_tf.base.packages import is_installed
from kits_tf.config import DicomSettings
from kits_tf.ct.gantry_tilt import set_upright
from kits_tf.ct.slice_places import (
    SliceStack,
    check_neighbors_alike,
    check_one_sweep,
    check_places,
    evenly_spaced,
    stack_slices,
    sweeps,
)
from kits_tf.ct.volume import Volume

if TYPE_CHECKING:
    from pydicom import Dataset

_PREAMBLE = 128
# A file holds a slice, of 0.5 MB as a rule; a zip file that claims more than a whole body is made to do harm.
_LARGEST_FILE, _LARGEST_ZIP = 256_000_000, 16_000_000_000
# What damage raises in files, zip files (encrypted ones, too) and the parser of DICOM.
_UNREADABLE = (
    *(OSError, ValueError, EOFError, LookupError, TypeError, AttributeError, struct.error, NotImplementedError),
    *(RuntimeError, zipfile.BadZipFile, zlib.error),
)
_SAME_DIRECTION = 1e-3


@dataclass(frozen=True)
class _File:
    """A file of a folder or a zip file.

    Attributes:
        name: name for messages.
        open: function that opens it for reading bytes.
    """

    name: str
    open: Callable[[], Any]


@dataclass(frozen=True, eq=False)
class Series:
    """CT slices that belong together.

    Attributes:
        uid: SeriesInstanceUID; may be empty.
        description: SeriesDescription; may be empty.
        files: files of the slices, in no order.
        headers: attributes of the slices, without pixels.
    """

    uid: str
    description: str
    files: tuple[_File, ...]
    headers: tuple["Dataset", ...]

    def __str__(self) -> str:
        return f"{self.uid or '(no UID)'} {self.description!r}, {len(self.files)} slices"


class SeveralSeriesError(InputError):
    """Files of several series, and none or several of them fit --series.

    Attributes:
        series: all CT series of the files, ordered by UID.
    """

    def __init__(self, message: str, series: Sequence[Series]) -> None:
        super().__init__(message)
        self.series = tuple(series)


@dataclass(frozen=True, eq=False)
class SeriesScan:
    """A series as a volume.

    Attributes:
        volume: (z, y, x) int16 HU; as stored: slices, rows, columns.
        headers: attributes of the slices, in the order of their places.
        corners: (slices, 3) int64, plane, row and column of each slice's first pixel in the volume as stored.
    """

    volume: Volume
    headers: tuple["Dataset", ...]
    corners: NDArray[np.int64]

    def on_slices(self, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Returns labels, (i, j, k) as stored in the volume, at the pixels of the slices, (slices, rows, columns)."""
        rows, columns = self.headers[0].Rows, self.headers[0].Columns
        return np.stack([labels[k, i : i + rows, j : j + columns] for k, i, j in self.corners])


def find_series(path: Path, settings: DicomSettings) -> Series:
    """Returns the one CT series of a folder, with all folders in it, or of a zip file; --series chooses among several.

    Raises:
        InputError: pydicom is missing, or there is no CT series.
        SeveralSeriesError: none or several fit; the message lists all.
    """
    if not is_installed("pydicom"):
        raise InputError(f"{path}: DICOM needs pydicom: pip install 'kits_tf[dicom]'")
    slices_by_uid: dict[str, list[tuple[_File, Dataset]]] = {}
    other_modalities = set()
    for file in _files(path):
        header = _header(file)
        if header is None or "Rows" not in header or "LOCALIZER" in header.get("ImageType", []):
            continue
        if header.get("Modality") != "CT":
            other_modalities.add(str(header.get("Modality")))
            continue
        slices_by_uid.setdefault(str(header.get("SeriesInstanceUID", "")), []).append((file, header))
    series = [
        Series(
            uid=uid,
            description=str(slices[0][1].get("SeriesDescription", "")),
            files=tuple(file for file, _ in slices),
            headers=tuple(header for _, header in slices),
        )
        for uid, slices in sorted(slices_by_uid.items())
    ]
    if not series:
        instead = f"found {', '.join(sorted(other_modalities))}" if other_modalities else "found none"
        raise InputError(f"{path}: expected a CT series in DICOM files, {instead}")
    return _chosen(series, settings.series, path)


def _chosen(series: list[Series], text: str, path: Path) -> Series:
    """Returns the series of a UID, or else the only one in whose UID or description a text occurs."""
    fitting = [each for each in series if text in each.uid or text in each.description]
    # A UID may be the beginning of another one.
    fitting = [each for each in fitting if each.uid == text] or fitting
    if len(fitting) != 1:
        condition = f" that fit --series={text}" if text else " (--series chooses)"
        count = f"expected one series, found {len(fitting)}{condition}, of {'; '.join(map(str, series))}"
        raise SeveralSeriesError(f"{path}: {count}", series)
    return fitting[0]


def read_series(series: Series, settings: DicomSettings, source: str) -> SeriesScan:
    """Returns a series as a volume: in order of place, slope and intercept applied.

    Args:
        series: series to read.
        settings: settings for slices that are not evenly spaced, or of a tilted gantry.
        source: path for errors.

    Raises:
        InputError: slices differ in size or direction, lie at the same place, unevenly or tilted, or cannot be decoded.
    """
    _check_headers(series.headers, source)
    stack, accept = _stack(series), settings.irregular_slices == "accept"
    files, headers = ([values[i] for i in stack.order] for values in (series.files, series.headers))
    check_places(stack, source, accept=accept)
    _check_one_scan(stack, headers, source)
    slices = np.stack([_decoded(file) for file in files])
    check_neighbors_alike(slices, source)
    array, planes = evenly_spaced(slices, stack.places_mm)
    if len(files) > 1:
        step_mm = (stack.positions_mm[-1] - stack.positions_mm[0]) / (len(array) - 1)
    else:
        step_mm = stack.normal * float(headers[0].get("SliceThickness") or 1)
    origin_mm, corners_rc = stack.positions_mm[0], np.zeros((len(planes), 2), np.int64)
    if stack.tilt_degrees:
        upright = set_upright(array, np.linalg.lstsq(stack.in_plane_mm.T, step_mm, rcond=None)[0])
        array, corners_rc = upright.array, upright.corners_rc[planes]
        origin_mm = origin_mm + upright.offset_rc @ stack.in_plane_mm
        step_mm = (step_mm @ stack.normal) * stack.normal
    # DICOM's world is left, posterior, superior.
    axes = np.array([step_mm, *stack.in_plane_mm, origin_mm]).T * [[-1], [-1], [1]]
    volume = Volume.from_stored(array, np.vstack([axes, [0, 0, 0, 1]]))
    return SeriesScan(volume, tuple(headers), np.column_stack([planes, corners_rc]))


def _check_headers(headers: Sequence["Dataset"], source: str) -> None:
    """Raises InputError unless each file is one slice, and all have the same size, direction and spacing."""
    if any(int(header.get("NumberOfFrames") or 1) > 1 for header in headers):
        raise InputError(f"{source}: expected one slice a file, found several (enhanced CT); dcm2niix makes a NIfTI")
    for name in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
        if any(name not in header for header in headers):
            raise InputError(f"{source}: expected {name} in every slice, found slices without")
    for name in ("ImageOrientationPatient", "PixelSpacing", "Rows", "Columns"):
        values = np.array([np.ravel(header[name].value).astype(float) for header in headers])
        if np.abs(values - values[0]).max() > _SAME_DIRECTION:
            raise InputError(f"{source}: expected the same {name} in every slice, found different ones")


def _stack(series: Series) -> SliceStack:
    first = series.headers[0]
    positions_mm = np.array([header.ImagePositionPatient for header in series.headers], float)
    names = [file.name for file in series.files]
    return stack_slices(names, positions_mm, np.array(first.ImageOrientationPatient), np.array(first.PixelSpacing))


def _check_one_scan(stack: SliceStack, headers: Sequence["Dataset"], source: str) -> None:
    """Raises InputError if the attributes of slices, in the order of their places, are those of several scans."""
    if len({str(header.get("FrameOfReferenceUID", "")) for header in headers}) > 1:
        raise InputError(
            f"{source}: expected one FrameOfReferenceUID, found several: the patient was moved between slices"
        )
    for name in ("AcquisitionNumber", "TemporalPositionIdentifier"):
        values = [str(header.get(name, "") or "") or None for header in headers]
        check_one_sweep(stack, values, name, source)
    for name in ("AcquisitionTime", "InstanceNumber"):
        numbers = sweeps(stack, [_number(header.get(name)) for header in headers])
        check_one_sweep(stack, numbers, f"passages in the order of {name}", source)


def _number(value: object) -> float | None:
    try:
        return float(str(value))
    except ValueError:
        return None


def _files(path: Path) -> list[_File]:
    if path.is_dir():
        return [_File(str(p), functools.partial(p.open, "rb")) for p in sorted(path.rglob("*")) if p.is_file()]
    try:
        archive = zipfile.ZipFile(path)
        members = sorted((info for info in archive.infolist() if not info.is_dir()), key=lambda info: info.filename)
    except _UNREADABLE as error:
        raise InputError(f"{path}: expected a zip file of DICOM slices: {error}") from None
    # zipfile reads no more of a member than it claims to have.
    for size, limit, what in (
        (max((info.file_size for info in members), default=0), _LARGEST_FILE, "a file"),
        (sum(info.file_size for info in members), _LARGEST_ZIP, "all files together"),
    ):
        if size > limit:
            raise InputError(f"{path}: expected {limit / 1e9:g} GB at most of {what} in a zip, got {size / 1e9:.3g}")
    return [_File(f"{path}/{_printable(info.filename)}", functools.partial(archive.open, info)) for info in members]


def _printable(name: str) -> str:
    """Returns a name from within a file for a line of text."""
    return name if name.isprintable() else ascii(name)


def _header(file: _File) -> "Dataset | None":
    """Returns the attributes of a DICOM file without its pixels; None for a file of another kind."""
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError

    try:
        with file.open() as stream:
            if stream.read(_PREAMBLE + 4)[_PREAMBLE:] != b"DICM":
                return None
        with file.open() as stream:
            return dcmread(stream, stop_before_pixels=True)
    except (InvalidDicomError, *_UNREADABLE) as error:
        raise InputError(f"{file.name}: expected a whole DICOM file: {error}") from None


def _decoded(file: _File) -> NDArray[np.int16]:
    """Returns the HU of a slice, (rows, columns)."""
    from pydicom import dcmread

    try:
        with file.open() as stream:
            data = dcmread(stream)
            stored = data.pixel_array
    except Exception as error:  # decoders raise what they like
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{file.name}: expected pixels that can be decoded: {reason}") from None
    if stored.ndim != 2:
        raise InputError(f"{file.name}: expected gray values (rows, columns), found {stored.shape}")
    hu = stored.astype(np.float32) * float(data.get("RescaleSlope") or 1) + float(data.get("RescaleIntercept") or 0)
    return np.clip(np.rint(hu), -32768, 32767).astype(np.int16)
