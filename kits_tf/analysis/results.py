"""The files of an evaluation: cases.csv, lesions.csv and summary.json, and how two evaluations differ."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path

from kits_tf.analysis.scores import CaseScores
from kits_tf.analysis.statistics import Difference, difference, summarize
from kits_tf.base.errors import InputError
from kits_tf.base.files import write_table, write_text

CASES_NAME, SUMMARY_NAME = "cases.csv", "summary.json"
MASKS = "masks"
# By case and name.
Scores = dict[str, dict[str, float]]
LESION_COLUMNS = ("case_id", "mask", "volume_ml", "diameter_mm", "iou", "matched")


def scores_dir_of_run(run_dir: Path, split: str) -> Path:
    """Returns the folder of a run's scores of a split; masks lie in its folder MASKS."""
    return run_dir / "evaluation" / split


def scores_dir_of_masks(masks_dir: Path) -> Path:
    """Returns the folder of the scores of a folder of masks."""
    return masks_dir / "evaluation"


def write(scores: Sequence[CaseScores], output_dir: Path, inference: str = "") -> dict:
    """Writes cases.csv, lesions.csv and summary.json, each under a temporary name first, and returns the summary.

    Args:
        scores: of one case or more.
        output_dir: to write to.
        inference: how the masks came about, for the summary: flags of inference that are not at their defaults.
    """
    output_dir.mkdir(parents=True, exist_ok=True)
    summary = summarize(scores) | {"inference": inference}
    rows = [{"case_id": case.case_id, **case.values} for case in scores]
    write_table(output_dir / CASES_NAME, list(rows[0]), rows)
    lesions = [
        {
            "case_id": case.case_id,
            "mask": "true" if lesion.is_true else "predicted",
            "volume_ml": lesion.volume_ml,
            "diameter_mm": lesion.diameter_mm,
            "iou": lesion.iou,
            "matched": lesion.matched,
        }
        for case in scores
        for lesion in case.lesions
    ]
    write_table(output_dir / "lesions.csv", LESION_COLUMNS, lesions)
    write_text(output_dir / SUMMARY_NAME, json.dumps(summary, indent=1, allow_nan=False) + "\n")
    return summary


def compare(first_dir: str, second_dir: str) -> list[Difference]:
    """Returns how the scores of two evaluations differ, on the cases that both have.

    Raises:
        InputError: a folder holds no evaluation, or they share no case.
    """
    first, second = read_cases(Path(first_dir)), read_cases(Path(second_dir))
    return differences(first, second, shared_cases(first, second, first_dir, second_dir))


def shared_cases(first: Scores, second: Scores, first_name: str, second_name: str) -> list[str]:
    """Returns the cases that two evaluations have.

    Raises:
        InputError: there is none.
    """
    shared = [case_id for case_id in first if case_id in second]
    if not shared:
        raise InputError(f"{second_name}: expected cases of {first_name}, found none of them")
    return shared


def differences(first: Scores, second: Scores, case_ids: Sequence[str]) -> list[Difference]:
    """Returns how the scores that two evaluations have differ, on cases that both have, one at least."""
    names = [name for name in first[case_ids[0]] if name in second[case_ids[0]]]
    return [difference(name, *([of[case][name] for case in case_ids] for of in (first, second))) for name in names]


def read_cases(output_dir: Path) -> Scores:
    """Returns scores by case and name, in the order of cases.csv.

    Raises:
        InputError: there are none.
    """
    path = output_dir / CASES_NAME
    try:
        with open(path, newline="") as file:
            rows = {row.pop("case_id"): row for row in csv.DictReader(file)}
        return {case_id: {name: float(value) for name, value in row.items()} for case_id, row in rows.items()}
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise InputError(f"{path}: expected a table of scores that evaluate wrote: {error}") from None


def read_summary(output_dir: Path) -> dict:
    """Returns the content of summary.json.

    Raises:
        InputError: it is not there, or is not what `write` writes.
    """
    path = output_dir / SUMMARY_NAME
    try:
        summary = json.loads(path.read_text())
        if not {"num_cases", "kidney_dice", "dice", "lesions_by_size"} <= set(summary):
            raise ValueError("scores are missing in it")
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{path}: expected the summary that evaluate wrote: {error}") from None
    return summary
