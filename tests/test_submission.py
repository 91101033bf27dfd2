"""Masks -> predictions.zip, and every way in which one can be wrong."""

import shutil
import zipfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from kits_tf import predict, submission
from kits_tf.base.errors import InputError
from kits_tf.config import MaskSchemeSettings
from kits_tf.ct.labels import LATERALITY


@pytest.fixture(scope="module")
def masks_dir(data_dir: Path, run_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("masks")
    predict.main(predict.Predict(model=str(run_dir), output_dir=str(folder)), [str(data_dir)])
    return folder


@pytest.fixture
def packed(masks_dir: Path, tmp_path: Path) -> Path:
    submission.main(submission.Submission(predictions_dir=str(masks_dir), output=str(tmp_path / "predictions.zip")))
    return tmp_path / "predictions.zip"


def check(archive: Path, data_dir: Path) -> None:
    submission.main(submission.Submission(check=str(archive), data_dir=str(data_dir)))


def change(archive: Path, name: str, content: Path | None) -> None:
    """Replaces a member, or takes it out."""
    with zipfile.ZipFile(archive) as old:
        members = {other: old.read(other) for other in old.namelist()}
    members.pop(name, None)
    with zipfile.ZipFile(archive, "w") as new:
        for other, data in members.items():
            new.writestr(other, data)
        if content:
            new.write(content, name)


def test_masks_are_packed_in_the_challenges_labels_on_the_very_grid(
    packed: Path, masks_dir: Path, data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    with zipfile.ZipFile(packed) as archive:
        assert sorted(archive.namelist()) == [f"prediction_0000{i}.nii.gz" for i in range(4)]
        archive.extractall(tmp_path)
    ours, theirs = nib.load(masks_dir / "case_00001.nii.gz"), nib.load(tmp_path / "prediction_00001.nii.gz")
    expected = np.array(LATERALITY.challenge)[np.asarray(ours.dataobj)]
    np.testing.assert_array_equal(np.asarray(theirs.dataobj), expected)
    assert set(np.unique(expected)) == {0, 1, 2} and theirs.get_data_dtype() == np.uint8
    assert (theirs.affine == ours.affine).all()
    check(packed, data_dir)
    assert "predictions.zip: 4 predictions, no problem found" in capsys.readouterr().out


def test_masks_without_names_are_of_the_scheme_that_is_given(data_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "masks").mkdir()
    shutil.copy(data_dir / "case_00002" / "segmentation.nii.gz", tmp_path / "masks" / "case_00002.nii.gz")
    truth = np.asarray(nib.load(tmp_path / "masks" / "case_00002.nii.gz").dataobj)
    for scheme, expected in ((None, truth), ("kits19", truth), ("laterality", np.array([0, 1, 1])[truth])):
        submission.main(
            submission.Submission(
                predictions_dir=str(tmp_path / "masks"),
                output=str(tmp_path / f"{scheme}.zip"),
                masks=MaskSchemeSettings(label_scheme=scheme),
            )
        )
        with zipfile.ZipFile(tmp_path / f"{scheme}.zip") as archive:
            archive.extract("prediction_00002.nii.gz", tmp_path)
        np.testing.assert_array_equal(nib.load(tmp_path / "prediction_00002.nii.gz").dataobj, expected)


def test_what_is_wrong_is_told(packed: Path, data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    scans = {i: nib.load(data_dir / f"case_0000{i}" / "imaging.nii.gz") for i in range(4)}

    def put(number: int, array: np.ndarray, affine: np.ndarray) -> None:
        nib.save(nib.Nifti1Image(array, affine), tmp_path / "changed.nii.gz")
        change(packed, f"prediction_0000{number}.nii.gz", tmp_path / "changed.nii.gz")

    change(packed, "prediction_00000.nii.gz", None)
    put(1, np.zeros(scans[1].shape[::-1], np.uint8), scans[1].affine)
    put(
        2,
        np.full(scans[2].shape, 3.0, np.float32),
        scans[2].affine + np.eye(4)[3][:, None] * 0 + np.diag([0.1, 0, 0, 0]),
    )
    (tmp_path / "text").write_text("no NIfTI")
    change(packed, "prediction_00003.nii.gz", tmp_path / "text")
    change(packed, "masks/prediction_00003.nii.gz", tmp_path / "text")
    with pytest.raises(InputError, match="predictions.zip: 7 problems, the first: masks/prediction_00003.nii.gz"):
        check(packed, data_dir)
    said = capsys.readouterr().out
    for text in (
        "masks/prediction_00003.nii.gz: expected only predictions of the scans that are due",
        "prediction_00000.nii.gz: expected a prediction of case_00000, found none",
        f"prediction_00001.nii.gz: expected the scan's grid of {' x '.join(map(str, scans[1].shape))} voxels, got ",
        "prediction_00002.nii.gz: expected whole numbers as dtype, uint8 at best, found float32",
        "prediction_00002.nii.gz: expected the scan's place and axes",
        "prediction_00002.nii.gz: expected values 0, 1 and 2, found [3]",
        "prediction_00003.nii.gz: expected a whole NIfTI file",
    ):
        assert text in said
    with pytest.raises(InputError, match="text: expected a zip file"):
        check(tmp_path / "text", data_dir)


def test_flags_that_do_not_go_together_are_refused(tmp_path: Path) -> None:
    for changes, message in (
        ({}, "expected either --predictions_dir or --check"),
        ({"predictions_dir": "a"}, "expected --predictions_dir and --output together"),
        ({"check": "a.zip"}, "expected --data_dir with --check"),
    ):
        with pytest.raises(InputError, match=message):
            submission.Submission(**changes)
    with pytest.raises(InputError, match="expected masks case_00210.nii.gz, ..., found none"):
        submission.main(submission.Submission(predictions_dir=str(tmp_path), output=str(tmp_path / "a.zip")))
    assert not list(tmp_path.iterdir())


def test_scans_without_a_number_are_told(data_dir: Path, packed: Path, tmp_path: Path) -> None:
    (tmp_path / "cases.csv").write_text(f"image,label,case_id\n{data_dir}/case_00000/imaging.nii.gz,,somebody\n")
    with pytest.raises(InputError, match="expected a case with a number, as in case_00210, found somebody"):
        check(packed, tmp_path / "cases.csv")
