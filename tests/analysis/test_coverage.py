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

COPIES = "Every mask equals the true mask of its case, voxel for voxel: these are the references themselves."
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
        "warnings": [COPIES],
    }
    said = capsys.readouterr().out
    assert said.startswith("labels: kidney, tumor in 3 masks") and f"\nWARNING: {COPIES}\nwrote" in said


def test_labels_that_mean_something_else_are_noticed(folders: tuple[Path, Path], capsys: pytest.CaptureFixture) -> None:
    truth, masks = folders
    for name in "abc":
        exchanged = np.array([0, 2, 1], np.uint8)[challenge()]
        write_stored(masks / f"{name}.nii.gz", exchanged, AFFINE)
    (warning,) = run(truth, masks)["coverage"]["warnings"]
    assert "label 2 fits the kidney (Dice 1.000) rather than the tumor (0.000)" in warning
    assert f"\nWARNING: {warning}\nwrote" in capsys.readouterr().out


def test_a_true_mask_without_a_predicted_one_counts_as_an_empty_one(folders: tuple[Path, Path]) -> None:
    truth, masks = folders
    (masks / "b.nii.gz").unlink()
    nib.save(nib.load(masks / "c.nii.gz"), masks / "c.nii")
    (masks / "c.nii.gz").unlink()
    with pytest.raises(InputError, match="1 of 3 cases failed, the first: b: expected a mask in .*none: scored 0"):
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
    assert "2 cases failed, in no mean: " in capsys.readouterr().out
    assert sum(message.startswith("failed: ") for message in caplog.messages) == 2


def test_masks_of_several_schemes_each_have_their_own(folders: tuple[Path, Path]) -> None:
    truth, masks = folders
    sided = challenge()
    sided[:30][sided[:30] == 1], sided[sided == 2] = 4, 3
    sided[30:][sided[30:] == 1], sided[sided == 4] = 2, 1
    write_stored(masks / "b.nii.gz", sided, AFFINE, metadata=MaskMetadata(classes=LATERALITY.classes))
    summary = run(truth, masks)
    assert summary["tumor_dice"]["mean"] == 1 and set(summary["dice"]) == {"kidney", "tumor"}


def test_a_label_3_is_a_cyst_where_the_true_masks_have_cysts(folders: tuple[Path, Path]) -> None:
    """Predicted masks in the labels of KiTS21 and KiTS23 need no flag; without a cyst in the truth a 3 is refused."""
    truth, masks = folders
    labels = challenge()
    labels[45:48, 8:11, 4:7] = 3
    write_stored(masks / "b.nii.gz", labels, AFFINE)
    with pytest.raises(InputError, match=r"1 of 3 cases failed, the first: .*b\.nii\.gz: expected labels 0\.\.2"):
        run(truth, masks)
    write_stored(truth / "a.nii.gz", labels, AFFINE)
    summary = run(truth, masks)
    assert summary["kidney_dice"]["mean"] == 1 and summary["num_cases"] == 3
    assert summary["coverage"]["labels"].startswith("labels: kidney, tumor (3 is a cyst) in 3 masks")


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
        with pytest.raises(InputError, match="file/x: expected a folder to write to, .*file is a file"):
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
    assert content["a"]["labels"] == ["background", "kidney", "tumor"]


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
    nib.save(nib.Nifti1Image(other.dataobj, other.affine * 1.5), masks / "case_00003.nii.gz")
    with pytest.raises(InputError, match=r"case_00003.nii.gz: expected the scan's place and axes"):
        submission.main(submission.Submission(**pack, data_dir=str(data_dir)))
    image = nib.load(masks / "case_00001.nii.gz")
    nib.save(nib.Nifti1Image(np.full(image.shape, 3, np.uint8), image.affine), masks / "case_00001.nii.gz")
    with pytest.raises(InputError, match="case_00001.nii.gz: expected labels 0..2"):
        submission.main(submission.Submission(**pack))
    assert not output.exists()
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="folder: expected a file to write, found a folder"):
        submission.main(submission.Submission(predictions_dir=str(masks), output=str(tmp_path / "folder")))
    for path in masks.iterdir():
        empty = nib.load(path)
        affine = nib.load(data_dir / path.name.removesuffix(".nii.gz") / "imaging.nii.gz").affine
        nib.save(nib.Nifti1Image(np.zeros(empty.shape, np.uint8), affine), path)
    submission.main(submission.Submission(**pack))
    assert "4 masks, 0 with a tumor" in capsys.readouterr().out
    assert any("none of its masks has a tumor" in message for message in caplog.messages)
    caplog.clear()
    submission.main(submission.Submission(check=str(output), data_dir=str(data_dir)))
    assert any("none of its masks has a tumor" in message for message in caplog.messages)


def test_masks_with_other_names_are_not_left_out_of_a_submission_without_a_word(
    folders: tuple[Path, Path], tmp_path: Path, caplog, capsys
) -> None:
    _, masks = folders
    (masks / "a.nii.gz").rename(masks / "case_00001.nii.gz")
    (masks / "b.nii.gz").rename(masks / "case_2.nii.gz")
    submission.main(submission.Submission(predictions_dir=str(masks), output=str(tmp_path / "a.zip")))
    assert "expected masks named like case_00210.nii.gz; 2 masks skipped: c, case_2" in caplog.text
    assert "a.zip: 1 mask, 1 with a tumor" in capsys.readouterr().out


def test_a_missing_mask_never_makes_a_mean_better(folders: tuple[Path, Path], capsys) -> None:
    """Truth b has no tumor, so that an empty prediction of it would have tumor Dice 1; c has no label at all."""
    truth, masks = folders
    no_tumor = np.where(challenge() == 2, 1, challenge()).astype(np.uint8)
    write_stored(truth / "b.nii.gz", no_tumor, AFFINE)
    write_stored(truth / "c.nii.gz", np.zeros_like(no_tumor), AFFINE)
    write_stored(truth / "a.nii.gz", challenge(3), AFFINE)
    write_stored(masks / "a.nii.gz", challenge(1), AFFINE)
    predicted, true = ((challenge(seed) == 2).sum() for seed in (1, 3))
    dice = 2 * predicted / (predicted + true)  # the smaller tumor lies within the larger one
    for name in "bc":
        (masks / f"{name}.nii.gz").unlink()
    with pytest.raises(InputError, match="2 of 3 cases failed"):
        run(truth, masks)
    summary = summary_in(masks / "evaluation")
    assert summary["tumor_dice"]["mean"] == pytest.approx(dice / 3)
    assert summary["kidney_dice"]["mean"] == pytest.approx(1 / 3)
    assert summary["composite"]["mean"] == pytest.approx((dice + 1) / 6)
    for key in ("kits23_mass_dice", "kits23_tumor_surface_dice", "kits23_kidney_and_mass_surface_dice"):
        assert 0 < summary[key]["mean"] <= 1 / 3
    assert summary["mlperf_label_1_dice"]["mean"] <= 1 / 3 and summary["dice"]["tumor"]["mean"] <= 1 / 3
    for key in ("tumor_hd95_mm", "kidney_average_distance_mm", "lesions_falsely_raised"):
        assert summary[key]["left_out"] == 2
    assert "2 cases without a mask, scored 0: b, c" in capsys.readouterr().out


def test_a_mask_of_no_case_is_listed_and_costs_no_other(folders: tuple[Path, Path], data_dir: Path, tmp_path) -> None:
    truth, masks = folders
    (truth / "c.nii.gz").unlink()
    with pytest.raises(InputError, match=r"1 of 3 cases failed, .*masks/c: expected a true mask of this name in .*tru"):
        run(truth, masks)
    summary = summary_in(masks / "evaluation")
    assert summary["num_cases"] == 2 and summary["coverage"]["failed"] == ["c"]
    assert summary["coverage"]["labels"].startswith("labels: kidney, tumor in 2 masks")
    with pytest.raises(InputError, match=r"masks/a: expected a case of this name in .*none, nor of the other 2$"):
        evaluate.main(evaluate.Evaluate(predictions_dir=str(masks), data_dir=str(data_dir), workers=1))
    (tmp_path / "some").mkdir()
    shutil.copyfile(data_dir / "case_00000" / "segmentation.nii.gz", tmp_path / "some" / "case_00000.nii.gz")
    shutil.copyfile(data_dir / "case_00000" / "segmentation.nii.gz", tmp_path / "some" / "case_0.nii.gz")
    with pytest.raises(InputError, match=r"1 of 2 cases failed, .*some/case_0: expected a case of this name"):
        evaluate.main(evaluate.Evaluate(predictions_dir=str(tmp_path / "some"), data_dir=str(data_dir), workers=1))
    assert summary_in(tmp_path / "some" / "evaluation")["kidney_dice"]["mean"] == 1


def test_what_becomes_of_cysts_goes_for_the_truth_of_named_masks_too(folders: tuple[Path, Path]) -> None:
    truth, masks = folders
    labels = challenge()
    labels[45:48, 8:11, 4:7] = 3
    for name in "abc":
        write_stored(truth / f"{name}.nii.gz", labels, AFFINE)
        metadata = MaskMetadata(classes=("background", "kidney", "tumor"))
        write_stored(masks / f"{name}.nii.gz", np.where(labels == 3, 0, labels), AFFINE, metadata=metadata)
    flags = {"predictions_dir": str(masks), "truth_dir": str(truth), "workers": 1}
    evaluate.main(evaluate.Evaluate(**flags, masks=evaluate.MaskSchemeSettings(cyst_as="background")))
    assert summary_in(masks / "evaluation")["kidney_dice"]["mean"] == 1
    with pytest.raises(InputError, match="--label_scheme=laterality: expected masks that do not name"):
        evaluate.main(evaluate.Evaluate(**flags, masks=evaluate.MaskSchemeSettings(label_scheme="laterality")))


def test_two_masks_of_one_name_are_not_measured_as_one(folders: tuple[Path, Path], tmp_path: Path) -> None:
    truth, masks = folders
    measure.main(measure.Measure(output_dir=str(tmp_path / "out")), [str(truth), str(masks)])
    content = json.loads((tmp_path / "out" / "measurements.json").read_text())
    assert sorted(content) == [f"{folder}_{name}" for folder in ("masks", "truth") for name in "abc"]
    measure.main(measure.Measure(), [str(masks), str(masks / "a.nii.gz")])  # the very same one, given twice
