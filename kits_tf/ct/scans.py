"""What a person hands over -> scans to read: NIfTI files, case folders, DICOM folders and zips, patterns."""

import glob
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kits_tf.config import DicomSettings
from kits_tf.ct.dicom import SeriesScan, find_series, read_series
from kits_tf.ct.layouts import IMAGE_NAME
from kits_tf.ct.volume import SUFFIXES, Volume, read_image, strip_suffix
from kits_tf.errors import InputError


@dataclass(frozen=True, eq=False)
class Loaded:
    """A scan that was read: (z, y, x) int16 HU, and the DICOM series it came from, if from one."""

    volume: Volume
    series: SeriesScan | None = None


@dataclass(frozen=True)
class Scan:
    """A scan to read.

    Attributes:
        name: of what is made of it.
        source: where it is, for people.
        read: returns it; raises InputError where it cannot be used.
    """

    name: str
    source: str
    read: Callable[[], Loaded]


def find_scans(inputs: list[str], dicom: DicomSettings) -> list[Scan]:
    """Returns the scans of the inputs, in their order.

    Args:
        inputs: NIfTI files, KiTS19 case folders, folders of NIfTI files or of case folders, folders and zip files of a
            DICOM series, or patterns of these.
        dicom: how to read DICOM.

    Raises:
        InputError: an input is missing or nothing known, a pattern fits nothing, or two scans have the same name.
    """
    scans: dict[str, Scan] = {}
    for path in (path for text in inputs for path in _expanded(text)):
        for scan in _scans_at(path, dicom):
            other = scans.setdefault(scan.name, scan)
            if other is not scan:
                raise InputError(
                    f"{scan.source}: expected different names, {other.source} would be written to the same file"
                )
    return list(scans.values())


def _expanded(text: str) -> list[Path]:
    if Path(text).exists() or not glob.has_magic(text):
        return [Path(text)]
    found = sorted(glob.glob(text, recursive=True))
    if not found:
        raise InputError(f"{text}: expected a pattern of scans, found nothing that fits it")
    return [Path(path) for path in found]


def _scans_at(path: Path, dicom: DicomSettings) -> list[Scan]:
    if not path.is_dir():
        return [_series(path, path.stem, dicom) if path.suffix == ".zip" else _nifti(path)]
    if (path / IMAGE_NAME).is_file():
        return [_nifti(path / IMAGE_NAME)]
    cases = sorted(path.glob(f"case_*/{IMAGE_NAME}"))
    files = [p for p in sorted(path.glob("[!.]*")) if p.name.endswith(SUFFIXES)]
    return [_nifti(file) for file in cases or files] or [_series(path, path.resolve().name, dicom)]


def _nifti(path: Path) -> Scan:
    """A file's own name, or that of a case's folder."""
    name = strip_suffix(path)
    if not path.is_file():
        raise InputError(f"{path}: expected a scan, found no such file")
    name = path.resolve().parent.name if path.name == IMAGE_NAME else name
    return Scan(name, str(path), lambda: Loaded(read_image(path)))


def _series(path: Path, name: str, settings: DicomSettings) -> Scan:
    def read() -> Loaded:
        scan = read_series(find_series(path, settings), settings, str(path))
        return Loaded(scan.volume, scan)

    if not path.exists():
        raise InputError(f"{path}: expected a scan, found no such file")
    return Scan(name, str(path), read)
