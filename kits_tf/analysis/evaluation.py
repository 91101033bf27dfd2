"""Evaluating a run or a folder of masks, case by case, on the original grid."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from kits_tf.analysis import results
from kits_tf.analysis.masks import (
    check_scheme,
    mask_pairs,
    predicted_cases,
    predicted_scheme,
    read_on_grid_of,
    read_prediction,
    scheme_in,
)
from kits_tf.analysis.scores import CaseScores, confusion, dice_scores, region_dice, score_case
from kits_tf.base import devices
from kits_tf.base.errors import InputError
from kits_tf.base.processes import run_tasks, start_tensorflow_in_worker
from kits_tf.base.settings import non_default_flags
from kits_tf.config import EvaluationSettings, GridSettings
from kits_tf.ct.cases import read_labeled
from kits_tf.ct.geometry import resampled_shape
from kits_tf.ct.labels import CHALLENGE_KIDNEY, KITS19, Scheme, challenge_lookup, check_labels
from kits_tf.ct.layouts import CaseFiles, find_cases_named
from kits_tf.ct.preprocess import resample_labels
from kits_tf.ct.volume import Volume, read_labels, write_labels
from kits_tf.inference.building import segmenter_of
from kits_tf.pipeline.manifest import Manifest
from kits_tf.training.plan import TrainingPlan
from kits_tf.training.run import Run, float32_copy, load_run


@dataclass(frozen=True)
class Evaluation:
    """What is to be scored.

    Attributes:
        num_cases: how many.
        output_dir: for cases.csv, lesions.csv and summary.json.
        inference: flags of inference that are not at their defaults; "" where masks were given.
        scores: gives each case's, in order, or raises InputError for files that cannot be used.
    """

    num_cases: int
    output_dir: Path
    inference: str
    scores: Callable[[], Iterator[CaseScores]]


def of_run(settings: EvaluationSettings) -> Evaluation:
    """Returns the evaluation of a run's split; predicted masks are kept beside the scores.

    Raises:
        InputError: the run cannot be loaded, the split has no case, or a case is no longer in the data.
    """
    run_dir = Path(settings.run_dir or "")
    run = load_run(run_dir)
    scheme = run.manifest.scheme
    check_scheme(scheme, settings.label_scheme, settings.cyst_as, run_dir)
    if not run.manifest.splits[settings.split]:
        raise InputError(f"{run_dir}: its records have no {settings.split} cases (--test_cases of convert names them)")
    cases = cases_of(run.manifest, settings.split, settings.data_dir or run.manifest.data_dir)
    output_dir = results.scores_dir_of_run(run_dir, settings.split)
    masks_dir = output_dir / results.MASKS
    model = segmenter_of([run], settings.inference).model()

    def scores() -> Iterator[CaseScores]:
        for files in cases:
            image, truth = read_truth(files, scheme)
            predicted = model.labels(image)
            write_labels(masks_dir / f"{files.case_id}.nii.gz", predicted, like=image, classes=scheme.classes)
            yield _score(files.case_id, truth, predicted, scheme, image.grid.spacing_mm, run.manifest.grid)

    inference = settings.inference
    if inference.coarse_model:  # where it lies is of no interest to who reads the scores
        inference = replace(inference, coarse_model=Path(inference.coarse_model).name)
    return Evaluation(len(cases), output_dir, non_default_flags(inference), scores)


def validation_scorer(plan: TrainingPlan) -> Callable[[keras.Model], dict[str, float]]:
    """Returns what finds a network's Dice as `of_run` would, on the validation cases: kidney, tumor, composite.

    Args:
        plan: run that is being trained.

    Raises:
        InputError: a validation case is not where convert found it.
    """
    settings, manifest = plan.settings, plan.manifest
    cases, scheme = cases_of(manifest, "validation", manifest.data_dir), manifest.scheme

    def score(network: keras.Model) -> dict[str, float]:
        with devices.layers_in("float32"):
            copy = float32_copy(network, plan.architecture)
            run = Run(settings=settings, manifest=manifest, architecture=plan.architecture, network=copy)
            model = segmenter_of([run], settings.inference).model()
        found = []
        for files in cases:
            image, truth = read_truth(files, scheme)
            predicted = model.labels(image)
            found.append(dice_scores(confusion(truth, predicted, len(scheme.classes)), scheme))
        names = ("kidney_dice", "tumor_dice", "composite")
        return {name: float(np.mean([of_case[name] for of_case in found])) for name in names}

    return score


def of_predictions(settings: EvaluationSettings) -> Evaluation:
    """Returns the evaluation of a folder of masks case_00000.nii.gz, ..., on several processes.

    The truth is the data's own, or with --truth_dir in a folder of masks of the same names.

    Raises:
        InputError: a folder is missing, there is no mask, a mask has no case, or names labels that are not of a scheme.
    """
    masks_dir = Path(settings.predictions_dir or "")
    scheme = predicted_scheme(masks_dir, settings.label_scheme, settings.cyst_as)
    if settings.truth_dir:
        function: Callable[..., CaseScores] = _score_masks
        tasks: list[tuple] = [(*pair, scheme) for pair in mask_pairs(masks_dir, Path(settings.truth_dir))]
    else:
        function = _score_case
        tasks = [(files, masks_dir, scheme) for files in predicted_cases(masks_dir, settings.data_dir or "")]

    def scores() -> Iterator[CaseScores]:
        return _in_order(run_tasks(function, tasks, settings.workers, start_tensorflow_in_worker))

    return Evaluation(len(tasks), results.scores_dir_of_masks(masks_dir), "", scores)


def read_truth(files: CaseFiles, scheme: Scheme) -> tuple[Volume, NDArray[np.uint8]]:
    """Returns the scan of a case and its true labels (z, y, x), both at native size.

    Raises:
        InputError: as `read_labeled`; or the data has no mask of the case.
    """
    scan = read_labeled(files, scheme)
    if scan.labels is None:
        raise InputError(f"{files.image}: expected a true mask to compare with, {files.case_id} has none")
    return scan.image, scan.labels


def _in_order(results: Iterator[tuple[int, CaseScores | InputError]]) -> Iterator[CaseScores]:
    """Yields results by index; what comes early waits for its turn.

    Raises:
        InputError: one of them is an error.
    """
    waiting: dict[int, CaseScores] = {}
    done = 0
    for index, result in results:
        if isinstance(result, InputError):
            raise result
        waiting[index] = result
        while done in waiting:
            yield waiting.pop(done)
            done += 1


def _score_case(files: CaseFiles, masks_dir: Path, scheme: Scheme) -> CaseScores:
    image, truth = read_truth(files, scheme)
    predicted = read_prediction(masks_dir, files.case_id, image, scheme)
    return _score(files.case_id, truth, predicted, scheme, image.grid.spacing_mm, GridSettings())


def _score_masks(true_path: Path, predicted_path: Path, scheme: Scheme) -> CaseScores:
    """Scores in the scheme of the predicted mask; in the challenge's labels if the true mask has another one."""
    truth = read_labels(true_path)
    predicted = read_on_grid_of(truth, predicted_path, "true mask", scheme)
    true_scheme = scheme_in(truth, true_path) or KITS19
    check_labels(truth.array, len(true_scheme.classes), str(true_path))
    true = truth.array
    if true_scheme != scheme:
        true, predicted, scheme = true_scheme.to_challenge(true), scheme.to_challenge(predicted), KITS19
    case_id = true_path.name.removesuffix(".nii.gz")
    return _score(case_id, true, predicted, scheme, truth.grid.spacing_mm, GridSettings())


def _score(
    case_id: str,
    truth: NDArray[np.uint8],
    predicted: NDArray[np.uint8],
    scheme: Scheme,
    spacing_mm: tuple[float, float, float],
    grid: GridSettings,
) -> CaseScores:
    """Returns `score_case`'s scores, and MLPerf's: the Dice of the challenge's label 1 alone, on the training grid."""
    scores = score_case(case_id, truth, predicted, scheme, spacing_mm)
    shape = resampled_shape(truth.shape, spacing_mm, grid.spacing_zyx_mm)
    classes = len(scheme.classes)
    true = resample_labels(truth, shape, grid.label_kernel, classes).numpy()
    found = resample_labels(predicted, shape, grid.label_kernel, classes).numpy()
    label_1 = np.flatnonzero(challenge_lookup(scheme.classes) == CHALLENGE_KIDNEY)
    dice = region_dice(confusion(true, found, classes), label_1)
    return replace(scores, values=scores.values | {"mlperf_label_1_dice": dice})


def cases_of(manifest: Manifest, split: str, data_dir: str) -> list[CaseFiles]:
    """Returns the files of a split's cases.

    Raises:
        InputError: a case is not in the data.
    """
    return find_cases_named(data_dir, manifest.splits[split], f"the run's {split} split")
