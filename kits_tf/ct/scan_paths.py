"""What lies at a path that is to be a scan: NIfTI files, a DICOM series, or something that cannot be one."""

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from kits_tf.base.errors import InputError
from kits_tf.ct.layouts import IMAGE_NAME
from kits_tf.ct.scan_names import is_zip
from kits_tf.ct.volume import has_nifti_suffix

_DICOM_SUFFIXES = (".dcm", ".ima", ".dicom")
_IMAGES = (
    ".nrrd",
    ".nhdr",
    ".mha",
    ".mhd",
    ".hdr",
    ".img",
    ".mgz",
    ".mgh",
    ".mnc",
    ".npy",
    ".npz",
    ".h5",
    ".tif",
    ".tiff",
)
_ARCHIVES = (".tar", ".tar.gz", ".tgz", ".gz", ".bz2", ".xz", ".7z", ".rar", ".zst")
_PREAMBLE = 128
# A data element begins with its group and number in two bytes each; a file without a preamble with group 0002 or 0008.
_FIRST_GROUPS = (b"\x02\x00", b"\x08\x00")
_KINDS = (
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def scan_paths(path: Path) -> list[Path]:
    """Returns the scans at a path: a NIfTI file, those of a folder, or the folder or zip file of a DICOM series.

    Raises:
        InputError: there is nothing, something else, or NIfTI and DICOM, of which one must be meant.
        OSError: a folder cannot be listed.
    """
    if not path.exists():
        link = f", a link to {os.readlink(path)}, which does not exist" if path.is_symlink() else ""
        raise InputError(f"{path}: expected a scan, found no such file or folder{link}")
    if path.is_dir():
        return _in_folder(path)
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        kind = next((name for test, name in _KINDS if test(mode)), "something else")
        raise InputError(f"{path}: expected a file or a folder, found {kind}")
    if has_nifti_suffix(path) or is_zip(path):
        return [path]
    raise InputError(f"{path}: {_advice(path)}")


def problem_with_file(path: Path, name: str) -> str:
    """Returns why a file is no scan: "" if it may be one, by itself or as a slice.

    Args:
        path: file to look into.
        name: name that it has for its user.
    """
    lower = name.lower()
    if has_nifti_suffix(name) or is_zip(Path(name)) or lower.endswith(_DICOM_SUFFIXES) or _begins_as_dicom(path):
        return ""
    return f"{name}: {_advice_by_name(lower)}"


def _in_folder(path: Path) -> list[Path]:
    """Returns the image of a case, or those of several cases and all loose NIfTI files, or the folder of a series."""
    entries = sorted(entry for entry in path.iterdir() if not entry.name.startswith("."))
    if (path / IMAGE_NAME).is_file():
        files = [path / IMAGE_NAME]
    else:
        # A link that leads nowhere is not passed over: reading says so.
        loose = [entry for entry in entries if has_nifti_suffix(entry) and not entry.is_dir()]
        files = [*sorted(path.glob(f"case_*/{IMAGE_NAME}")), *loose]
    if files:
        _refuse_both(path, files[0], _dicom_beside(entries))
        return files
    nested = next((each for each in sorted(path.glob("*/*")) if has_nifti_suffix(each) and not _is_hidden(each)), None)
    if nested:
        _refuse_both(path, nested, next((file for file in _files_in(path) if _is_dicom(file)), None))
        raise InputError(
            f"{path}: expected scans, found none in it but {nested.relative_to(path)} in a folder below: "
            f"give '{path}/*' for all of these"
        )
    _refuse_others(path, entries)
    return [path]


def _refuse_both(path: Path, nifti: Path, dicom: Path | None) -> None:
    if dicom is not None:
        names = f"{nifti.relative_to(path)} in NIfTI and {dicom.relative_to(path)} in DICOM"
        raise InputError(
            f"{path}: found {names}: which is meant? Give the NIfTI file, or keep the series in a folder of its own"
        )


def _refuse_others(path: Path, entries: Sequence[Path]) -> None:
    """Raises InputError if a folder holds nothing, or files that are no slices by their names."""
    if next(_files_in(path), None) is None:
        hidden = " (hidden files do not count)" if any(path.iterdir()) else ""
        raise InputError(f"{path}: expected a scan, found a folder without any file{hidden}")
    zips = [entry for entry in entries if is_zip(entry)]
    if zips and not any(_is_dicom(file) for file in _files_in(path)):
        raise InputError(f"{path}: expected a scan, found zip files, as {zips[0].name}: give '{path}/*.zip' for all")
    others = [entry for entry in entries if entry.name.lower().endswith((*_IMAGES, *_ARCHIVES))]
    if others and not any(_is_dicom(file) for file in _files_in(path)):
        raise InputError(f"{others[0]}: {_advice(others[0])}")


def _dicom_beside(entries: Sequence[Path]) -> Path | None:
    """Returns a DICOM file beside NIfTI files, or in a folder there without NIfTI files; None if there is none."""
    for entry in entries:
        if entry.is_dir():
            inside = list(_files_in(entry))
            # What predict wrote into a folder below, masks and DICOM SEG, hides no series.
            files = [] if any(map(has_nifti_suffix, inside)) else inside[:1]
        else:
            files = [entry]
        for file in files:
            if not has_nifti_suffix(file) and _is_dicom(file):
                return file
    return None


def _files_in(path: Path) -> Iterator[Path]:
    """Yields all files in a folder and those below, but hidden ones."""
    return (file for file in sorted(path.rglob("*")) if file.is_file() and not _is_hidden(file))


def _is_hidden(path: Path) -> bool:
    return path.name.startswith(".")


def _is_dicom(path: Path) -> bool:
    if path.name.lower().endswith(_DICOM_SUFFIXES):
        return True
    return path.is_file() and _begins_as_dicom(path)


def _begins_as_dicom(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(_PREAMBLE + 4)
    return start[_PREAMBLE:] == b"DICM" or (start[:2] in _FIRST_GROUPS and start[3:4] == b"\x00" and len(start) > 8)


def _advice(path: Path) -> str:
    """Returns what to do about a file of another kind."""
    if _is_dicom(path):
        return f"expected the folder of a DICOM series, got one file of it: give its folder, {path.parent}"
    return _advice_by_name(path.name.lower())


def _advice_by_name(name: str) -> str:
    if name.endswith(_IMAGES):
        return "expected NIfTI or DICOM, got another format: 3D Slicer or SimpleITK can save it as *.nii.gz"
    if name.endswith(_ARCHIVES):
        return "expected NIfTI (*.nii.gz, *.nii), or a folder or zip file of a DICOM series, got an archive: unpack it"
    return "expected a NIfTI file (*.nii.gz, *.nii), or a folder or zip file of a DICOM series"
