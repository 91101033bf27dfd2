"""Inputs of a command line -> scans or masks to read: NIfTI files, case folders, DICOM folders and zips, patterns."""

import glob
import os
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from kits_tf.base.errors import InputError
from kits_tf.base.files import read_table, read_text
from kits_tf.base.packages import require
from kits_tf.config import DicomSettings
from kits_tf.ct.dicom import SeriesScan, SeveralSeriesError, find_series, read_series
from kits_tf.ct.layouts import LABELS_NAME
from kits_tf.ct.mask_metadata import NO_METADATA
from kits_tf.ct.scan_names import distinct_names, name_parts
from kits_tf.ct.scan_paths import scan_paths
from kits_tf.ct.volume import Volume, has_nifti_suffix, read_image, strip_suffix

# Maps that predict writes beside a mask NAME, as NAME_probabilities.nii.gz.
MAPS = ("probabilities", "uncertainty")


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
        folders: folders that it lies in: that of its file, and the one that was given.
        problem: reason why there is no such scan, which `read` raises; None for one that can be tried.
    """

    name: str
    source: str
    read: Callable[[], LoadedScan]
    folders: tuple[Path, ...] = ()
    problem: InputError | None = None


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
    """Returns the scans of the inputs, as `collect_scans`, if there is none that cannot be one.

    Raises:
        InputError: an input is missing or of no known kind, a pattern fits nothing, or two scans cannot be named apart.
    """
    scans = collect_scans(inputs, dicom)
    for scan in scans:
        if scan.problem:
            raise scan.problem
    return scans


def collect_scans(inputs: list[str], dicom: DicomSettings) -> list[Scan]:
    """Returns the scans of the inputs, in their order; an input that cannot be one is there with its problem.

    A scan has the name of its file, or of its folder; where several have the same name, each is lengthened by as many
    folders before it as make it another, as patient_A_ct and patient_B_ct. What is given twice is taken once.

    Args:
        inputs: NIfTI files, KiTS19 case folders, folders of NIfTI files or of case folders, folders and zip files of a
            DICOM series, or patterns of these.
        dicom: settings of DICOM series.
    """
    scans: dict[str, Scan] = {}
    paths: dict[str, Path] = {}
    for text in inputs:
        try:
            for given in _expanded(text):
                _add_scans(given, dicom, scans, paths)
        except (InputError, OSError) as error:
            scans.setdefault(text, _missing(text, error))
    names = distinct_names([name_parts(path) for path in paths.values()])
    for (key, path), name in zip(paths.items(), names, strict=True):
        scans[key] = replace(scans[key], name=name) if name else _missing(str(path), _no_name(path, paths.values()))
    return list(scans.values())


def listed_scans(path: Path) -> list[str]:
    """Returns the scans that a file lists, as they would stand on a command line.

    Args:
        path: text with a scan in each line, of which those that begin with # are none; or a table, *.csv or *.parquet,
            with a column "path".

    Raises:
        InputError: there is no such file, it is no such table, or it names no scan; pyarrow is missing for Parquet.
    """
    if not path.is_file():
        raise InputError(f"{path}: expected a list of scans, found no such file")
    if path.suffix == ".parquet":
        scans = _parquet_column(path, "path")
    elif path.suffix == ".csv":
        scans = [row["path"] for row in read_table(path, ("path",)).values()]
    else:
        scans = [line.strip() for line in read_text(path).splitlines()]
    scans = [text for text in scans if text and not text.startswith("#")]
    if not scans:
        raise InputError(f"{path}: expected a list of scans, found none in it")
    return scans


def _parquet_column(path: Path, name: str) -> list[str]:
    require("parquet", "pyarrow")
    import pyarrow
    import pyarrow.parquet

    try:
        return [str(value) for value in pyarrow.parquet.read_table(path, columns=[name])[name].to_pylist()]
    except (pyarrow.ArrowException, KeyError) as error:
        raise InputError(f"{path}: expected a Parquet file with a column {name}: {error}") from None


def find_masks(inputs: list[str]) -> list[tuple[str, Path]]:
    """Returns (name, file) of the masks of the inputs, in their order; names as those of `collect_scans`.

    Args:
        inputs: NIfTI files, KiTS19 case folders, folders of NIfTI files or of case folders, or patterns of these.

    Raises:
        InputError: an input is missing, holds no mask, a pattern fits nothing, or two masks cannot be named apart.
    """
    masks: dict[str, Path] = {}
    for path in (path for text in inputs for path in _expanded(text)):
        files = _mask_files(path)
        if not files:
            raise InputError(f"{path}: expected a mask, or a folder of masks, found none")
        masks |= {os.path.abspath(file): file for file in files}
    files = list(masks.values())
    names = distinct_names([name_parts(file) for file in files])
    for name, file in zip(names, files, strict=True):
        if name is None:
            raise _no_name(file, files)
    return [(name, file) for name, file in zip(names, files, strict=True) if name]


def mask_paths(folder: Path) -> dict[str, Path]:
    """Returns the masks of a folder by name, in their order; {} if there is none.

    Hidden files, as systems and killed programs leave them, are no masks; neither are NAME_probabilities and
    NAME_uncertainty beside a mask NAME.

    Raises:
        InputError: there is no such folder, or two masks have the same name.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: expected a folder of masks, found no such folder")
    files = [path for path in sorted(folder.glob("[!.]*")) if has_nifti_suffix(path) and path.is_file()]
    names = {strip_suffix(path) for path in files}
    paths: dict[str, Path] = {}
    for path in files:
        name = strip_suffix(path)
        if any(name.endswith(f"_{end}") and name.removesuffix(f"_{end}") in names for end in MAPS):
            continue
        if name in paths:
            raise InputError(f"{path}: expected one mask named {name}, found {paths[name].name} too")
        paths[name] = path
    return paths


def _mask_files(path: Path) -> list[Path]:
    if not path.exists():
        raise InputError(f"{path}: expected a mask or a folder of masks, found no such file or folder")
    if not path.is_dir():
        strip_suffix(path)
        return [path]
    if (path / LABELS_NAME).is_file():
        return [path / LABELS_NAME]
    return [*sorted(path.glob(f"case_*/{LABELS_NAME}")), *mask_paths(path).values()]


def _expanded(text: str) -> Iterator[Path]:
    if not text:  # which would be the working directory
        raise InputError("expected the path of a scan, got an empty one")
    if os.path.lexists(text) or not glob.has_magic(text):
        yield Path(text)
        return
    matches = sorted(glob.glob(text, recursive=True))
    if not matches:
        raise InputError(f"{text}: expected a pattern of scans, found nothing that fits it")
    yield from map(Path, matches)


def _add_scans(given: Path, dicom: DicomSettings, scans: dict[str, Scan], paths: dict[str, Path]) -> None:
    """Adds the scans at a path, or its problem, to those by their full paths."""
    try:
        paths_here = scan_paths(given)
    except (InputError, OSError) as error:
        scans.setdefault(os.path.abspath(given), _missing(str(given), error))
        return
    for path in paths_here:
        key = os.path.abspath(path)
        if key not in scans:
            paths[key] = path
            scans[key] = _scan(path, given, dicom)


def _missing(source: str, error: Exception) -> Scan:
    if isinstance(error, OSError):
        error = InputError(f"{error.filename or source}: cannot be read: {error.strerror or error}")
    problem = error if isinstance(error, InputError) else InputError(str(error))

    def read() -> LoadedScan:
        raise problem

    return Scan("", source, read, problem=problem)


def _no_name(path: Path, paths: Iterable[Path]) -> InputError:
    others = [other for other in paths if name_parts(other)[-1].casefold() == name_parts(path)[-1].casefold()]
    other = next((other for other in others if other != path), path)
    return InputError(
        f"{path}: expected a name of its own, {other} would be written to the same file; rename one, or give it alone"
    )


def _scan(path: Path, given: Path, dicom: DicomSettings) -> Scan:
    if has_nifti_suffix(path) and not path.is_dir():
        folders = (path.parent, path.resolve().parent, *([given] if given.is_dir() else []))
        return Scan("", str(path), lambda: _read_nifti(path), folders)
    folders = (path,) if path.is_dir() else (path.parent, path.resolve().parent)
    return Scan("", str(path), lambda: _read_series(path, dicom), folders)


def _read_nifti(path: Path) -> LoadedScan:
    volume = read_image(path)
    if volume.metadata != NO_METADATA:
        raise InputError(f"{path}: expected a scan, found a mask or a map that kits_tf wrote")
    if 1 in volume.grid.shape:
        shape = " x ".join(map(str, volume.grid.shape))
        raise InputError(f"{path}: expected a scan of many slices, got a single plane, {shape} voxels")
    return LoadedScan(volume)


def _read_series(path: Path, settings: DicomSettings) -> LoadedScan:
    if not path.is_dir():
        _refuse_nifti_in_zip(path)
    try:
        series = find_series(path, settings)
    except SeveralSeriesError as error:
        below = sorted({Path(series.files[0].name).relative_to(path).parts[0] for series in error.series})
        if path.is_dir() and len(below) == len(error.series):
            hint = f"; each in a folder of its own, {', '.join(below)}: '{path}/*' takes each as a scan"
            raise SeveralSeriesError(f"{error}{hint}", error.series) from None
        raise
    scan = read_series(series, settings, str(path))
    return LoadedScan(scan.volume, scan)


def _refuse_nifti_in_zip(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError):
        return  # which reading it as a series says better
    inside = [name for name in names if has_nifti_suffix(name) and not Path(name).name.startswith(".")]
    if inside:
        raise InputError(f"{path}: expected a zip file of DICOM slices, found NIfTI in it, {inside[0]!r}: unpack it")
