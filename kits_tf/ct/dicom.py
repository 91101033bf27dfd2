"""DICOM series -> volumes, by pydicom, which the extra `dicom` brings."""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kits_tf.base.errors import InputError
from kits_tf.base.packages import is_installed
from kits_tf.base.words import listed
from kits_tf.config import DicomSettings
from kits_tf.ct.dicom_attributes import MOST_NAMES, check_headers
from kits_tf.ct.dicom_files import (
    UNREADABLE,
    DicomFile,
    ExaminedFile,
    examine,
    files_of,
    is_named_as_slice,
    is_system_file,
    text_of,
)
from kits_tf.ct.dicom_pixels import decoded
from kits_tf.ct.gantry_tilt import set_upright
from kits_tf.ct.slice_places import (
    TILT_DEGREES,
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

logger = logging.getLogger(__name__)

# Attributes that all slices of a scan share, and what it means if they do not.
_ONE_OF_A_SCAN = {
    "PatientID": "slices of several patients",
    "FrameOfReferenceUID": "the patient was moved between slices",
}


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
    files: tuple[DicomFile, ...]
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
    slices_by_uid: dict[str, list[ExaminedFile]] = {}
    damaged, others, passed_over = [], [], Counter[str]()
    for file in files_of(path):
        if is_system_file(file):
            passed_over["system file"] += 1
            continue
        examined = examine(file)
        if examined.damage:
            damaged.append(examined)
        elif examined.header is None:
            others.append(examined)
        elif reason := _reason_to_pass_over(examined):
            passed_over[reason] += 1
        else:
            slices_by_uid.setdefault(text_of(examined.header, "SeriesInstanceUID"), []).append(examined)
    patterns = {each.file.pattern for slices in slices_by_uid.values() for each in slices}
    # Where nothing is DICOM, no slice is lost: it is another kind of scan, or none.
    lost = [each for each in others if slices_by_uid and is_named_as_slice(each.file, patterns)]
    damaged += [replace(each, damage="no DICOM") for each in lost]
    passed_over["no DICOM"] += len(others) - len(lost)
    series = [_series(uid, slices, path) for uid, slices in sorted(slices_by_uid.items())]
    if not series and damaged:
        raise InputError(f"{path}: expected whole DICOM files, found {_damages(damaged)}")
    if not series:
        kinds = [reason for reason, count in passed_over.items() if count and reason != "no DICOM"]
        kinds += [f"no DICOM ({listed([each.file.name for each in others], MOST_NAMES)})"] if others else []
        instead = ", ".join(sorted(kinds)) or "no file"
        raise InputError(f"{path}: expected NIfTI (*.nii.gz, *.nii) or a CT series in DICOM files, found {instead}")
    chosen = _chosen(series, settings.series, path)
    _check_whole(chosen, damaged, set(slices_by_uid) - {chosen.uid, ""}, path)
    passed_over["slice of another series"] = sum(len(each.files) for each in series if each is not chosen)
    if passed_over.total():
        reasons = ", ".join(f"{count} ({reason})" for reason, count in sorted(passed_over.items()) if count)
        logger.warning("%s: %d slices; skipped files: %s", path, len(chosen.files), reasons)
    return chosen


def _reason_to_pass_over(examined: ExaminedFile) -> str:
    """Returns why a DICOM file is no slice of a CT scan; empty if it is one.

    Raises:
        InputError: it is an image that does not say of what.
    """
    header = examined.header
    modality = text_of(header, "Modality")
    if not examined.is_image:
        return modality or "DICOM without pixels"
    if "LOCALIZER" in text_of(header, "ImageType"):
        return "scout"
    if not modality:
        raise InputError(f"{examined.file.name}: expected Modality CT, found no Modality")
    return "" if modality == "CT" else modality


def _series(uid: str, slices: list[ExaminedFile], path: Path) -> Series:
    """Returns slices of one UID as a series; a slice that is there twice counts once.

    Raises:
        InputError: two slices that differ have the same SOPInstanceUID.
    """
    by_instance: dict[str, ExaminedFile] = {}
    for each in slices:
        instance = text_of(each.header, "SOPInstanceUID") or f"file {each.file.name}"
        first = by_instance.setdefault(instance, each)
        if first is not each and _content(first.file) != _content(each.file):
            raise InputError(
                f"{path}: expected one slice of a SOPInstanceUID, found two that differ: "
                f"{first.file.name} and {each.file.name}"
            )
    if len(by_instance) < len(slices):
        logger.warning("%s: %d files are copies of others, and count once", path, len(slices) - len(by_instance))
    return Series(
        uid=uid,
        description=text_of(slices[0].header, "SeriesDescription"),
        files=tuple(each.file for each in by_instance.values()),
        headers=tuple(each.header for each in by_instance.values() if each.header is not None),
    )


def _content(file: DicomFile) -> bytes:
    try:
        with file.open() as stream:
            return stream.read()
    except UNREADABLE as error:
        raise InputError(f"{file.name}: expected a whole DICOM file: {error}") from None


def _check_whole(series: Series, damaged: list[ExaminedFile], other_uids: set[str], path: Path) -> None:
    """Raises InputError if damaged files may be slices of a series: by their UID, or else by their folder."""
    folders = {file.folder for file in series.files}
    lost = []
    for each in damaged:
        uid = text_of(each.header, "SeriesInstanceUID") if each.header is not None else ""
        # The UID itself may be cut.
        is_beside = each.file.folder in folders and uid not in other_uids
        if (uid and uid == series.uid) or is_beside:
            lost.append(each)
    if lost:
        raise InputError(f"{path}: expected a whole series, found files beside its slices {_damages(lost)}")
    if damaged:
        logger.warning("%s: skipped %d damaged files outside the series: %s", path, len(damaged), _damages(damaged))


def _damages(damaged: list[ExaminedFile]) -> str:
    return listed([f"{each.file.name} ({each.damage})" for each in damaged], MOST_NAMES)


def _chosen(series: list[Series], text: str, path: Path) -> Series:
    """Returns the series of a UID, or else the only one in whose UID or description a text occurs."""
    if not text and len(series) > 2 and all(len(each.files) == 1 for each in series):
        raise InputError(
            f"{path}: expected one SeriesInstanceUID for all slices of a scan, "
            f"found {len(series)} slices, each with one of its own"
        )
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
        InputError: there is a single slice, or slices differ in size or direction, lie at the same place, unevenly or
            tilted, or cannot be decoded.
    """
    check_headers(series.headers, [file.name for file in series.files], source)
    if len(series.files) == 1:
        raise InputError(f"{source}: expected a series of many slices, found one: {series.files[0].name}")
    stack, accept = _stack(series), settings.irregular_slices == "accept"
    files, headers = ([values[i] for i in stack.order] for values in (series.files, series.headers))
    check_places(stack, source, accept=accept)
    _check_one_scan(stack, headers, source)
    _compare_tilt(stack, headers[0], source)
    slices = np.empty((len(files), headers[0].Rows, headers[0].Columns), np.int16)
    for slice_, file in zip(slices, files, strict=True):
        slice_[...] = decoded(file)
    check_neighbors_alike(slices, source)
    array, planes = evenly_spaced(slices, stack.places_mm)
    step_mm = (stack.positions_mm[-1] - stack.positions_mm[0]) / (len(array) - 1)
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


def _stack(series: Series) -> SliceStack:
    first = series.headers[0]
    positions_mm = np.array([header.ImagePositionPatient for header in series.headers], float)
    names = [file.name for file in series.files]
    return stack_slices(names, positions_mm, np.array(first.ImageOrientationPatient), np.array(first.PixelSpacing))


def _check_one_scan(stack: SliceStack, headers: Sequence["Dataset"], source: str) -> None:
    """Raises InputError if the attributes of slices, in the order of their places, are those of several scans."""
    for name, meaning in _ONE_OF_A_SCAN.items():
        kinds = {str(header.get(name, "") or "") for header in headers} - {""}
        if len(kinds) > 1:
            raise InputError(f"{source}: expected one {name} in all slices, found {len(kinds)}: {meaning}")
    for name in ("AcquisitionNumber", "TemporalPositionIdentifier"):
        values = [str(header.get(name, "") or "") or None for header in headers]
        check_one_sweep(stack, values, name, source)
    for name in ("AcquisitionTime", "InstanceNumber"):
        numbers = sweeps(stack, [_number(header.get(name)) for header in headers])
        check_one_sweep(stack, numbers, f"passages in the order of {name}", source)


def _compare_tilt(stack: SliceStack, header: "Dataset", source: str) -> None:
    """Warns if a slice names another tilt of the gantry than its place has."""
    said = _number(header.get("GantryDetectorTilt"))
    if said is not None and len(stack.names) > 1 and (abs(said) > TILT_DEGREES) != bool(stack.tilt_degrees):
        logger.warning(
            "%s: GantryDetectorTilt says %g degrees, the positions of the slices %.1f: the positions are used",
            source, said, stack.tilt_degrees,
        )  # fmt: skip


def _number(value: object) -> float | None:
    try:
        return float(str(value))
    except ValueError:
        return None
