"""What lies at a path: scans, all of them, or a sentence of what lies there instead."""

import os
from pathlib import Path

import pytest

from kits_tf.base.errors import InputError
from kits_tf.ct.scan_paths import scan_paths

DICOM = bytes(128) + b"DICM" + bytes(64)


def fill(folder: Path, *names: str, content: bytes = b"") -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def test_scans_at_a_path(tmp_path: Path) -> None:
    mixed = fill(tmp_path / "mixed", "case_00002/imaging.nii.gz", "case_00001/imaging.nii.gz", "b.nii", ".hidden.nii")
    inside = ["case_00001/imaging.nii.gz", "case_00002/imaging.nii.gz", "b.nii"]
    assert scan_paths(mixed) == [mixed / name for name in inside]
    assert scan_paths(mixed / "case_00001") == [mixed / "case_00001" / "imaging.nii.gz"]
    series = fill(tmp_path / "series", "1", "2", content=DICOM)
    assert scan_paths(series) == [series]
    packed = fill(tmp_path, "CT.ZIP", "s.nii.gz")
    assert scan_paths(packed / "CT.ZIP") == [packed / "CT.ZIP"]
    assert scan_paths(packed / "s.nii.gz") == [packed / "s.nii.gz"]


@pytest.mark.parametrize(
    ("names", "content", "message"),
    [
        (["ct.nii.gz", "IM0"], DICOM, "found ct.nii.gz in NIfTI and IM0 in DICOM: which is meant"),
        (["ct.nii.gz", "series/IM0"], DICOM, "found ct.nii.gz in NIfTI and series/IM0 in DICOM"),
        (["case_00001/imaging.nii.gz", "a.dcm"], b"", "imaging.nii.gz in NIfTI and a.dcm in DICOM"),
        (["p1/ct.nii.gz", "p2/ct.nii.gz"], b"", "found none in it but p1/ct.nii.gz in a folder below: give '.*/\\*'"),
        (["a.zip", "b.zip"], b"", "found zip files, as a.zip"),
        (["scan.nrrd"], b"", "got another format"),
        ([".hidden.nii.gz"], b"", "found a folder without any file .hidden files do not count"),
    ],
)
def test_folders_that_are_no_scan(names: list[str], content: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        scan_paths(fill(tmp_path / "given", *names, content=content))


def test_other_files_are_named_for_what_they_are(tmp_path: Path) -> None:
    fill(tmp_path, "IM0", content=DICOM)
    fill(tmp_path, "CASES.CSV", "scan.mha", "scan.tar.gz")
    (tmp_path / "broken.nii.gz").symlink_to(tmp_path / "gone")
    os.mkfifo(tmp_path / "pipe.nii.gz")
    messages = {
        "IM0": f"got one file of it: give its folder, {tmp_path}",
        "CASES.CSV": "expected a NIfTI file ",
        "scan.mha": "got another format",
        "scan.tar.gz": "got an archive",
        "gone": "found no such file or folder",
        "broken.nii.gz": "a link to .*gone, which does not exist",
        "pipe.nii.gz": "expected a file or a folder, found a pipe",
    }
    for name, message in messages.items():
        with pytest.raises(InputError, match=f"{name}: .*{message}"):
            scan_paths(tmp_path / name)
