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
# Positions are often rounded to a tenth of a millimeter.
_ROUNDING_MM = 0.11
# Share of the usual distance by which two slices may be nearer or farther.
_UNEVEN = 0.1
_SAME_DIRECTION = 1e-3
_TILT_DEGREES = 0.5


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
    stack = _stack(series)
    _check_places(stack, settings, source)
    array, planes = _evenly_spaced(np.stack([_decoded(file) for file in stack.files]), stack.places_mm)
    if len(stack.files) > 1:
        step_mm = (stack.positions_mm[-1] - stack.positions_mm[0]) / (len(array) - 1)
    else:
        step_mm = stack.normal * float(stack.headers[0].get("SliceThickness") or 1)
    origin_mm, corners_rc = stack.positions_mm[0], np.zeros((len(planes), 2), np.int64)
    if _tilt_degrees(step_mm, stack.normal) > _TILT_DEGREES:
        upright = set_upright(array, np.linalg.lstsq(stack.in_plane_mm.T, step_mm, rcond=None)[0])
        array, corners_rc = upright.array, upright.corners_rc[planes]
        origin_mm = origin_mm + upright.offset_rc @ stack.in_plane_mm
        step_mm = (step_mm @ stack.normal) * stack.normal
    # DICOM's world is left, posterior, superior.
    axes = np.array([step_mm, *stack.in_plane_mm, origin_mm]).T * [[-1], [-1], [1]]
    volume = Volume.from_stored(array, np.vstack([axes, [0, 0, 0, 1]]))
    return SeriesScan(volume, stack.headers, np.column_stack([planes, corners_rc]))


@dataclass(frozen=True, eq=False, kw_only=True)
class _Stack:
    """Slices in the order of their places.

    Attributes:
        files: files of the slices.
        headers: attributes of the slices.
        positions_mm: (slices, 3) center of each slice's first pixel in DICOM's world.
        places_mm: (slices,) those positions along the normal, rising.
        normal: (3,) direction across the slices.
        in_plane_mm: (2, 3) way from a row to the next, and from a column to the next.
    """

    files: tuple[_File, ...]
    headers: tuple["Dataset", ...]
    positions_mm: NDArray[np.float64]
    places_mm: NDArray[np.float64]
    normal: NDArray[np.float64]
    in_plane_mm: NDArray[np.float64]


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


def _stack(series: Series) -> _Stack:
    first = series.headers[0]
    along_row, along_column = np.reshape(first.ImageOrientationPatient, (2, 3)).astype(float)
    normal = np.cross(along_row, along_column)
    positions_mm = np.array([header.ImagePositionPatient for header in series.headers], float)
    places_mm = positions_mm @ normal
    order = np.argsort(places_mm)
    return _Stack(
        files=tuple(series.files[i] for i in order),
        headers=tuple(series.headers[i] for i in order),
        positions_mm=positions_mm[order],
        places_mm=places_mm[order],
        normal=normal,
        in_plane_mm=np.array([along_column, along_row]) * np.reshape(first.PixelSpacing, (2, 1)).astype(float),
    )


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


def _check_places(stack: _Stack, settings: DicomSettings, source: str) -> None:
    """Checks that slices lie at different places, evenly and above each other.

    Raises:
        InputError: they do not, and settings do not allow it.
    """
    names, gaps = [file.name for file in stack.files], np.diff(stack.places_mm)
    if not len(gaps):
        return
    usual = float(np.median(gaps))
    same = np.flatnonzero(gaps <= _UNEVEN * min(usual, _ROUNDING_MM))
    if same.size:
        raise InputError(
            f"{source}: expected one slice a place, found {names[same[0]]} and {names[same[0] + 1]} at one"
        )
    if settings.irregular_slices == "accept":
        return
    uneven = np.flatnonzero(np.abs(gaps - usual) > max(_UNEVEN * usual, _ROUNDING_MM))
    if uneven.size:
        raise InputError(
            f"{source}: expected evenly spaced slices, found {gaps[uneven[0]]:.2f} mm after {names[uneven[0]]} where "
            f"{usual:.2f} mm is usual ({uneven.size} such gaps): slices are missing, or --irregular_slices=accept"
        )
    tilt = _tilt_degrees(stack.positions_mm[-1] - stack.positions_mm[0], stack.normal)
    if tilt > _TILT_DEGREES:
        raise InputError(
            f"{source}: expected slices above each other, found a gantry tilted by {tilt:.1f} degrees; "
            "--irregular_slices=accept sets them upright"
        )


def _tilt_degrees(step: NDArray, normal: NDArray) -> float:
    """Returns the angle between the way from slice to slice and their normal, in degrees."""
    return float(np.degrees(np.arccos(np.clip(step @ normal / np.linalg.norm(step), -1, 1))))


def _evenly_spaced(array: NDArray[np.int16], places: NDArray) -> tuple[NDArray[np.int16], NDArray[np.int64]]:
    """Returns slices (n, rows, columns) interpolated to the usual distance, and the plane nearest to each slice."""
    gaps = np.diff(places)
    usual = np.median(gaps) if len(gaps) else 1.0
    count = int(np.rint((places[-1] - places[0]) / usual)) + 1
    if count == len(places) and (np.abs(gaps - usual) <= max(_UNEVEN * usual, _ROUNDING_MM)).all():
        return array, np.arange(count)
    even = np.linspace(places[0], places[-1], count)
    upper = np.clip(np.searchsorted(places, even), 1, len(places) - 1)
    share = ((even - places[upper - 1]) / (places[upper] - places[upper - 1])).astype(np.float32)
    planes = np.empty((count, *array.shape[1:]), np.int16)
    for plane, high, weight in zip(planes, upper, share, strict=True):
        plane[...] = np.rint(array[high - 1] * (1 - weight) + array[high] * weight)
    return planes, np.abs(places[:, None] - even).argmin(axis=1)
