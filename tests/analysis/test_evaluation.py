import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from conftest import OF_PHANTOMS, affine_of

from kits_tf import evaluate, figures
from kits_tf.analysis import evaluation
from kits_tf.analysis.evaluation_files import read_run_evaluation, read_scores, read_summary, write_scores
from kits_tf.analysis.lesions import Lesion
from kits_tf.analysis.scores import CaseScores
from kits_tf.analysis.statistics import summarize
from kits_tf.base.errors import InputError
from kits_tf.config import InferenceSettings, MaskSchemeSettings
from kits_tf.ct.cases import read_pair
from kits_tf.ct.labels import LATERALITY, from_challenge
from kits_tf.ct.layouts import CaseFiles
from kits_tf.ct.mask_metadata import MaskMetadata
from kits_tf.ct.volume import read_image, read_metadata, write_labels, write_stored
from kits_tf.inference.building import build_segmenter
from kits_tf.inference.model import Model, Segmentation
from kits_tf.pipeline.manifest import Manifest
from kits_tf.serving.versions import model_identity

KITS19_MASKS = MaskSchemeSettings(label_scheme="kits19")


@pytest.fixture
def perfect(data_dir: Path, tmp_path: Path) -> Path:
    """A folder of masks in which cases 0 and 1 are right and the tumor of case 1 is missing."""
    for number in (0, 1):
        folder = data_dir / f"case_{number:05d}"
        files = CaseFiles(folder.name, folder / "imaging.nii.gz", folder / "segmentation.nii.gz")
        image, mask = read_pair(files)
        labels, _ = from_challenge(mask.array, LATERALITY, image.array, image.grid.spacing_mm)
        if number:
            labels[labels == 3] = 1
        write_labels(tmp_path / "masks" / f"{folder.name}.nii.gz", labels, image, LATERALITY.classes)
    return tmp_path / "masks"


def test_masks_from_any_program(perfect: Path, data_dir: Path, capsys) -> None:
    evaluate.main(evaluate.Evaluate(predictions_dir=str(perfect), data_dir=str(data_dir), workers=1))
    summary = json.loads((perfect / "evaluation" / "summary.json").read_text())
    assert summary["num_cases"] == 2
    assert summary["kidney_dice"]["mean"] == 1.0
    assert summary["tumor_dice"]["mean"] == 0.5 and summary["composite"]["mean"] == 0.75
    assert set(summary["dice"]) == {"right_kidney", "left_kidney", "tumor"}
    with open(perfect / "evaluation" / "cases.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["case_id"], float(row["tumor_dice"])) for row in rows] == [("case_00000", 1.0), ("case_00001", 0.0)]
    table = capsys.readouterr().out
    assert "case_00001" in table and "0.750" in table and "95 % CI" in table
    assert "tumor diameter (mm)  true" in table and "MLPerf's Dice of label 1 (kidney without tumor)" in table
    # The lost tumor is kidney here: MLPerf's score, on the training grid, sees what KiTS19's of the kidney does not.
    assert float(rows[0]["mlperf_label_1_dice"]) == 1 > float(rows[1]["mlperf_label_1_dice"]) > 0.5
    with open(perfect / "evaluation" / "lesions.csv", newline="") as file:
        lesions = [(row["case_id"], row["mask"], row["matched"]) for row in csv.DictReader(file)]
    assert lesions == [
        ("case_00000", "true", "True"), ("case_00000", "predicted", "True"), ("case_00001", "true", "False")
    ]  # fmt: skip


def test_two_folders_of_masks_need_no_scans(perfect: Path, data_dir: Path, tmp_path: Path) -> None:
    """True masks in the challenge's labels: the predicted ones, with sides, are scored in these."""
    (tmp_path / "truth").mkdir()
    for number in (0, 1, 2):
        name = f"case_{number:05d}"
        shutil.copyfile(data_dir / name / "segmentation.nii.gz", tmp_path / "truth" / f"{name}.nii.gz")
    both = {"predictions_dir": str(perfect), "truth_dir": str(tmp_path / "truth"), "workers": 1}
    (tmp_path / "truth" / "case_00002.nii.gz").unlink()
    evaluate.main(evaluate.Evaluate(**both))
    summary = json.loads((perfect / "evaluation" / "summary.json").read_text())
    assert summary["composite"]["mean"] == 0.75 and set(summary["dice"]) == {"kidney", "tumor"}
    # True masks that name their labels are of these.
    named = tmp_path / "truth" / "case_00000.nii.gz"
    shutil.copyfile(perfect / "case_00000.nii.gz", named)
    image = nib.load(named)
    write_stored(named, np.asarray(image.dataobj), image.affine, image.header, MaskMetadata(classes=LATERALITY.classes))
    for folder in (perfect, tmp_path / "truth"):
        (folder / "case_00001.nii.gz").unlink()
    evaluate.main(evaluate.Evaluate(**both))
    summary = json.loads((perfect / "evaluation" / "summary.json").read_text())
    assert summary["composite"]["mean"] == 1 and set(summary["dice"]) == {"right_kidney", "left_kidney", "tumor"}
    named.unlink()
    with pytest.raises(InputError, match="expected a true mask of this name in .*truth|expected masks"):
        evaluate.main(evaluate.Evaluate(**both))


def test_masks_that_name_their_labels_need_no_flag(data_dir: Path, tmp_path: Path) -> None:
    image = nib.load(data_dir / "case_00002" / "segmentation.nii.gz")
    labels = np.asarray(image.dataobj).astype(np.uint8)
    path = tmp_path / "case_00002.nii.gz"
    write_stored(path, labels, image.affine, image.header, MaskMetadata(classes=("background", "kidney", "tumor")))
    both = {"predictions_dir": str(tmp_path), "data_dir": str(data_dir), "workers": 1}
    evaluate.main(evaluate.Evaluate(**both))
    assert json.loads((tmp_path / "evaluation" / "summary.json").read_text())["composite"]["mean"] == 1
    # What a mask says of itself is right; a flag that says something else is not passed over.
    with pytest.raises(InputError, match="--label_scheme=laterality: .*found 1 mask that names kidney, tumor, the fir"):
        evaluate.main(evaluate.Evaluate(**both, masks=MaskSchemeSettings(label_scheme="laterality")))
    write_stored(path, labels, image.affine, image.header, MaskMetadata(classes=("background", "liver", "spleen")))
    with pytest.raises(InputError, match="case_00002.nii.gz: expected labels of a scheme of kits_tf, found .*liver"):
        evaluate.main(evaluate.Evaluate(**both))


def test_two_evaluations_are_compared(tmp_path: Path, capsys) -> None:
    for name, gain in (("first", 0.0), ("second", 0.1)):
        (tmp_path / name).mkdir()
        rows = [f"case_{i:05d},{0.5 + 0.01 * i + gain * (i > 0)},nan" for i in range(7)]
        (tmp_path / name / "cases.csv").write_text("\n".join(["case_id,tumor_dice,tumor_hd95_mm", *rows]))
    evaluate.main(evaluate.Evaluate(compare=f"{tmp_path}/first,{tmp_path}/second"))
    tumor, distance = capsys.readouterr().out.splitlines()[-2:]
    # Of 2^6 ways to sign six equal differences two are as far off; the normal approximation, for ties, says less.
    assert tumor.split()[:4] == ["tumor", "Dice", "7", "+0.0857"] and float(tumor.split()[5]) < 0.05
    assert distance.split() == ["tumor", "HD95", "(mm)", "0", "-", "-"]
    path = tmp_path / "second" / "cases.csv"
    path.write_text(path.read_text().replace("case_00006", "case_00009"))
    evaluate.main(evaluate.Evaluate(compare=f"{tmp_path}/first,{tmp_path}/second"))
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "1 case of the first evaluation alone, not compared: case_00006",
        "1 case of the second evaluation alone, not compared: case_00009",
    ]
    with pytest.raises(InputError, match=r"gone: expected a folder with the cases.csv .*, found no such folder"):
        evaluate.main(evaluate.Evaluate(compare=f"{tmp_path}/first,{tmp_path}/gone"))
    with pytest.raises(InputError, match=r"writes, found none in it; there is one in \S+/first, \S+/second$"):
        evaluate.main(evaluate.Evaluate(compare=f"{tmp_path}/first,{tmp_path}"))
    with pytest.raises(InputError, match="--compare: expected two folders with a comma between"):
        evaluate.Evaluate(compare="one")
    (tmp_path / "second" / "cases.csv").write_text("case_id,tumor_dice\nother,0.5\n")
    with pytest.raises(InputError, match="second: expected cases of .*first, found none of them"):
        evaluate.main(evaluate.Evaluate(compare=f"{tmp_path}/first,{tmp_path}/second"))


def test_challenge_labels(data_dir: Path, tmp_path: Path) -> None:
    shutil.copyfile(data_dir / "case_00002" / "segmentation.nii.gz", tmp_path / "case_00002.nii.gz")
    evaluate.main(
        evaluate.Evaluate(predictions_dir=str(tmp_path), data_dir=str(data_dir), workers=1, masks=KITS19_MASKS)
    )
    summary = json.loads((tmp_path / "evaluation" / "summary.json").read_text())
    assert summary["composite"] == {"mean": 1.0, "interval_95": [None, None], "median": 1.0, "left_out": 0}
    assert set(summary["dice"]) == {"kidney", "tumor"}


def test_a_run_is_scored_on_the_original_grid(
    run_dir: Path, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = shutil.copytree(run_dir, tmp_path / "run")
    models: list[Model] = []

    def segmenter(*arguments: Any) -> SimpleNamespace:
        """Traces the graph for the first split only."""
        if not models:
            models.append(build_segmenter(*arguments).model())
        return SimpleNamespace(model=lambda: models[0])

    monkeypatch.setattr(evaluation, "build_segmenter", segmenter)
    for split in ("validation", "test"):
        evaluate.main(evaluate.Evaluate(run_dir=str(copy), split=split))
        output = copy / "evaluation" / split
        summary = json.loads((output / "summary.json").read_text())
        (mask_path,) = (output / "masks").iterdir()
        case_id = mask_path.name.removesuffix(".nii.gz")
        mask, truth = nib.load(mask_path), nib.load(data_dir / case_id / "segmentation.nii.gz")
        assert mask.shape == truth.shape and (mask.affine == truth.affine).all()
        # They say of what they are as those of predict do, which leaves such a scan out.
        assert read_metadata(mask_path) == MaskMetadata(
            classes=LATERALITY.classes,
            scan=read_image(data_dir / case_id / "imaging.nii.gz").digest(),
            model=model_identity(str(copy), InferenceSettings()),
            warnings=(OF_PHANTOMS,),
        )
        predicted = LATERALITY.to_challenge(np.asarray(mask.dataobj)) > 0
        expected = np.asarray(truth.dataobj) > 0
        dice = 2 * (predicted & expected).sum() / (predicted.sum() + expected.sum())
        assert summary["num_cases"] == 1 and summary["inference"] == ""
        assert summary["kidney_dice"]["mean"] == pytest.approx(dice)
        kept = read_run_evaluation(copy, split, None, MaskSchemeSettings())
        assert kept.summary.scores["kidney_dice"].mean == summary["kidney_dice"]["mean"]
        assert [files.case_id for files in kept.cases] == list(kept.scores) == [case_id]


def test_folds_are_scored_each_and_together(run_dir: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    """Fold 0 marks what is true, fold 1 nothing: one case has Dice 1, the other 0, and both together 0.5."""
    folds = {"fold0": "case_00000", "fold1": "case_00001"}
    for name, case_id in folds.items():
        shutil.copytree(run_dir, tmp_path / "runs" / name)
        manifest = Manifest.read(run_dir)
        replace(manifest, splits=manifest.splits | {"validation": [case_id]}).write(tmp_path / "runs" / name)
    monkeypatch.setattr(evaluation, "load_run", lambda folder: SimpleNamespace(manifest=Manifest.read(folder)))

    def pretended(runs: list, _: InferenceSettings) -> SimpleNamespace:
        (files,) = evaluation.cases_of_split(runs[0].manifest, "validation", runs[0].manifest.data_dir)
        image, truth = evaluation.read_truth(files, runs[0].manifest.scheme)
        truth = truth * (files.case_id == "case_00000")
        labels = replace(image, array=truth).as_stored()
        result = Segmentation(labels=labels, volumes_ml=np.zeros(4), confidence=np.zeros(4))
        return SimpleNamespace(model=lambda: Model(lambda *_: result, runs[0].manifest.scheme))

    monkeypatch.setattr(evaluation, "build_segmenter", pretended)
    evaluate.main(evaluate.Evaluate(run_dir=str(tmp_path / "runs")))
    together = read_scores(tmp_path / "runs" / "evaluation" / "validation")
    assert [(name, values["kidney_dice"]) for name, values in together.items()] == [
        ("case_00000", 1),
        ("case_00001", 0),
    ]
    summary = read_summary(tmp_path / "runs" / "evaluation" / "validation")
    assert (summary.num_cases, summary.scores["composite"].mean) == (2, 0.5)
    for name, case_id in folds.items():
        assert list(read_scores(tmp_path / "runs" / name / "evaluation" / "validation")) == [case_id]
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["fold0", "1", *["1.000"] * 5] in lines and ["fold1", "1", *["0.000"] * 5] in lines
    assert ["standard", "deviation", *["0.707"] * 5] in lines and ["mean", *["0.500"] * 5] in lines
    shutil.copy(tmp_path / "runs" / "fold0" / "manifest.json", tmp_path / "runs" / "fold1")
    with pytest.raises(InputError, match="validated on different cases, found case_00000 in several"):
        evaluate.main(evaluate.Evaluate(run_dir=str(tmp_path / "runs")))


def test_mlperfs_score_of_masks_is_taken_on_the_grid_that_is_given(perfect: Path, data_dir: Path) -> None:
    """On voxels as large as a kidney the lost tumor of case 1 is not seen."""
    coarse = replace(evaluation.MLPERF_GRID, spacing_zyx_mm=(40.0, 40.0, 40.0))
    for grid, is_seen in ((evaluation.MLPERF_GRID, True), (coarse, False)):
        plan = evaluation.EvaluationPlan(mlperf_grid=grid, workers=1)
        result = evaluation.evaluate_masks(perfect, str(data_dir), plan)
        assert (result.scores[1].values["mlperf_label_1_dice"] < 1) == is_seen


def test_a_summary_is_read_as_it_was_written(tmp_path: Path) -> None:
    values = {"kidney_dice": 0.5, "dice_tumor": 0.25, "tumor_hd95_mm": np.inf}
    cases = [CaseScores("case_00000", values, (Lesion(True, 10.0, 0.5),), np.zeros((3, 3), np.int64))]
    summary = summarize(cases, "--flip_axes=x")
    write_scores(cases, summary, tmp_path)
    assert read_summary(tmp_path) == summary and read_scores(tmp_path) == {"case_00000": values}
    content = json.loads((tmp_path / "summary.json").read_text())
    assert list(content) == [
        "num_cases",
        "kidney_dice",
        "tumor_hd95_mm",
        "dice",
        "lesions_by_size",
        "inference",
        "coverage",
    ]
    assert content["dice"]["tumor"]["mean"] == 0.25 and content["inference"] == "--flip_axes=x"


def test_what_cannot_be_scored_is_named(perfect: Path, data_dir: Path, run_dir: Path, tmp_path: Path) -> None:
    def refused(message: str, **flags: Any) -> None:
        with pytest.raises(InputError, match=message):
            evaluate.main(evaluate.Evaluate(**flags))

    both = {"predictions_dir": str(perfect), "data_dir": str(data_dir), "workers": 1}
    labels = np.zeros((3, 3, 3), np.uint8)
    nib.save(nib.Nifti1Image(labels, affine_of("IPL")), perfect / "case_00001.nii.gz")
    grids = "expected the scan's grid of 26 x 60 x 60 voxels, got 3 x 3 x 3"
    refused(f"1 of 2 cases failed, the first: .*case_00001.nii.gz: {grids}", **both)
    (perfect / "case_00001.nii.gz").rename(perfect / "other.nii.gz")
    refused("other: expected a case of", **both)
    (tmp_path / "empty").mkdir()
    refused("empty: expected masks", predictions_dir=str(tmp_path / "empty"), data_dir=str(data_dir))
    refused("gone: expected a folder of masks", predictions_dir=str(tmp_path / "gone"), data_dir=str(data_dir))
    refused("gone: expected a run directory", run_dir=str(tmp_path / "gone"))
    refused("--label_scheme: expected laterality as in", run_dir=str(run_dir), masks=KITS19_MASKS)
    shutil.copytree(data_dir / "case_00000", tmp_path / "data" / "case_00000")
    refused(
        "expected case_00003 of the run's test split",
        run_dir=str(run_dir),
        data_dir=str(tmp_path / "data"),
        split="test",
    )


def test_figures_show_both_masks(perfect: Path, data_dir: Path, tmp_path: Path) -> None:
    known = {"predictions_dir": str(perfect), "data_dir": str(data_dir), "workers": 1}
    settings = figures.Figures(output_dir=str(tmp_path / "png"), **known)
    figures.main(settings, [])
    first = {p.name: p.read_bytes() for p in (tmp_path / "png").iterdir()}
    assert set(first) == {"case_00000.png", "case_00001.png"}
    assert all(content.startswith(b"\x89PNG") for content in first.values())
    (perfect / "case_00001.nii.gz").unlink()
    figures.main(settings, [])
    assert first == {p.name: p.read_bytes() for p in (tmp_path / "png").iterdir()}
    shutil.copyfile(data_dir / "case_00000" / "segmentation.nii.gz", perfect / "case_00000.nii.gz")
    figures.main(settings, [])  # challenge labels read as sides: another picture
    assert (tmp_path / "png" / "case_00000.png").read_bytes() != first["case_00000.png"]
