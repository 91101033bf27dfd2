"""Names of scans: short, and no two the same."""

from pathlib import Path

from kits_tf.ct.scan_names import distinct_names, name_parts


def test_parts_end_with_the_name_without_a_suffix(tmp_path: Path) -> None:
    case, series = tmp_path / "case_00001", tmp_path / "ct.nii"
    case.mkdir()
    series.mkdir()  # a folder keeps its whole name
    names = {
        tmp_path / "scan.nii.gz": "scan",
        tmp_path / "SCAN.NII": "SCAN",
        tmp_path / "a.b.nii.gz": "a.b",
        tmp_path / "CT.ZIP": "CT",
        case: "case_00001",
        case / "imaging.nii.gz": "case_00001",
        case / "segmentation.nii.gz": "case_00001",
        series: "ct.nii",
    }
    assert [name_parts(path)[-1] for path in names] == list(names.values())
    assert name_parts(tmp_path / "x" / ".." / "scan.nii.gz") == (*tmp_path.parts[1:], "scan")


def test_names_take_as_many_folders_as_make_them_another() -> None:
    paths = [("a", "1", "ct"), ("b", "1", "ct"), ("b", "2", "pet")]
    assert distinct_names(paths) == ["a_1_ct", "b_1_ct", "pet"]
    assert distinct_names([("ct",), ("a", "ct")]) == ["ct", "a_ct"]
    assert distinct_names([]) == []


def test_names_that_a_file_system_takes_for_the_same_are_kept_apart() -> None:
    assert distinct_names([("a", "CT"), ("b", "ct")]) == ["a_CT", "b_ct"]
    assert distinct_names([("a", "M\u00fcller"), ("b", "Mu\u0308ller")]) == ["a_M\u00fcller", "b_Mu\u0308ller"]


def test_a_longer_name_does_not_become_that_of_another() -> None:
    names = distinct_names([("x", "a", "ct"), ("y", "b", "ct"), ("z", "a_ct")])
    assert None not in names and len(set(names)) == 3
    assert distinct_names([("x", "ct"), ("x", "ct"), ("x", "pet")]) == [None, None, "pet"]
