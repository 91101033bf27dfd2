import json
import re
from pathlib import Path

import pytest
from scripts import python_blocks

from kits_tf.base.errors import InputError
from kits_tf.base.registry import import_plugins
from kits_tf.ct.layouts import LAYOUTS, CaseFiles, case_number, find_cases, find_cases_named, parse_case_numbers


def make(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def dataset_json(root: Path, labels: object) -> None:
    root.mkdir(exist_ok=True)
    (root / "dataset.json").write_text(json.dumps({"labels": labels}))


def test_kits19_in_order_and_its_own_test_set_is_unlabeled(tmp_path: Path) -> None:
    for case_id in ("case_00010", "case_00002"):
        make(tmp_path, f"{case_id}/imaging.nii.gz", f"{case_id}/segmentation.nii.gz")
    make(tmp_path, "case_00210/imaging.nii.gz", "kits.json", "case_7/imaging.nii.gz")
    folders = [tmp_path / f"case_{i:05d}" for i in (2, 10, 210)]
    assert find_cases(str(tmp_path)) == [
        CaseFiles("case_00002", folders[0] / "imaging.nii.gz", folders[0] / "segmentation.nii.gz"),
        CaseFiles("case_00010", folders[1] / "imaging.nii.gz", folders[1] / "segmentation.nii.gz"),
        CaseFiles("case_00210", folders[2] / "imaging.nii.gz", None),
    ]


def test_cases_that_are_named_come_in_the_order_of_their_names_or_are_missed(tmp_path: Path) -> None:
    for case_id in ("case_00002", "case_00007", "case_00010"):
        make(tmp_path, f"{case_id}/imaging.nii.gz", f"{case_id}/segmentation.nii.gz")
    found = find_cases_named(str(tmp_path), ["case_00010", "case_00002"], "a run")
    assert [case.case_id for case in found] == ["case_00010", "case_00002"]
    with pytest.raises(InputError, match=r"expected case_00003 of a run, found no such case"):
        find_cases_named(str(tmp_path), ["case_00002", "case_00003"], "a run")


def test_kits21_takes_the_majority_of_the_readers_and_kits23_its_segmentation(tmp_path: Path) -> None:
    readers = [f"case_00250/aggregated_{name}_seg.nii.gz" for name in ("AND", "MAJ", "OR")]
    make(tmp_path, "case_00250/imaging.nii.gz", *readers)
    make(tmp_path, "case_00588/imaging.nii.gz", "case_00588/segmentation.nii.gz")
    found = find_cases(str(tmp_path))
    assert [case.labels.name for case in found] == ["aggregated_MAJ_seg.nii.gz", "segmentation.nii.gz"]


NNUNET_LABELS = [
    {"background": 0, "kidney": 1, "tumor": 2},
    {"background": 0, "kidney": [1, 2, 3], "masses": [2, 3], "tumor": 2},
    {"0": "background", "1": "Kidney", "2": "Tumor", "3": "Cyst"},
]


@pytest.mark.parametrize("labels", NNUNET_LABELS)
def test_nnunet_raw(tmp_path: Path, labels: dict) -> None:
    dataset_json(tmp_path, labels)
    make(tmp_path, "imagesTr/KiTS-00001_0000.nii.gz", "labelsTr/KiTS-00001.nii.gz")
    make(tmp_path, "imagesTr/KiTS-00000_0000.nii.gz", "labelsTr/KiTS-00000.nii.gz")
    make(tmp_path, "imagesTs/KiTS-00002_0000.nii.gz", "nnUNetPlans.json")
    train, test = tmp_path / "imagesTr", tmp_path / "imagesTs"
    assert find_cases(str(tmp_path)) == [
        CaseFiles("KiTS-00000", train / "KiTS-00000_0000.nii.gz", tmp_path / "labelsTr/KiTS-00000.nii.gz"),
        CaseFiles("KiTS-00001", train / "KiTS-00001_0000.nii.gz", tmp_path / "labelsTr/KiTS-00001.nii.gz"),
        CaseFiles("KiTS-00002", test / "KiTS-00002_0000.nii.gz", None),
    ]


def test_decathlon_even_with_names_that_look_like_nnunets(tmp_path: Path) -> None:
    dataset_json(tmp_path, {"0": "background", "1": "kidney", "2": "tumor"})
    make(tmp_path, "imagesTr/kidney_0000.nii", "labelsTr/kidney_0000.nii", "imagesTs/kidney_0001.nii")
    make(tmp_path, "imagesTr/._kidney_0000.nii")  # macOS's, in the Decathlon's archives
    assert find_cases(str(tmp_path)) == [
        CaseFiles("kidney_0000", tmp_path / "imagesTr/kidney_0000.nii", tmp_path / "labelsTr/kidney_0000.nii"),
        CaseFiles("kidney_0001", tmp_path / "imagesTs/kidney_0001.nii", None),
    ]


def test_a_table_of_paths(tmp_path: Path) -> None:
    make(tmp_path, "scans/a.nii.gz", "masks/a.nii.gz", "scans/b.nii", "case_00007/imaging.nii.gz")
    table = tmp_path / "table.csv"
    absolute = tmp_path / "scans/b.nii"
    table.write_text(f"image,label\nscans/a.nii.gz,masks/a.nii.gz\n{absolute},\ncase_00007/imaging.nii.gz,\n")
    assert find_cases(str(table)) == [
        CaseFiles("a", tmp_path / "scans/a.nii.gz", tmp_path / "masks/a.nii.gz"),
        CaseFiles("b", absolute, None),
        CaseFiles("case_00007", tmp_path / "case_00007/imaging.nii.gz", None),
    ]
    table.write_text("case_id,label,image\npatient-9,masks/a.nii.gz,scans/a.nii.gz\n")
    assert [case.case_id for case in find_cases(str(table))] == ["patient-9"]


def refused(path: Path, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        find_cases(str(path))
    assert "\n" not in str(caught.value)


def unusable(case: CaseFiles, message: str) -> None:
    with pytest.raises(InputError) as caught:
        case.check()
    assert str(caught.value).endswith(message)


def test_names_what_is_missing(tmp_path: Path) -> None:
    refused(tmp_path / "gone", "gone: expected a data set, found no such file or folder")
    refused(tmp_path, "expected folders case_XXXXX with imaging.nii.gz and segmentation.nii.gz, or imagesTr")
    make(tmp_path, "case_00001/imaging.nii.gz", "case_00000/segmentation.nii.gz")
    make(tmp_path, "case_00002/segmentation.nii.gz", "case_00002/imaging.nii.gz/part")
    scan, segmentation, folder = find_cases(str(tmp_path))
    unusable(scan, "case_00000/imaging.nii.gz: expected the scan of case_00000, found no such file")
    unusable(segmentation, "segmentation.nii.gz: expected the segmentation of case_00001, found no such file")
    unusable(folder, "case_00002/imaging.nii.gz: expected the scan of case_00002, found a folder")


def test_labels_of_another_meaning_are_refused(tmp_path: Path) -> None:
    make(tmp_path, "imagesTr/a_0000.nii.gz", "labelsTr/a.nii.gz")
    dataset_json(tmp_path, {"background": 0, "tumor": 1, "kidney": 2})
    refused(tmp_path, "dataset.json: expected labels 0 background, 1 kidney, 2 tumor, 3 cyst; found 1 tumor")
    dataset_json(tmp_path, {"0": "background", "4": "liver"})
    refused(tmp_path, "found 4 liver")
    (tmp_path / "dataset.json").write_text("{")
    refused(tmp_path, "dataset.json: expected JSON with labels")
    dataset_json(tmp_path, ["background", "kidney"])
    refused(tmp_path, "dataset.json: expected JSON with labels")


def test_a_second_channel_and_a_missing_label_are_refused(tmp_path: Path) -> None:
    dataset_json(tmp_path, NNUNET_LABELS[0])
    make(tmp_path, "imagesTr/a_0000.nii.gz")
    make(tmp_path, "labelsTr/b.nii.gz")
    first, second = find_cases(str(tmp_path))
    unusable(first, "labelsTr/a.nii.gz: expected the segmentation of a, found no such file")
    unusable(second, "imagesTr/b_0000.nii.gz: expected the scan of b, found no such file")
    make(tmp_path, "labelsTr/a.nii.gz", "imagesTr/a_0001.nii.gz")
    refused(tmp_path, "a_0001.nii.gz: expected _0000 at the end of its name")


def test_tables_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    make(tmp_path, "a.nii", "b/a.nii")
    for content, message in (
        ("scan,mask\na,b\n", "table.csv: expected columns image and label, found scan, mask"),
        ("", "table.csv: expected columns image and label, found"),
        ("image,label\n,b\n", "table.csv: expected a path in column image, found none in line 2"),
        ("image,label\na.png,\n", r"a.png: expected a file named \*.nii.gz or \*.nii"),
        ("image,label\na.nii,\nb/a.nii,\n", "table.csv: expected every case once, found a 2 times"),
        ("image,label,case_id\na.nii,,../x\n", r"expected a case id of letters, digits, _, \. and -, found '../x'"),
        ("image,label\n", "found no case"),
    ):
        table.write_text(content)
        refused(table, message)
    make(tmp_path, "table.txt")
    refused(tmp_path / "table.txt", "table.txt: expected a folder or a CSV file")


def test_a_folder_beside_the_cases_says_where_they_are(tmp_path: Path) -> None:
    make(tmp_path, "kits19/LICENSE", "kits19/data/case_00000/imaging.nii.gz", "kits19/data/case_00001/imaging.nii.gz")
    refused(tmp_path / "kits19", f"found no case; data/ in it has 2 cases: give {tmp_path}/kits19/data$")
    refused(
        tmp_path / "kits19/data/case_00000", f"it is a case itself: give the folder above it, {tmp_path}/kits19/data$"
    )
    make(tmp_path, "raw/Dataset220/dataset.json")
    refused(tmp_path / "raw", f"Dataset220/ in it has dataset.json: give {tmp_path}/raw/Dataset220$")
    refused(tmp_path, "found no case$")


def test_a_layout_from_outside_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one of docs/conversion.md."""
    make(tmp_path, "b.nii.gz", "b_mask.nii.gz", "a.nii.gz", "a_mask.nii.gz")
    (tmp_path / "names.txt").write_text("b\na\n")
    (example,) = python_blocks("docs/conversion.md")
    (tmp_path / "names_layout.py").write_text(example)
    with monkeypatch.context() as patched:
        patched.syspath_prepend(tmp_path)
        patched.setenv("KITS_TF_PLUGINS", "")
        patched.setattr(LAYOUTS, "_things", dict(LAYOUTS._things))
        import_plugins(("names_layout",))
        assert list(LAYOUTS) == ["table", "nnunet", "decathlon", "kits", "names"]
        assert find_cases(str(tmp_path / "names.txt")) == [
            CaseFiles("a", tmp_path / "a.nii.gz", tmp_path / "a_mask.nii.gz"),
            CaseFiles("b", tmp_path / "b.nii.gz", tmp_path / "b_mask.nii.gz"),
        ]
    refused(tmp_path / "names.txt", "names.txt: expected a folder or a CSV file")


def test_case_numbers() -> None:
    assert [case_number(name) for name in ("case_00012", "KiTS-3", "2024_patient7b", "left")] == [12, 3, 7, None]
    assert parse_case_numbers("10-12,15") == {10, 11, 12, 15}
    assert parse_case_numbers("") == set()
    for bad in ("a", "3-", "5-2", "1;2"):
        with pytest.raises(InputError, match="expected case numbers"):
            parse_case_numbers(bad)


@pytest.mark.parametrize(
    "labels",
    [
        {"background": "0", "kidney": "1", "tumor": " 2 "},
        {" 0 ": "background", "1": " Kidney "},
        {"kidney": 1.0, "whole": "1,2,3", "masses": "[2, 3]"},
    ],
)
def test_label_numbers_as_text_are_numbers(tmp_path: Path, labels: dict) -> None:
    make(tmp_path, "imagesTr/a.nii", "labelsTr/a.nii")
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": labels}), encoding="utf-16")
    assert [case.case_id for case in find_cases(str(tmp_path))] == ["a"]


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        ({"background": "0", "tumor": "1", "kidney": "2"}, "; found 1 tumor"),
        ({"tumor": 1.0}, "; found 1 tumor"),
        ({"kidney": "[2, 3]"}, "; found 2, 3 kidney"),
        ({"tumor": [1]}, "; found 1 tumor"),
        ({"kidney": None}, 'found {"kidney": null}'),
        ({"kidney": True}, 'found {"kidney": true}'),
        ({"kidney": 1.5}, 'found {"kidney": 1.5}'),
        ({"1": 1}, 'found {"1": 1}'),
    ],
)
def test_labels_of_another_meaning_or_form_are_seen(tmp_path: Path, labels: dict, found: str) -> None:
    make(tmp_path, "imagesTr/a.nii", "labelsTr/a.nii")
    dataset_json(tmp_path, labels)
    refused(tmp_path, re.escape(found))


def test_kits_files_that_are_not_compressed_are_read_and_of_two_none(tmp_path: Path) -> None:
    make(tmp_path, "case_00000/imaging.nii", "case_00000/segmentation.nii.gz")
    make(tmp_path, "case_00001/imaging.nii", "case_00001/imaging.nii.gz", "case_00001/segmentation.nii.gz")
    plain, both = find_cases(str(tmp_path))
    plain.check()
    assert plain.image == tmp_path / "case_00000/imaging.nii"
    unusable(both, "expected imaging.nii.gz or imaging.nii, found both: remove the one not meant")


def test_what_lies_beside_the_cases_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    make(tmp_path, "case_00000/imaging.nii.gz", "case_00000/segmentation.nii.gz", "kits.json", "masks/a.nii")
    assert find_cases(str(tmp_path)) and not caplog.text
    make(tmp_path, "case_12/imaging.nii.gz", "Case_00013/imaging.nii.gz", "loose.nii.gz")
    assert [case.case_id for case in find_cases(str(tmp_path))] == ["case_00000"]
    assert "skipped 3 beside the folders case_XXXXX of five digits: Case_00013, case_12, loose.nii.gz" in caplog.text


def test_a_table_in_the_encoding_of_its_mark_and_with_semicolons(tmp_path: Path) -> None:
    make(tmp_path, "a.nii")
    table = tmp_path / "CASES.CSV"
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-32"):
        table.write_bytes("image ; label\r\n\r\na.nii;\r\n;\r\n".encode(encoding))
        assert [case.image.name for case in find_cases(str(table))] == ["a.nii"]
    table.write_bytes("image,label\nä.nii,\n".encode("latin-1"))
    refused(table, "CASES.CSV: expected text in UTF-8, found byte 0xe4 at offset 12; save it as UTF-8")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"image,label\n" + b"a" * 200_000 + b",\n", "line 2 cannot be read: field larger than field limit"),
        (b'image,label\n"a.nii,\n', "cannot be read: unexpected end of data"),
        (b"image,label\na.nii,,\n", "expected 2 cells in line 2, found 3"),
        (b"image,label,image\na,b,c\n", "expected every column once, found 'image' again"),
        (b"image,label\na\x00.nii,\n", "found a zero character at offset 13"),
    ],
)
def test_tables_that_are_none_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    refused(tmp_path / "t.csv", message)


def kits_with(root: Path, *labels: str, unlabeled: tuple[int, ...]) -> Path:
    make(root, *labels, *(f"{Path(name).parent}/imaging.nii.gz" for name in labels))
    make(root, *(f"case_{number:05d}/imaging.nii.gz" for number in unlabeled))
    return root


@pytest.mark.parametrize(
    "labels", ["case_00001/aggregated_MAJ_seg.nii.gz", "case_00299/segmentation.nii", "case_00400/segmentation.nii.gz"]
)
def test_cases_that_only_kits19_leaves_unlabeled_are_named(
    tmp_path: Path, labels: str, caplog: pytest.LogCaptureFixture
) -> None:
    root = kits_with(tmp_path, "case_00000/segmentation.nii.gz", labels, unlabeled=(210, 298))
    assert [case.case_id for case in find_cases(str(root)) if case.labels is None] == ["case_00210", "case_00298"]
    expected = f"{root}: 2 cases without a segmentation are treated as unlabeled, as in KiTS19, but the others are not"
    assert caplog.text.count(expected) == 1 and "case_00210, case_00298" in caplog.text


def test_kits19_with_its_test_set_and_kits23_with_a_missing_file_say_nothing_of_unlabeled_cases(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    find_cases(str(kits_with(tmp_path / "19", "case_00209/segmentation.nii.gz", unlabeled=(210, 299))))
    find_cases(str(kits_with(tmp_path / "23", "case_00400/segmentation.nii.gz", unlabeled=(5, 401))))
    find_cases(str(kits_with(tmp_path / "21", "case_00250/aggregated_MAJ_seg.nii.gz", unlabeled=())))
    assert not caplog.records
