"""Evaluating a run or a folder of masks, case by case, on the original grid."""

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from kits_tf import runtime
from kits_tf.analysis.scores import CaseScores, score_case, summarize
from kits_tf.config import Evaluate, Train
from kits_tf.ct.labels import Scheme, check_labels, find_scheme
from kits_tf.ct.layouts import CaseFiles, find_cases
from kits_tf.ct.volume import Volume, read_labels, write_labels
from kits_tf.errors import InputError
from kits_tf.inference.segmenter import Segmenter, segment_volume
from kits_tf.pipeline.example import read_labeled
from kits_tf.pipeline.manifest import Manifest
from kits_tf.training.run import Run, float32_copy, load_run
from tfrecords_tools.files import written_whole

MASKS = "masks"


@dataclass(frozen=True)
class Evaluation:
    """What is to be scored.

    Attributes:
        cases: with their true masks, in the challenge's labels.
        scheme: of the predicted masks.
        output_dir: for cases.csv and summary.json.
        predict: takes a case and its scan to predicted labels (z, y, x) uint8 on the scan's grid.
    """

    cases: list[CaseFiles]
    scheme: Scheme
    output_dir: Path
    predict: Callable[[CaseFiles, Volume], NDArray[np.uint8]]

    def score(self, files: CaseFiles) -> CaseScores:
        """Returns the scores of one case.

        Raises:
            InputError: its files or its predicted mask cannot be used.
        """
        image, truth = read_truth(files, self.scheme)
        return score_case(files.case_id, truth, self.predict(files, image), self.scheme)


def of_run(settings: Evaluate) -> Evaluation:
    """Returns the evaluation of a run's split; predicted masks are kept beside the scores.

    Raises:
        InputError: the run cannot be loaded, the split has no case, or a case is no longer in the data.
    """
    run_dir = Path(settings.run_dir or "")
    run = load_run(run_dir)
    scheme = run.manifest.scheme
    for flag, ours, given in (
        ("label_scheme", scheme.name, settings.label_scheme),
        ("cyst_as", scheme.cyst_as, settings.cyst_as),
    ):
        if given not in (None, ours):
            raise InputError(f"--{flag}: expected {ours} as in {run_dir}, got {given}")
    if not run.manifest.splits[settings.split]:
        raise InputError(f"{run_dir}: its records have no {settings.split} cases (--test_cases of convert names them)")
    cases = _cases_of(run.manifest, settings.split, settings.data_dir or run.manifest.data_dir)
    output_dir = run_dir / "evaluation" / settings.split
    segmenter = Segmenter([run], settings.inference)

    def predict(files: CaseFiles, image: Volume) -> NDArray[np.uint8]:
        labels = segment_volume(segmenter.segment, image)
        write_labels(output_dir / MASKS / f"{files.case_id}.nii.gz", labels, like=image)
        return labels

    return Evaluation(cases, scheme, output_dir, predict)


def validation_scorer(settings: Train, manifest: Manifest) -> Callable[[keras.Model], dict[str, float]]:
    """Returns what scores a network as `of_run` would, on the validation cases: kidney_dice, tumor_dice, composite.

    Args:
        settings: of the run.
        manifest: of its records.

    Raises:
        InputError: a validation case is not where convert found it.
    """
    cases, scheme = _cases_of(manifest, "validation", manifest.data_dir), manifest.scheme

    def score(network: keras.Model) -> dict[str, float]:
        with runtime.layers_in("float32"):
            segmenter = Segmenter([Run(settings, manifest, float32_copy(network, settings))], settings.inference)

        def predict(_: CaseFiles, image: Volume) -> NDArray[np.uint8]:
            return segment_volume(segmenter.segment, image)

        evaluation = Evaluation(cases, scheme, Path(), predict)
        summary = summarize([evaluation.score(files) for files in cases])
        return {name: summary[name]["mean"] for name in ("kidney_dice", "tumor_dice", "composite")}

    return score


def of_predictions(settings: Evaluate) -> Evaluation:
    """Returns the evaluation of a folder of masks case_00000.nii.gz, ... against the data's own.

    Raises:
        InputError: a folder is missing, there is no mask, or a mask has no case.
    """
    masks_dir = Path(settings.predictions_dir or "")
    scheme = find_scheme(settings.label_scheme or "laterality", settings.cyst_as or "kidney")
    cases = predicted_cases(masks_dir, settings.data_dir or "")

    def predict(files: CaseFiles, image: Volume) -> NDArray[np.uint8]:
        return read_prediction(masks_dir, files.case_id, image, scheme)

    return Evaluation(cases, scheme, masks_dir / "evaluation", predict)


def predicted_cases(masks_dir: Path, data_dir: str) -> list[CaseFiles]:
    """Returns the cases of the data that have a mask in a folder.

    Raises:
        InputError: a folder is missing, there is no mask, or a mask has no case.
    """
    if not masks_dir.is_dir():
        raise InputError(f"{masks_dir}: expected a folder of masks, found no such folder")
    cases = {files.case_id: files for files in find_cases(data_dir)}
    names = sorted(path.name.removesuffix(".nii.gz") for path in masks_dir.glob("*.nii.gz"))
    if not names:
        raise InputError(f"{masks_dir}: expected masks case_00000.nii.gz, ..., found none")
    for name in names:
        if name not in cases:
            raise InputError(f"{masks_dir / name}.nii.gz: expected a case of {data_dir}, found none of this name")
    return [cases[name] for name in names]


def _cases_of(manifest: Manifest, split: str, data_dir: str) -> list[CaseFiles]:
    """Returns the files of a split's cases.

    Raises:
        InputError: a case is not in the data.
    """
    found = {files.case_id: files for files in find_cases(data_dir)}
    for case_id in manifest.splits[split]:
        if case_id not in found:
            raise InputError(f"{data_dir}: expected {case_id} of the run's {split} split, found no such case")
    return [found[case_id] for case_id in manifest.splits[split]]


def read_truth(files: CaseFiles, scheme: Scheme) -> tuple[Volume, NDArray[np.uint8]]:
    """Returns the scan of a case and its true labels (z, y, x), both at native size.

    Raises:
        InputError: as `read_labeled`; or the data has no mask of the case.
    """
    scan = read_labeled(files, scheme)
    if scan.labels is None:
        raise InputError(f"{files.image}: expected a true mask to compare with, {files.case_id} has none")
    return scan.image, scan.labels


def read_prediction(masks_dir: Path, case_id: str, image: Volume, scheme: Scheme) -> NDArray[np.uint8]:
    """Returns a predicted mask (z, y, x) on the scan's grid.

    Raises:
        InputError: it cannot be read, lies on another grid, or has a label that is not of the scheme.
    """
    path = masks_dir / f"{case_id}.nii.gz"
    mask = read_labels(path)
    if not mask.grid.same_as(image.grid):
        expected = f"the scan's {image.grid.shape} at {image.grid.affine.tolist()}"
        raise InputError(f"{path}: expected {expected}, got {mask.grid.shape} at {mask.grid.affine.tolist()}")
    check_labels(mask.array, len(scheme.classes), str(path))
    return mask.array


def write(scores: list[CaseScores], output_dir: Path) -> dict:
    """Writes cases.csv and summary.json, each under a temporary name first, and returns the summary."""
    output_dir.mkdir(parents=True, exist_ok=True)
    summary = summarize(scores)
    with written_whole(output_dir / "cases.csv") as partial, open(partial, "w", newline="") as file:
        writer = csv.DictWriter(file, ["case_id", *scores[0].row()])
        writer.writeheader()
        writer.writerows({"case_id": case.case_id, **case.row()} for case in scores)
    with written_whole(output_dir / "summary.json") as partial:
        partial.write_text(json.dumps(summary, indent=1) + "\n")
    return summary
