"""An evaluation as it lies on a disk: which cases, which masks, and how they were scored."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kits_tf.analysis import results
from kits_tf.analysis.masks import check_scheme, predicted_scheme
from kits_tf.base.errors import InputError
from kits_tf.config import ReportSettings
from kits_tf.ct.labels import Scheme
from kits_tf.ct.layouts import CaseFiles, find_cases_named
from kits_tf.pipeline.manifest import Manifest
from kits_tf.training.run import FLAGS


@dataclass(frozen=True)
class Evaluated:
    """What `evaluate` left.

    Attributes:
        name: for people, the folder that was given.
        scores_dir: of cases.csv, lesions.csv and summary.json.
        masks_dir: of the predicted masks.
        cases: their files, in the order of the scores.
        scheme: of the predicted masks.
        scores: by case id and name.
        summary: of summary.json.
        run_dir: of the run that was evaluated; None for masks of any program.
    """

    name: str
    scores_dir: Path
    masks_dir: Path
    cases: list[CaseFiles]
    scheme: Scheme
    scores: results.Scores
    summary: dict
    run_dir: Path | None


def find_evaluations(settings: ReportSettings) -> list[Evaluated]:
    """Returns the evaluation of the run or of the masks, and the one to compare it with, if any.

    Raises:
        InputError: one cannot be used.
    """
    folders = [folder for folder in (settings.run_dir or settings.predictions_dir, settings.compare) if folder]
    return [(_of_run if settings.run_dir else _of_masks)(settings, Path(folder)) for folder in folders]


def shared_cases(evaluations: Sequence[Evaluated]) -> list[str]:
    """Returns the cases that all of them have, in the order of the first one.

    Raises:
        InputError: there is none.
    """
    first, last = evaluations[0], evaluations[-1]
    return results.shared_cases(first.scores, last.scores, first.name, last.name)


def _of_run(settings: ReportSettings, run_dir: Path) -> Evaluated:
    """Returns the evaluation of a run's split; the scans are where convert found them, or in --data_dir.

    Raises:
        InputError: it is no run, its split has not been evaluated, or a case is not in the data.
    """
    if not (run_dir / FLAGS).exists():
        raise InputError(f"{run_dir}: expected the folder of a run, found no {FLAGS} in it")
    manifest, scores_dir = Manifest.read(run_dir), results.scores_dir_of_run(run_dir, settings.split)
    check_scheme(manifest.scheme, settings.label_scheme, settings.cyst_as, run_dir)
    _check_scores(scores_dir, f"--run_dir={run_dir} --split={settings.split}")
    masks_dir, data_dir = scores_dir / results.MASKS, settings.data_dir or manifest.data_dir
    return _evaluated(run_dir, scores_dir, masks_dir, data_dir, manifest.scheme, run_dir)


def _of_masks(settings: ReportSettings, masks_dir: Path) -> Evaluated:
    """Returns the evaluation of a folder of masks; the scheme is found as `evaluate` finds it.

    Raises:
        InputError: there are no masks, they have not been evaluated, or a case is not in the data.
    """
    scheme = predicted_scheme(masks_dir, settings.label_scheme, settings.cyst_as)
    data_dir, scores_dir = settings.data_dir or "", results.scores_dir_of_masks(masks_dir)
    _check_scores(scores_dir, f"--predictions_dir={masks_dir} --data_dir={data_dir}")
    return _evaluated(masks_dir, scores_dir, masks_dir, data_dir, scheme, None)


def _check_scores(scores_dir: Path, flags: str) -> None:
    if not (scores_dir / results.CASES_NAME).exists():
        command = f"python -m kits_tf.evaluate {flags}"
        raise InputError(f"{scores_dir}: expected an evaluation, found none: {command} makes it")


def _evaluated(
    name: Path, scores_dir: Path, masks_dir: Path, data_dir: str, scheme: Scheme, run_dir: Path | None
) -> Evaluated:
    scores = results.read_cases(scores_dir)
    cases, summary = find_cases_named(data_dir, list(scores), str(scores_dir)), results.read_summary(scores_dir)
    return Evaluated(str(name), scores_dir, masks_dir, cases, scheme, scores, summary, run_dir)
