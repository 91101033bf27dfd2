"""An evaluation as it lies on a disk: cases.csv, lesions.csv, summary.json, and the masks that were scored."""

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from kits_tf.analysis.lesions import Lesion, LesionCounts
from kits_tf.analysis.mask_files import MaskFile, MaskFolder, open_masks
from kits_tf.analysis.masks import check_scheme
from kits_tf.analysis.scores import KIDNEY_DICE, SCORES, CaseScores, ScoreTable, class_score
from kits_tf.analysis.statistics import Coverage, Difference, Statistics, Summary, differences, shared_cases
from kits_tf.base.errors import InputError
from kits_tf.base.files import read_table, read_text, require_own, require_writable, write_table, write_text
from kits_tf.base.words import listed
from kits_tf.config import MaskSchemeSettings
from kits_tf.ct.labels import Scheme
from kits_tf.ct.layouts import CaseFiles, find_cases_named
from kits_tf.pipeline.manifest import Manifest
from kits_tf.training.run_files import is_run, what_is_at

logger = logging.getLogger(__name__)

CASES_NAME = "cases.csv"
LESIONS_NAME = "lesions.csv"
SUMMARY_NAME = "summary.json"
MASKS = "masks"
LESION_COLUMNS = ("case_id", "mask", "volume_ml", "diameter_mm", "iou", "matched")
_MOST_NAMES = 3
# Entries of summary.json that are not scores.
_NUM_CASES = "num_cases"
_BY_CLASS = "dice"
_BY_SIZE = "lesions_by_size"
_INFERENCE = "inference"
_COVERAGE = "coverage"


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """An evaluation of a run's split, or of a folder of masks.

    Attributes:
        name: folder that was given, for people.
        scores_dir: folder of cases.csv, lesions.csv and summary.json.
        masks: the predicted masks.
        cases: files of the cases, in the order of the scores.
        scores: values of each score, by case.
        summary: content of summary.json.
        run_dir: folder of the run; None for masks of any program.
    """

    name: str
    scores_dir: Path
    masks: MaskFolder
    cases: list[CaseFiles]
    scores: ScoreTable
    summary: Summary
    run_dir: Path | None

    @property
    def scheme(self) -> Scheme:
        """Scheme that the masks are shown in."""
        return self.masks.scheme

    @property
    def scored(self) -> list[MaskFile]:
        """The masks of the cases."""
        return [mask for name, mask in self.masks.masks.items() if name in self.scores]


def scores_dir_of_run(run_dir: Path, split: str) -> Path:
    """Returns the folder of a run's scores of a split; masks lie in its folder MASKS."""
    return run_dir / "evaluation" / split


def scores_dir_of_masks(masks_dir: Path) -> Path:
    """Returns the folder of the scores of a folder of masks."""
    return masks_dir / "evaluation"


def require_own_scores(scores_dir: Path) -> None:
    """Checks before long work that `write_scores` can write, and replaces nothing but an earlier evaluation.

    Raises:
        InputError: another file has the name of one of its files, or nothing can be written.
    """
    require_writable(scores_dir)
    require_own([scores_dir / CASES_NAME, scores_dir / LESIONS_NAME], b"case_id")
    require_own([scores_dir / SUMMARY_NAME], b'"num_cases"')


def write_scores(scores: Sequence[CaseScores], summary: Summary, output_dir: Path) -> None:
    """Writes cases.csv, lesions.csv and summary.json of one case or more, each whole or not at all.

    An earlier evaluation in the folder is replaced, which is logged.
    """
    if (output_dir / CASES_NAME).exists():
        logger.info("replacing the earlier evaluation in %s", output_dir)
    output_dir.mkdir(parents=True, exist_ok=True)
    rows = [{"case_id": case.case_id, **case.values} for case in scores]
    write_table(output_dir / CASES_NAME, list(rows[0]), rows)
    lesions = [_lesion_row(case.case_id, lesion) for case in scores for lesion in case.lesions]
    write_table(output_dir / LESIONS_NAME, LESION_COLUMNS, lesions)
    text = json.dumps(_summary_to_json(summary), indent=1, allow_nan=False)
    write_text(output_dir / SUMMARY_NAME, text + "\n")


def read_scores(scores_dir: Path) -> ScoreTable:
    """Returns the values of cases.csv, in its order.

    Raises:
        InputError: the file is missing, or is not what `write_scores` writes.
    """
    path = scores_dir / CASES_NAME
    if not path.is_file():
        raise InputError(
            f"{scores_dir}: expected a folder with the {CASES_NAME} that evaluate writes, {_instead(scores_dir)}"
        )
    try:
        rows = {row.pop("case_id"): row for row in read_table(path, ("case_id",)).values()}
        return {case_id: {key: float(value) for key, value in row.items()} for case_id, row in rows.items()}
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise InputError(f"{path}: expected a table of scores that evaluate wrote: {error}") from None


def read_summary(scores_dir: Path) -> Summary:
    """Returns the content of summary.json.

    Raises:
        InputError: the file is missing, or is not what `write_scores` writes.
    """
    path = scores_dir / SUMMARY_NAME
    try:
        content = json.loads(read_text(path))
        if not {_NUM_CASES, KIDNEY_DICE, _BY_CLASS, _BY_SIZE} <= set(content):
            raise ValueError("scores are missing in it")
        return _summary_from_json(content)
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise InputError(f"{path}: expected the summary that evaluate wrote: {error}") from None


def read_run_evaluation(run_dir: Path, split: str, data_dir: str | None, masks: MaskSchemeSettings) -> Evaluation:
    """Returns the evaluation of a run's split; the scans are in `data_dir`, or where convert found them.

    Raises:
        InputError: the folder is no run, its split has not been evaluated, its scheme is not the one that `masks`
            names, or a case is not in the data.
    """
    if not is_run(run_dir):
        raise InputError(f"{run_dir}: expected the folder of a run, {what_is_at(run_dir)}")
    manifest, scores_dir = Manifest.read(run_dir), scores_dir_of_run(run_dir, split)
    check_scheme(manifest.scheme, masks, run_dir)
    _require_scores(scores_dir, f"--run_dir={run_dir} --split={split}")
    scores = read_scores(scores_dir)
    return Evaluation(
        name=str(run_dir),
        scores_dir=scores_dir,
        masks=open_masks(scores_dir / MASKS, MaskSchemeSettings()),
        cases=find_cases_named(data_dir or manifest.data_dir, list(scores), str(scores_dir)),
        scores=scores,
        summary=read_summary(scores_dir),
        run_dir=run_dir,
    )


def read_masks_evaluation(
    masks_dir: Path, data_dir: str, masks: MaskSchemeSettings, scores_dir: Path | None
) -> Evaluation:
    """Returns the evaluation of a folder of masks.

    Args:
        masks_dir: folder of the masks.
        data_dir: path of the data set.
        masks: scheme of masks that do not name their labels.
        scores_dir: folder of the scores; None for the folder `evaluation` in that of the masks.

    Raises:
        InputError: there are no masks, they have not been evaluated, or a case is not in the data.
    """
    predicted, scores_dir = open_masks(masks_dir, masks), scores_dir or scores_dir_of_masks(masks_dir)
    _require_scores(scores_dir, f"--predictions_dir={masks_dir} --data_dir={data_dir}")
    scores = read_scores(scores_dir)
    cases = find_cases_named(data_dir, list(scores), str(scores_dir))
    return Evaluation(
        name=str(masks_dir),
        scores_dir=scores_dir,
        masks=predicted.with_cysts_of(files.labels for files in cases if files.labels),
        cases=cases,
        scores=scores,
        summary=read_summary(scores_dir),
        run_dir=None,
    )


def cases_of_all(evaluations: Sequence[Evaluation]) -> list[str]:
    """Returns the cases that one or two evaluations have, in the order of the first one.

    Raises:
        InputError: there is none.
    """
    first, last = evaluations[0], evaluations[-1]
    return shared_cases(first.scores, last.scores, first.name, last.name)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two evaluations, on the cases that both have.

    Attributes:
        differences: the second less the first, for each score.
        first_cases: cases of the first one.
        second_cases: cases of the second one.
    """

    differences: list[Difference]
    first_cases: tuple[str, ...]
    second_cases: tuple[str, ...]


def compare(first_dir: str, second_dir: str) -> Comparison:
    """Returns how the scores of two evaluations differ, on the cases that both have.

    Raises:
        InputError: a folder holds no evaluation, or they share no case.
    """
    first, second = read_scores(Path(first_dir)), read_scores(Path(second_dir))
    return Comparison(
        differences=differences(first, second, shared_cases(first, second, first_dir, second_dir)),
        first_cases=tuple(first),
        second_cases=tuple(second),
    )


def _instead(folder: Path) -> str:
    """Returns what is in the place of an evaluation, and where there are some."""
    if not folder.is_dir():
        return "found a file" if folder.exists() else "found no such folder"
    places = ("*", "evaluation/*", "*/evaluation", "*/evaluation/*")
    nearby = [str(path.parent) for place in places for path in sorted(folder.glob(f"{place}/{CASES_NAME}"))]
    return f"found none in it; there is one in {listed(nearby, _MOST_NAMES)}" if nearby else "found none in it"


def _require_scores(scores_dir: Path, flags: str) -> None:
    if not (scores_dir / CASES_NAME).exists():
        command = f"python -m kits_tf.evaluate {flags}"
        raise InputError(f"{scores_dir}: expected an evaluation, found none: {command} makes it")


def _lesion_row(case_id: str, lesion: Lesion) -> dict[str, object]:
    return {
        "case_id": case_id,
        "mask": "true" if lesion.is_true else "predicted",
        "volume_ml": lesion.volume_ml,
        "diameter_mm": lesion.diameter_mm,
        "iou": lesion.iou,
        "matched": lesion.matched,
    }


def _summary_to_json(summary: Summary) -> dict[str, object]:
    """Returns a summary as JSON holds it: Dice of classes apart, by class."""
    class_names = {key: row.class_name for key, row in SCORES.items() if row.class_name}
    return {
        _NUM_CASES: summary.num_cases,
        **{key: asdict(value) for key, value in summary.scores.items() if key not in class_names},
        _BY_CLASS: {class_names[key]: asdict(value) for key, value in summary.scores.items() if key in class_names},
        _BY_SIZE: [asdict(row) for row in summary.lesions_by_size],
        _INFERENCE: summary.inference,
        _COVERAGE: asdict(summary.coverage),
    }


def _summary_from_json(content: dict) -> Summary:
    no_scores = {_NUM_CASES, _BY_CLASS, _BY_SIZE, _INFERENCE, _COVERAGE}
    entries = {key: value for key, value in content.items() if key not in no_scores}
    entries |= {class_score(class_name): value for class_name, value in content[_BY_CLASS].items()}
    return Summary(
        num_cases=content[_NUM_CASES],
        scores={
            key: Statistics(**value | {"interval_95": tuple(value["interval_95"])}) for key, value in entries.items()
        },
        lesions_by_size=[LesionCounts(**row) for row in content[_BY_SIZE]],
        inference=content.get(_INFERENCE, ""),
        coverage=_coverage_from_json(content.get(_COVERAGE, {})),
    )


def _coverage_from_json(content: dict) -> Coverage:
    names = {name: tuple(content.get(name, ())) for name in ("missing", "failed", "not_predicted", "warnings")}
    return Coverage(labels=content.get("labels", ""), **names)
