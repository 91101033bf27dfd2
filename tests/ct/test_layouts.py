from pathlib import Path

import pytest

from kits_tf.ct import layouts
from kits_tf.errors import InputError


def make(root: Path, case_id: str, *names: str) -> None:
    (root / case_id).mkdir(parents=True)
    for name in names:
        (root / case_id / name).touch()


def test_finds_labeled_cases_in_order_and_passes_over_the_challenge_test_set(tmp_path: Path) -> None:
    for case_id in ("case_00010", "case_00002"):
        make(tmp_path, case_id, "imaging.nii.gz", "segmentation.nii.gz")
    make(tmp_path, "case_00210", "imaging.nii.gz")
    (tmp_path / "kits.json").touch()
    found = layouts.find_cases(str(tmp_path))
    assert [case.case_id for case in found] == ["case_00002", "case_00010"]
    assert found[0].labels == tmp_path / "case_00002" / "segmentation.nii.gz"


def test_names_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="gone: expected a folder of case_00000"):
        layouts.find_cases(str(tmp_path / "gone"))
    with pytest.raises(InputError, match="expected folders case_XXXXX with imaging.nii.gz"):
        layouts.find_cases(str(tmp_path))
    make(tmp_path, "case_00001", "imaging.nii.gz")
    with pytest.raises(InputError, match=r"case_00001/segmentation.nii.gz: expected the segmentation of case_00001"):
        layouts.find_cases(str(tmp_path))
    make(tmp_path, "case_00000", "segmentation.nii.gz")
    with pytest.raises(InputError, match=r"case_00000/imaging.nii.gz: expected the scan of case_00000"):
        layouts.find_cases(str(tmp_path))


def test_parses_case_numbers() -> None:
    assert layouts.parse_case_numbers("10-12,15") == {10, 11, 12, 15}
    assert layouts.parse_case_numbers("") == set()
    for bad in ("a", "3-", "5-2", "1;2"):
        with pytest.raises(InputError, match="expected case numbers"):
            layouts.parse_case_numbers(bad)
