"""Evaluating a run or a folder of masks, case by case, on the original grid."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from kits_tf.analysis.case_scoring import read_truth, score_case, score_masks, sided
from kits_tf.analysis.evaluation_files import (
    MASKS,
    require_own_scores,
    scores_dir_of_masks,
    scores_dir_of_run,
    write_scores,
)
from kits_tf.analysis.label_doubts import label_counts, label_doubts
from kits_tf.analysis.mask_files import (
    MaskFile,
    MaskFolder,
    check_flags,
    common_scheme,
    labels_read,
    mask_warnings,
    open_masks,
)
from kits_tf.analysis.mask_pair import MaskPair
from kits_tf.analysis.masks import check_scheme, predicted_cases, surplus_masks
from kits_tf.analysis.scores import COMPOSITE, KIDNEY_DICE, TUMOR_DICE, CaseScores, dice_scores, score_pair
from kits_tf.analysis.statistics import Coverage, Summary, summarize
from kits_tf.base import devices
from kits_tf.base.errors import InputError
from kits_tf.base.failures import Failures
from kits_tf.base.processes import run_tasks, start_tensorflow_in_worker
from kits_tf.base.progress import track
from kits_tf.base.settings import non_default_flags
from kits_tf.base.words import listed
from kits_tf.config import GridSettings, InferenceSettings, MaskSchemeSettings
from kits_tf.ct.layouts import CaseFiles, find_cases_named
from kits_tf.ct.mask_metadata import MaskMetadata
from kits_tf.ct.volume import Volume, write_stored
from kits_tf.inference.building import build_segmenter
from kits_tf.inference.identity import runs_identity
from kits_tf.inference.model import Model
from kits_tf.inference.own_settings import notices, own_settings
from kits_tf.inference.segmenter import Segmenter
from kits_tf.pipeline.manifest import Manifest
from kits_tf.training.plan import TrainingPlan
from kits_tf.training.run import Run, float32_copy, load_run
from kits_tf.training.run_files import run_folders

logger = logging.getLogger(__name__)

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
        failures: cases that were due and are not scored, or scored 0 for want of a mask; masks that have no case.
        folds: summary of each fold, by its name, where a folder of folds was evaluated.
    """

    scores: list[CaseScores]
    summary: Summary
    scores_dir: Path
    failures: Failures
    folds: dict[str, Summary] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class EvaluationPlan:
    """How masks are scored; those of a run have its scheme, its grid and no other processes.

    Attributes:
        masks: scheme of masks that do not name their labels.
        mlperf_grid: grid that MLPerf's score is taken on.
        workers: number of processes; 0: by cores and memory.
        output_dir: folder of the scores; None for the folder `evaluation` in that of the masks or the run.
    """

    masks: MaskSchemeSettings = field(default_factory=MaskSchemeSettings)
    mlperf_grid: GridSettings = MLPERF_GRID
    workers: int = 0
    output_dir: Path | None = None


def evaluate_run(
    run_dir: Path, split: str, data_dir: str | None, inference: InferenceSettings, plan: EvaluationPlan
) -> EvaluationResult:
    """Segments and scores the cases of a run's split, and writes scores and masks.

    Of a folder of folds (fold0, fold1, ...) each is scored on the cases that it was validated on, and all of these
    cases together; the test split is segmented by their average, as predict does it.

    Args:
        run_dir: folder of the run, or of folds.
        split: "validation" or "test".
        data_dir: folder of scans and true masks; None for where convert found them.
        inference: settings of the segmentation.
        plan: scheme of the run, where flags name it, and folder of the scores.

    Raises:
        InputError: the run cannot be loaded, the split has no case, a case is no longer in the data, two folds were
            validated on the same case, the scores cannot be written, or no case can be scored.
    """
    folders = run_folders(str(run_dir))
    scores_dir = plan.output_dir or scores_dir_of_run(run_dir, split)
    require_own_scores(scores_dir)
    if split == "validation" and len(folders) > 1:
        return _evaluate_folds(folders, data_dir, inference, replace(plan, output_dir=scores_dir))
    runs, inference = [load_run(folder) for folder in folders], own_settings(folders, inference)
    manifest = runs[0].manifest
    check_scheme(manifest.scheme, plan.masks, run_dir)
    if not manifest.splits[split]:
        raise InputError(f"{run_dir}: its records have no {split} cases (--test_cases of convert names them)")
    cases = cases_of_split(manifest, split, data_dir or manifest.data_dir)
    model = replace(
        _accepting(build_segmenter(runs, inference)),
        identity=runs_identity(folders, inference),
        notices=notices(folders),
    )
    scores, failures = [], Failures("case", len(cases))
    for files in track(cases, "case", len(cases)):
        try:
            scores.append(_segment_and_score(files, model, manifest.grid, scores_dir / MASKS))
        except InputError as error:
            failures.note(files.case_id, error)
    if inference.coarse_model:  # readers of the scores need the model's name, and not its folder
        inference = replace(inference, coarse_model=Path(inference.coarse_model).name)
    coverage = Coverage(
        labels=f"labels: {', '.join(manifest.scheme.classes[1:])}, as in the run",
        failed=failures.sources,
        warnings=label_doubts([case.counts for case in scores], manifest.scheme.classes, is_named=True),
    )
    return _write(scores, failures, scores_dir, coverage, non_default_flags(inference))


def _evaluate_folds(
    folders: Sequence[Path], data_dir: str | None, inference: InferenceSettings, plan: EvaluationPlan
) -> EvaluationResult:
    """Evaluates every fold on its own validation cases, and all of these cases together.

    The scores of a fold lie where those of a run lie, or in a folder of its name in `plan.output_dir` if that is not
    beside the folds.
    """
    validated = [case_id for folder in folders for case_id in Manifest.read(folder).splits["validation"]]
    if twice := sorted({case_id for case_id in validated if validated.count(case_id) > 1}):
        raise InputError(
            f"{folders[0].parent}: expected folds that were validated on different cases, found {listed(twice, 3)} in "
            "several: give one of them"
        )
    scores_dir = plan.output_dir or folders[0].parent
    own_dir = scores_dir_of_run(folders[0].parent, "validation")
    results: dict[str, EvaluationResult] = {}
    for folder in folders:
        logger.info("evaluating %s", folder)
        output_dir = None if scores_dir == own_dir else scores_dir / folder.name
        results[folder.name] = evaluate_run(
            folder, "validation", data_dir, inference, replace(plan, output_dir=output_dir)
        )
    summaries = {name: result.summary for name, result in results.items()}
    first = next(iter(summaries.values()))
    failed = tuple(name for summary in summaries.values() for name in summary.coverage.failed)
    scores = sorted((case for result in results.values() for case in result.scores), key=lambda case: case.case_id)
    failures = Failures.joined([result.failures for result in results.values()])
    warnings = tuple(dict.fromkeys(text for summary in summaries.values() for text in summary.coverage.warnings))
    coverage = replace(first.coverage, failed=failed, warnings=warnings)
    return replace(_write(scores, failures, scores_dir, coverage, first.inference), folds=summaries)


def _segment_and_score(files: CaseFiles, model: Model, grid: GridSettings, masks_dir: Path) -> CaseScores:
    scheme = model.scheme
    image, truth = read_truth(files, scheme)
    segmentation, affine = model.segmentation(image), image.stored.affine
    metadata = MaskMetadata(
        classes=scheme.classes, scan=image.digest(), model=model.identity, warnings=segmentation.warnings
    )
    write_stored(masks_dir / f"{files.case_id}.nii.gz", segmentation.labels, affine, image.header, metadata)
    predicted = Volume.from_stored(segmentation.labels, affine).array
    pair = MaskPair(
        truth=truth, predicted=predicted, scheme=scheme, spacing_mm=image.grid.spacing_mm, training_grid=grid
    )
    return score_pair(files.case_id, pair, label_counts(sided(truth, scheme, image), predicted))


def evaluate_masks(masks_dir: Path, data_dir: str, plan: EvaluationPlan) -> EvaluationResult:
    """Scores a folder of masks case_00000.nii.gz, ... against the data's own masks.

    Cases of the data without a mask in the folder are counted in the summary, and not scored: a data set is larger than
    a split. A mask that cannot be scored, or has no case, does not stop the others.

    Args:
        masks_dir: folder of the masks, of any program.
        data_dir: data set with scans and true masks.
        plan: scheme of the masks, grid, processes and folder of the scores.

    Raises:
        InputError: a folder is missing or cannot be written to, no mask has a case, a flag has no effect on the masks,
            or no case can be scored.
    """
    scores_dir = plan.output_dir or scores_dir_of_masks(masks_dir)
    require_own_scores(scores_dir)
    masks = open_masks(masks_dir, plan.masks)
    check_flags(masks.masks.values(), plan.masks)
    due = predicted_cases(masks.names, masks_dir, data_dir)
    masks = masks.with_cysts_of(files.labels for files in due.cases if files.labels)
    failures = Failures("case", len(masks.names))
    for name, problem in due.surplus.items():
        failures.note(name, problem)
    tasks = [(files, masks, plan.mlperf_grid) for files in due.cases]
    names = [files.case_id for files in due.cases]
    scores = _scores_in_processes(score_case, tasks, names, failures, plan.workers)
    coverage = Coverage(
        labels=labels_read(_of_scored(masks, scores)),
        not_predicted=due.missing,
        failed=failures.sources,
        warnings=(*mask_warnings(_of_scored(masks, scores)), *_doubts_of_masks(masks, scores)),
    )
    return _write(scores, failures, scores_dir, coverage)


def evaluate_mask_pairs(masks_dir: Path, truth_dir: Path, plan: EvaluationPlan) -> EvaluationResult:
    """Scores a folder of masks against a folder of true masks of the same names.

    Every true mask is due: one without a predicted mask is scored 0 (`MaskPair.is_missing`), so that a missing mask
    never makes the mean better. Labels that true masks do not name are the challenge's, with cysts as the predicted
    masks have them; if there are cysts, a label 3 of predicted masks that name no labels is one too.

    Args:
        masks_dir: folder of the predicted masks, of any program.
        truth_dir: folder of the true masks.
        plan: scheme of the predicted masks, grid, processes and folder of the scores.

    Raises:
        InputError: a folder is missing or cannot be written to, no predicted mask has a true one, a flag has no effect
            on the predicted masks, or no case can be scored.
    """
    scores_dir = plan.output_dir or scores_dir_of_masks(masks_dir)
    require_own_scores(scores_dir)
    masks = open_masks(masks_dir, plan.masks)
    check_flags(masks.masks.values(), plan.masks)
    true = open_masks(truth_dir, MaskSchemeSettings(cyst_as=masks.scheme.cyst_as))
    masks = masks.with_cysts_of(mask.path for mask in true.masks.values())
    names = sorted(true.names)
    surplus = surplus_masks(masks.names, names, masks_dir, f"a true mask of this name in {truth_dir}")
    missing = tuple(name for name in names if name not in masks.names)
    failures = Failures("case", len(names) + len(surplus))
    for name in missing:
        failures.note(name, InputError(f"expected a mask in {masks_dir}, found none: scored 0"))
    problems = {**masks.problems, **true.problems, **surplus}
    for name, problem in problems.items():
        failures.note(name, problem)
    scheme = common_scheme([*masks.masks.values(), *true.masks.values()])
    ready = [name for name in names if name not in problems]
    tasks = [(true.masks[name], masks.masks.get(name), scheme, plan.mlperf_grid) for name in ready]
    scores = _scores_in_processes(score_masks, tasks, ready, failures, plan.workers)
    failed = tuple(name for name in failures.sources if name not in missing)
    coverage = Coverage(
        labels=labels_read(_of_scored(masks, scores)),
        missing=missing,
        failed=failed,
        warnings=(*mask_warnings(_of_scored(masks, scores)), *_doubts_of_masks(masks, scores)),
    )
    return _write(scores, failures, scores_dir, coverage)


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
            model = _accepting(build_segmenter([run], own_settings([Path(settings.run_dir)], settings.inference)))
        values = []
        for files in cases:
            image, truth = read_truth(files, scheme)
            values.append(dice_scores(truth, model.labels(image), scheme))
        return {key: float(np.mean([of_case[key] for of_case in values])) for key in _VALIDATED}

    return score


def _accepting(segmenter: Segmenter) -> Model:
    """Returns a model that warns of cases whose voxels cannot be Hounsfield units, since convert has taken them."""
    return replace(segmenter.model(), accept_intensities=True)


def cases_of_split(manifest: Manifest, split: str, data_dir: str) -> list[CaseFiles]:
    """Returns the files of a split's cases.

    Raises:
        InputError: a case is not in the data.
    """
    return find_cases_named(data_dir, manifest.splits[split], f"the run's {split} split")


def _write(
    scores: list[CaseScores], failures: Failures, scores_dir: Path, coverage: Coverage, inference: str = ""
) -> EvaluationResult:
    if not scores:
        failures.check()
    summary = summarize(scores, inference, coverage)
    write_scores(scores, summary, scores_dir)
    return EvaluationResult(scores=scores, summary=summary, scores_dir=scores_dir, failures=failures)


def _doubts_of_masks(masks: MaskFolder, scores: Sequence[CaseScores]) -> tuple[str, ...]:
    """Returns the doubts of the masks that were scored, each once; masks with the same labels are judged together."""
    counts: dict[tuple[tuple[str, ...], bool], list[NDArray[np.int64]]] = {}
    for case in scores:
        if mask := masks.masks.get(case.case_id):
            counts.setdefault((mask.scheme.classes, mask.is_named), []).append(case.counts)
    doubts = [label_doubts(of_masks, classes, is_named=is_named) for (classes, is_named), of_masks in counts.items()]
    return tuple(dict.fromkeys(text for texts in doubts for text in texts))


def _of_scored(masks: MaskFolder, scores: Sequence[CaseScores]) -> list[MaskFile]:
    """Returns the masks that were scored."""
    return [masks.masks[case.case_id] for case in scores if case.case_id in masks.masks]


def _scores_in_processes(
    function: Callable[..., CaseScores], tasks: list[tuple], names: Sequence[str], failures: Failures, workers: int
) -> list[CaseScores]:
    """Returns the scores of the tasks that succeed, in the order of the tasks, and notes the others as failures."""
    scores: dict[int, CaseScores] = {}
    outcomes: Iterator[tuple[int, CaseScores | InputError]]
    outcomes = run_tasks(function, tasks, workers, start_tensorflow_in_worker)
    for index, outcome in track(outcomes, "case", len(tasks)):
        if isinstance(outcome, InputError):
            failures.note(names[index], outcome)
        else:
            scores[index] = outcome
    return [scores[index] for index in sorted(scores)]
