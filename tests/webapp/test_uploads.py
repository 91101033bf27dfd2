import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kits_tf.base.errors import InputError
from kits_tf.webapp.studies import RefusedError, Sessions, State, Study
from kits_tf.webapp.uploads import display_name, in_words_of_user, receive, reference_path, slice_path, source_of


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
    send(study, "a.dcm", 0, b"12345678")
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


def test_the_only_file_may_be_no_scan(study: Study) -> None:
    send(study, "C:\\photos\\photo.png", 0, b"\x89PNG")
    with pytest.raises(RefusedError) as refused:
        source_of(study)
    assert refused.value.message == (
        "photo.png: expected a NIfTI file (*.nii.gz, *.nii), or a folder or zip file of a DICOM series"
    )


def test_errors_have_the_users_names_and_no_flags(study: Study) -> None:
    for number, name in enumerate(("IM1", "series/IM2.dcm", "IM3")):
        send(study, name, number, b"1")
    text = f"{study.uploads}: found 6 mm after {study.uploads}/000001.dcm, 000002.dcm and 000777.dcm"
    error = InputError(text, " (--irregular_slices=accept)")
    assert str(error) == f"{text} (--irregular_slices=accept)"
    assert in_words_of_user(study, error) == "scan: found 6 mm after IM2.dcm, IM3 and 000777.dcm"


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
