"""Which cases an evaluation covers: what is missing or fails is counted, and never makes a mean better."""

import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from kits_tf import evaluate, measure, submission
from kits_tf.base.errors import InputError
from kits_tf.ct.labels import LATERALITY
from kits_tf.ct.mask_metadata import MaskMetadata
from kits_tf.ct.volume import write_stored

AFFINE = np.diag([-2.0, -2.0, 2.0, 1.0])


def challenge(seed: int = 0) -> np.ndarray:
    """Returns a mask (i, j, k) of two kidneys, one with a tumor."""
    labels = np.zeros((60, 20, 12), np.uint8)
    labels[5:20, 5:15, 2:10] = labels[40:55, 5:15, 2:10] = 1
    labels[5:10, 5 : 10 + seed, 2:6] = 2
    return labels


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Folders of true and of predicted masks, which are perfect, of three cases."""
    for folder in ("truth", "masks"):
        for name in "abc":
            write_stored(tmp_path / folder / f"{name}.nii.gz", challenge(), AFFINE)
    return tmp_path / "truth", tmp_path / "masks"


def run(truth: Path, masks: Path) -> dict:
    evaluate.main(evaluate.Evaluate(predictions_dir=str(masks), truth_dir=str(truth), workers=1))
    return summary_in(masks / "evaluation")


def summary_in(folder: Path) -> dict:
    return json.loads((folder / "summary.json").read_text())


def test_perfect_challenge_masks_are_perfect(folders: tuple[Path, Path], capsys: pytest.CaptureFixture) -> None:
    summary = run(*folders)
    assert summary["tumor_dice"]["mean"] == summary["kidney_dice"]["mean"] == 1 and summary["num_cases"] == 3
    assert summary["coverage"] == {
        "labels": "labels: kidney, tumor in 3 masks, not named in the files (--label_scheme)",
        "missing": [],
        "failed": [],
        "not_predicted": [],
    }
    assert capsys.readouterr().out.startswith("labels: kidney, tumor in 3 masks")


def test_a_true_mask_without_a_predicted_one_counts_as_an_empty_one(folders: tuple[Path, Path]) -> None:
    truth, masks = folders
    (masks / "b.nii.gz").unlink()
    nib.save(nib.load(masks / "c.nii.gz"), masks / "c.nii")
    (masks / "c.nii.gz").unlink()
    with pytest.raises(InputError, match="1 of 3 cases failed, the first: b: expected a mask in .*as an empty one"):
        run(truth, masks)
    summary = summary_in(masks / "evaluation")
    assert summary["num_cases"] == 3 and summary["kidney_dice"]["mean"] == pytest.approx(2 / 3)
    assert summary["coverage"]["missing"] == ["b"] and summary["coverage"]["failed"] == []


def test_a_mask_that_cannot_be_used_costs_one_case(
    folders: tuple[Path, Path], caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture
) -> None:
    truth, masks = folders
    write_stored(masks / "a.nii.gz", challenge()[1:], AFFINE)
    (masks / "b.nii.gz").write_bytes((masks / "b.nii.gz").read_bytes()[:100])
    with pytest.raises(InputError, match="2 of 3 cases failed"):
        run(truth, masks)
    summary = summary_in(masks / "evaluation")
    assert summary["num_cases"] == 1 and sorted(summary["coverage"]["failed"]) == ["a", "b"]
    assert "2 cases could not be scored, and are in no mean: " in capsys.readouterr().out
    assert sum(message.startswith("failed: ") for message in caplog.messages) == 2


def test_masks_of_several_schemes_each_have_their_own(folders: tuple[Path, Path]) -> None:
    truth, masks = folders
    sided = challenge()
    sided[:30][sided[:30] == 1], sided[sided == 2] = 4, 3
    sided[30:][sided[30:] == 1], sided[sided == 4] = 2, 1
    write_stored(masks / "b.nii.gz", sided, AFFINE, metadata=MaskMetadata(classes=LATERALITY.classes))
    summary = run(truth, masks)
    assert summary["tumor_dice"]["mean"] == 1 and set(summary["dice"]) == {"kidney", "tumor"}


@pytest.mark.parametrize("cyst_as", ["kidney", "class", "background"])
def test_truth_with_cysts_is_truth(folders: tuple[Path, Path], cyst_as: str) -> None:
    """Labels 0..3 of KiTS21 and KiTS23, by --truth_dir as by --data_dir."""
    truth, masks = folders
    labels = challenge()
    labels[45:48, 8:11, 4:7] = 3
    for folder in (truth, masks):
        write_stored(folder / "a.nii.gz", labels, AFFINE)
    evaluate.main(
        evaluate.Evaluate(
            predictions_dir=str(masks),
            truth_dir=str(truth),
            workers=1,
            masks=evaluate.MaskSchemeSettings(cyst_as=cyst_as),
        )
    )
    summary = summary_in(masks / "evaluation")
    assert summary["kidney_dice"]["mean"] == 1 and summary["num_cases"] == 3
    assert ("cyst" in summary["dice"]) == (cyst_as == "class")


def test_where_scores_go_is_tried_before_the_work(folders: tuple[Path, Path], tmp_path: Path) -> None:
    truth, masks = folders
    both = {"predictions_dir": str(masks), "truth_dir": str(truth), "workers": 1}
    evaluate.main(evaluate.Evaluate(**both, output_dir=str(tmp_path / "scores")))
    assert summary_in(tmp_path / "scores")["num_cases"] == 3 and not (masks / "evaluation").exists()
    (tmp_path / "file").write_text("")
    nowhere = {**both, "predictions_dir": str(tmp_path / "nowhere")}  # the masks are not even looked for
    for flags in (both, nowhere):
        with pytest.raises(InputError, match="file/x: expected a folder to write to, .*file is none"):
            evaluate.main(evaluate.Evaluate(**flags, output_dir=str(tmp_path / "file" / "x")))


def test_one_bad_mask_does_not_cost_the_others_their_measurements(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    _, masks = folders
    write_stored(masks / "b.nii.gz", np.full((3, 3, 3), 7, np.uint8), AFFINE)
    with pytest.raises(InputError, match=r"1 of 3 masks failed, the first: .*b\.nii\.gz: expected labels 0\.\.2"):
        measure.main(measure.Measure(output_dir=str(tmp_path / "out")), [str(masks)])
    content = json.loads((tmp_path / "out" / "measurements.json").read_text())
    assert list(content) == ["a", "c"]
    right, left = content["a"]["kidneys"]
    voxel_ml = 0.008
    assert right["volume_ml"] + left["volume_ml"] == pytest.approx((challenge() == 1).sum() * voxel_ml)
    assert right["tumor_ml"] + left["tumor_ml"] == pytest.approx((challenge() == 2).sum() * voxel_ml)
    assert "labels: kidney, tumor in 2 masks" in capsys.readouterr().out


def test_a_submission_is_checked_before_it_is_packed(data_dir: Path, tmp_path: Path, caplog, capsys) -> None:
    masks, output = tmp_path / "masks", tmp_path / "a.zip"
    masks.mkdir()
    for number in (0, 1, 2):
        name = f"case_{number:05d}"
        shutil.copyfile(data_dir / name / "segmentation.nii.gz", masks / f"{name}.nii.gz")
    pack = {"predictions_dir": str(masks), "output": str(output)}
    with pytest.raises(InputError, match="expected masks of 4 cases, found none of 1: case_00003"):
        submission.main(submission.Submission(**pack, data_dir=str(data_dir)))
    other = nib.load(masks / "case_00000.nii.gz")
    nib.save(
        nib.Nifti1Image(other.dataobj, other.affine + np.eye(4)[:, :1] * [[0, 0, 0, 1]]), masks / "case_00003.nii.gz"
    )
    with pytest.raises(InputError, match=r"case_00003.nii.gz: expected the scan's grid"):
        submission.main(submission.Submission(**pack, data_dir=str(data_dir)))
    image = nib.load(masks / "case_00001.nii.gz")
    nib.save(nib.Nifti1Image(np.full(image.shape, 3, np.uint8), image.affine), masks / "case_00001.nii.gz")
    with pytest.raises(InputError, match="case_00001.nii.gz: expected labels 0..2"):
        submission.main(submission.Submission(**pack))
    assert not output.exists()
    for path in masks.iterdir():
        empty = nib.load(path)
        nib.save(nib.Nifti1Image(np.zeros(empty.shape, np.uint8), empty.affine), path)
    submission.main(submission.Submission(**pack))
    assert "4 masks, 0 of them with a tumor" in capsys.readouterr().out
    assert any("none of its masks has a tumor" in message for message in caplog.messages)
