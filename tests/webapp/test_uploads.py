import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kits_tf.webapp.studies import RefusedError, Sessions, State, Study
from kits_tf.webapp.uploads import display_name, receive, reference_path, slice_path, source_of


async def parts_of(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return Sessions(tmp_path, max_studies=1, keep_s=1.0).new().add("scan")


def send(study: Study, name: str, number: int, *parts: bytes) -> None:
    asyncio.run(receive(study, slice_path(study, name, number), parts_of(*parts), max_bytes=10))


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("case_00000.nii.gz", "case_00000"),
        ("Müller, Ärm 2.nii", "Müller_ Ärm 2"),
        ("C:\\scans\\a.NII.GZ", "a"),
        ("../../etc/passwd", "passwd"),
        ("series.zip", "series"),
        ("IM0001.dcm", "IM0001"),
        ("a<script>.nii", "a_script_"),
        ("...", ""),
        ("", ""),
        ("x" * 200 + ".nii", "x" * 80),
    ],
)
def test_names_for_people_are_harmless(name: str, shown: str) -> None:
    assert display_name(name).rstrip("_") == shown.rstrip("_")


@given(st.text())
def test_any_name_gives_one_that_a_file_may_have(name: str) -> None:
    found = display_name(name)
    assert len(found) <= 80 and not set(found) & set('/\\:*?"<>|\n\r\0') and found.strip(" .") == found


def test_files_have_names_of_ours_and_the_content_that_came(study: Study) -> None:
    send(study, "../../evil.nii.gz", 3, b"ab", b"cd")
    assert [file.name for file in study.uploads.iterdir()] == ["000003.nii.gz"]
    assert (study.uploads / "000003.nii.gz").read_bytes() == b"abcd" and study.num_bytes == 4
    assert source_of(study) == study.uploads / "000003.nii.gz"


def test_too_many_bytes_are_refused_and_leave_nothing(study: Study) -> None:
    send(study, "a", 0, b"12345678")
    with pytest.raises(RefusedError, match="expected a scan of 0 MB at most") as refused:
        send(study, "b", 1, b"12", b"3")
    assert refused.value.status == 413
    assert [file.name for file in study.uploads.iterdir()] == ["000000.dcm"]
    assert source_of(study) == study.uploads


def test_what_is_no_single_scan_is_refused(study: Study) -> None:
    with pytest.raises(RefusedError, match="expected a scan: a NIfTI file, .*; got none"):
        source_of(study)
    send(study, "a.nii", 0, b"1")
    send(study, "slice", 1, b"2")
    with pytest.raises(RefusedError, match="expected one scan at a time"):
        source_of(study)


def test_a_scan_that_is_complete_takes_no_more_files(study: Study) -> None:
    study.state = State.QUEUED
    with pytest.raises(RefusedError, match="the scan is complete already") as refused:
        send(study, "a.nii", 0, b"1")
    assert refused.value.status == 409


def test_a_mask_beside_a_scan_is_kept_apart_from_it(study: Study) -> None:
    send(study, "imaging.nii.gz", 0, b"1234")
    asyncio.run(receive(study, reference_path(study, "segmentation.nii.gz"), parts_of(b"56"), max_bytes=10))
    assert source_of(study) == study.uploads / "000000.nii.gz"
    assert (study.reference_uploads / "mask.nii.gz").read_bytes() == b"56" and study.num_bytes == 6
    with pytest.raises(RefusedError, match="expected a mask in NIfTI beside the scan") as refused:
        reference_path(study, "segmentation.zip")
    assert refused.value.status == 400
