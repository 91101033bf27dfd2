"""Evaluating a run or a folder of masks, case by case, on the original grid."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from kits_tf.analysis.evaluation_files import MASKS, scores_dir_of_masks, scores_dir_of_run, write_scores
from kits_tf.analysis.mask_pair import MaskPair
from kits_tf.analysis.masks import (
    check_scheme,
    mask_pairs,
    predicted_cases,
    predicted_scheme,
    read_on_grid_of,
    read_prediction,
    scheme_in,
)
from kits_tf.analysis.scores import COMPOSITE, KIDNEY_DICE, TUMOR_DICE, CaseScores, dice_scores, score_pair
from kits_tf.analysis.statistics import Summary, summarize
from kits_tf.base import devices
from kits_tf.base.errors import InputError
from kits_tf.base.processes import run_tasks, start_tensorflow_in_worker
from kits_tf.base.progress import track
from kits_tf.base.settings import non_default_flags
from kits_tf.config import GridSettings, InferenceSettings, MaskSchemeSettings
from kits_tf.ct.cases import read_labeled
from kits_tf.ct.labels import KITS19, Scheme, check_labels
from kits_tf.ct.layouts import CaseFiles, find_cases_named
from kits_tf.ct.volume import Volume, read_labels, write_labels
from kits_tf.inference.building import build_segmenter
from kits_tf.inference.model import Model
from kits_tf.inference.segmenter import Segmenter
from kits_tf.pipeline.manifest import Manifest
from kits_tf.training.plan import TrainingPlan
from kits_tf.training.run import Run, float32_copy, load_run

# MLPerf takes its score on its own grid. Masks of any program say nothing of a training grid, so theirs is taken there.
MLPERF_GRID = GridSettings(spacing_zyx_mm=(1.6, 1.2, 1.2), label_kernel="cubic_fit")
_VALIDATED = (KIDNEY_DICE, TUMOR_DICE, COMPOSITE)


@dataclass(frozen=True, kw_only=True)
class EvaluationResult:
    """What an evaluation has written.

    Attributes:
        scores: scores of each case.
        summary: statistics of these scores over all cases.
        scores_dir: folder of cases.csv, lesions.csv and summary.json.
    """

    scores: list[CaseScores]
    summary: Summary
    scores_dir: Path


def evaluate_run(
    run_dir: Path, split: str, data_dir: str | None, inference: InferenceSettings, masks: MaskSchemeSettings
) -> EvaluationResult:
    """Segments and scores the cases of a run's split, and writes scores and masks into the run's folder.

    Args:
        run_dir: folder of the run.
        split: "validation" or "test".
        data_dir: folder of scans and true masks; None for where convert found them.
        inference: settings of the segmentation.
        masks: scheme of the run, where flags name it.

    Raises:
        InputError: the run cannot be loaded, the split has no case, or a case is no longer in the data.
    """
    run = load_run(run_dir)
    scheme = run.manifest.scheme
    check_scheme(scheme, masks, run_dir)
    if not run.manifest.splits[split]:
        raise InputError(f"{run_dir}: its records have no {split} cases (--test_cases of convert names them)")
    cases = cases_of_split(run.manifest, split, data_dir or run.manifest.data_dir)
    scores_dir = scores_dir_of_run(run_dir, split)
    model = _accepting(build_segmenter([run], inference))
    scores = []
    for files in track(cases, "case", len(cases)):
        image, truth = read_truth(files, scheme)
        predicted = model.labels(image)
        write_labels(scores_dir / MASKS / f"{files.case_id}.nii.gz", predicted, like=image, classes=scheme.classes)
        pair = MaskPair(
            truth=truth,
            predicted=predicted,
            scheme=scheme,
            spacing_mm=image.grid.spacing_mm,
            training_grid=run.manifest.grid,
        )
        scores.append(score_pair(files.case_id, pair))
    if inference.coarse_model:  # readers of the scores need the model's name, and not its folder
        inference = replace(inference, coarse_model=Path(inference.coarse_model).name)
    return _write(scores, scores_dir, non_default_flags(inference))


def evaluate_masks(
    masks_dir: Path, data_dir: str, masks: MaskSchemeSettings, mlperf_grid: GridSettings, workers: int
) -> EvaluationResult:
    """Scores a folder of masks case_00000.nii.gz, ... against the data's own masks, and writes the scores into it.

    Args:
        masks_dir: folder of the masks, of any program.
        data_dir: data set with scans and true masks.
        masks: scheme of the masks, where flags name it.
        mlperf_grid: grid that MLPerf's score is taken on.
        workers: number of processes; 0: by cores and memory.

    Raises:
        InputError: a folder is missing, there is no mask, a mask has no case, or names labels that are not of a scheme.
    """
    scheme = predicted_scheme(masks_dir, masks)
    tasks = [(files, masks_dir, scheme, mlperf_grid) for files in predicted_cases(masks_dir, data_dir)]
    return _write(_scores_in_processes(_score_case, tasks, workers), scores_dir_of_masks(masks_dir))


def evaluate_mask_pairs(
    masks_dir: Path, truth_dir: Path, masks: MaskSchemeSettings, mlperf_grid: GridSettings, workers: int
) -> EvaluationResult:
    """Scores a folder of masks against a folder of true masks of the same names, and writes the scores into the first.

    Args:
        masks_dir: folder of the predicted masks, of any program.
        truth_dir: folder of the true masks.
        masks: scheme of the predicted masks, where flags name it.
        mlperf_grid: grid that MLPerf's score is taken on.
        workers: number of processes; 0: by cores and memory.

    Raises:
        InputError: a folder is missing, there is no mask, a predicted mask has no true one, or a mask names labels that
            are not of a scheme.
    """
    scheme = predicted_scheme(masks_dir, masks)
    tasks = [(*pair, scheme, mlperf_grid) for pair in mask_pairs(masks_dir, truth_dir)]
    return _write(_scores_in_processes(_score_masks, tasks, workers), scores_dir_of_masks(masks_dir))


def validation_scorer(plan: TrainingPlan) -> Callable[[keras.Model], dict[str, float]]:
    """Returns a function that gives a network's Dice on the validation cases, as `evaluate_run` would have them.

    Its result has the means of kidney, tumor and composite.

    Args:
        plan: run that is being trained.

    Raises:
        InputError: a validation case is not where convert found it.
    """
    settings, manifest = plan.settings, plan.manifest
    cases, scheme = cases_of_split(manifest, "validation", manifest.data_dir), manifest.scheme

    def score(network: keras.Model) -> dict[str, float]:
        with devices.layers_in("float32"):
            copy = float32_copy(network, plan.architecture)
            run = Run(settings=settings, manifest=manifest, architecture=plan.architecture, network=copy)
            model = _accepting(build_segmenter([run], settings.inference))
        values = []
        for files in cases:
            image, truth = read_truth(files, scheme)
            values.append(dice_scores(truth, model.labels(image), scheme))
        return {key: float(np.mean([of_case[key] for of_case in values])) for key in _VALIDATED}

    return score


def _accepting(segmenter: Segmenter) -> Model:
    """Returns a model that warns of cases whose voxels cannot be Hounsfield units, since convert has taken them."""
    return replace(segmenter.model(), accept_intensities=True)


def read_truth(files: CaseFiles, scheme: Scheme) -> tuple[Volume, NDArray[np.uint8]]:
    """Returns the scan of a case and its true labels (z, y, x), both at native size.

    Raises:
        InputError: scan or mask cannot be used, or the data has no mask of the case.
    """
    scan = read_labeled(files, scheme)
    if scan.labels is None:
        raise InputError(f"{files.image}: expected a true mask to compare with, {files.case_id} has none")
    return scan.image, scan.labels


def cases_of_split(manifest: Manifest, split: str, data_dir: str) -> list[CaseFiles]:
    """Returns the files of a split's cases.

    Raises:
        InputError: a case is not in the data.
    """
    return find_cases_named(data_dir, manifest.splits[split], f"the run's {split} split")


def _write(scores: list[CaseScores], scores_dir: Path, inference: str = "") -> EvaluationResult:
    summary = summarize(scores, inference)
    write_scores(scores, summary, scores_dir)
    return EvaluationResult(scores=scores, summary=summary, scores_dir=scores_dir)


def _scores_in_processes(function: Callable[..., CaseScores], tasks: list[tuple], workers: int) -> list[CaseScores]:
    """Returns the scores of each task, in the order of the tasks.

    Raises:
        InputError: the files of a task cannot be used.
    """
    scores: dict[int, CaseScores] = {}
    outcomes: Iterator[tuple[int, CaseScores | InputError]]
    outcomes = run_tasks(function, tasks, workers, start_tensorflow_in_worker)
    for index, outcome in track(outcomes, "case", len(tasks)):
        if isinstance(outcome, InputError):
            raise outcome
        scores[index] = outcome
    return [scores[index] for index in range(len(tasks))]


def _score_case(files: CaseFiles, masks_dir: Path, scheme: Scheme, mlperf_grid: GridSettings) -> CaseScores:
    image, truth = read_truth(files, scheme)
    pair = MaskPair(
        truth=truth,
        predicted=read_prediction(masks_dir, files.case_id, image, scheme),
        scheme=scheme,
        spacing_mm=image.grid.spacing_mm,
        training_grid=mlperf_grid,
    )
    return score_pair(files.case_id, pair)


def _score_masks(true_path: Path, predicted_path: Path, scheme: Scheme, mlperf_grid: GridSettings) -> CaseScores:
    """Scores in the scheme of the predicted mask; in the challenge's labels if the true mask has another one."""
    truth = read_labels(true_path)
    predicted = read_on_grid_of(truth, predicted_path, "true mask", scheme)
    true_scheme = scheme_in(truth, true_path) or KITS19
    check_labels(truth.array, len(true_scheme.classes), str(true_path))
    is_same = true_scheme == scheme
    pair = MaskPair(
        truth=truth.array if is_same else true_scheme.to_challenge(truth.array),
        predicted=predicted if is_same else scheme.to_challenge(predicted),
        scheme=scheme if is_same else KITS19,
        spacing_mm=truth.grid.spacing_mm,
        training_grid=mlperf_grid,
    )
    return score_pair(true_path.name.removesuffix(".nii.gz"), pair)
