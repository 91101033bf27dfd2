"""Inputs of a command line -> scans or masks to read: NIfTI files, case folders, DICOM folders and zips, patterns."""

import glob
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from kits_tf.base.errors import InputError
from kits_tf.config import DicomSettings
from kits_tf.ct.dicom import SeriesScan, find_series, read_series
from kits_tf.ct.layouts import IMAGE_NAME, LABELS_NAME
from kits_tf.ct.volume import SUFFIXES, Volume, read_image, strip_suffix

# Maps that predict writes beside a mask NAME.
_BESIDE_MASKS = ("_probabilities", "_uncertainty")


@dataclass(frozen=True, eq=False)
class LoadedScan:
    """A scan in memory.

    Attributes:
        volume: (z, y, x) int16 HU.
        series: the DICOM series that it came from; None for a NIfTI file.
    """

    volume: Volume
    series: SeriesScan | None = None


@dataclass(frozen=True)
class Scan:
    """A scan to read.

    Attributes:
        name: name of the files that are made from it, without a suffix.
        source: path for messages.
        read: function that reads it; raises InputError if it cannot be used.
    """

    name: str
    source: str
    read: Callable[[], LoadedScan]


def read_scan(path: str | os.PathLike) -> Volume:
    """Returns a scan: a NIfTI file, a KiTS19 case folder, or a folder or zip file of a DICOM series.

    Returns:
        (z, y, x) int16 HU in (I, P, L), with the grid of its file.

    Raises:
        InputError: there is none, there are several, or it cannot be read.
    """
    scans = find_scans([os.fspath(path)], DicomSettings())
    if len(scans) != 1:
        raise InputError(f"{path}: expected one scan, found {len(scans)}")
    return scans[0].read().volume


def find_scans(inputs: list[str], dicom: DicomSettings) -> list[Scan]:
    """Returns the scans of the inputs, in their order.

    Args:
        inputs: NIfTI files, KiTS19 case folders, folders of NIfTI files or of case folders, folders and zip files of a
            DICOM series, or patterns of these.
        dicom: settings of DICOM series.

    Raises:
        InputError: an input is missing or of no known kind, a pattern fits nothing, or two scans have the same name.
    """
    return _with_names(scan for path in _expanded(inputs) for scan in _scans_at(path, dicom))


def find_masks(inputs: list[str]) -> list[tuple[str, Path]]:
    """Returns (name, file) of the masks of the inputs, in their order.

    Args:
        inputs: NIfTI files, KiTS19 case folders, folders of NIfTI files or of case folders, or patterns of these.

    Raises:
        InputError: an input is missing, holds no mask, a pattern fits nothing, or two masks have the same name.
    """
    masks: dict[str, Path] = {}
    for path in _expanded(inputs):
        is_data = (path / LABELS_NAME).is_file() or any(path.glob(f"case_*/{LABELS_NAME}"))
        if path.is_dir() and not is_data:
            files = list(mask_paths(path).values())
        else:
            files = _nifti_files(path, LABELS_NAME, "mask")
        if not files:
            raise InputError(f"{path}: expected a mask, or a folder of masks, found none")
        for file in files:
            other = masks.setdefault(_name(file), file)
            if other.resolve() != file.resolve():
                raise InputError(f"{file}: expected masks of different names, {other} has the same one")
    return list(masks.items())


def mask_paths(folder: Path) -> dict[str, Path]:
    """Returns the masks of a folder by name, in their order; {} if there is none.

    Hidden files, as systems and killed programs leave them, are no masks; neither are NAME_probabilities and
    NAME_uncertainty beside a mask NAME.

    Raises:
        InputError: there is no such folder, or two masks have the same name.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: expected a folder of masks, found no such folder")
    files = [path for path in sorted(folder.glob("[!.]*")) if path.name.endswith(SUFFIXES) and path.is_file()]
    names = {strip_suffix(path) for path in files}
    paths: dict[str, Path] = {}
    for path in files:
        name = strip_suffix(path)
        if any(name.endswith(end) and name.removesuffix(end) in names for end in _BESIDE_MASKS):
            continue
        if name in paths:
            raise InputError(f"{path}: expected one mask named {name}, found {paths[name].name} too")
        paths[name] = path
    return paths


def _with_names(scans: Iterable[Scan]) -> list[Scan]:
    by_name: dict[str, Scan] = {}
    for scan in scans:
        other = by_name.setdefault(scan.name, scan)
        if other is not scan:
            raise InputError(
                f"{scan.source}: expected different names, {other.source} would be written to the same file"
            )
    return list(by_name.values())


def _expanded(inputs: list[str]) -> Iterator[Path]:
    for text in inputs:
        if Path(text).exists() or not glob.has_magic(text):
            yield Path(text)
            continue
        matches = sorted(glob.glob(text, recursive=True))
        if not matches:
            raise InputError(f"{text}: expected a pattern of scans, found nothing that fits it")
        yield from map(Path, matches)


def _scans_at(path: Path, dicom: DicomSettings) -> list[Scan]:
    if not path.is_dir() and path.suffix == ".zip":
        return [_series(path, path.stem, dicom)]
    files = _nifti_files(path, IMAGE_NAME, "scan")
    return [_nifti(file) for file in files] or [_series(path, path.resolve().name, dicom)]


def _nifti_files(path: Path, name_in_case: str, kind: str) -> list[Path]:
    """Returns a file itself, or the files of a folder: that of a case, those of several cases, or all NIfTI files."""
    if not path.is_dir():
        strip_suffix(path)
        if not path.is_file():
            raise InputError(f"{path}: expected a {kind}, found no such file")
        return [path]
    if (path / name_in_case).is_file():
        return [path / name_in_case]
    cases = sorted(path.glob(f"case_*/{name_in_case}"))
    return cases or [p for p in sorted(path.glob("[!.]*")) if p.name.endswith(SUFFIXES)]


def _name(path: Path) -> str:
    """Returns a file's own name, or that of a case's folder."""
    return path.resolve().parent.name if path.name in (IMAGE_NAME, LABELS_NAME) else strip_suffix(path)


def _nifti(path: Path) -> Scan:
    return Scan(_name(path), str(path), lambda: LoadedScan(read_image(path)))


def _series(path: Path, name: str, settings: DicomSettings) -> Scan:
    def read() -> LoadedScan:
        scan = read_series(find_series(path, settings), settings, str(path))
        return LoadedScan(scan.volume, scan)

    if not path.exists():
        raise InputError(f"{path}: expected a scan, found no such file")
    return Scan(name, str(path), read)
