"""The files of an evaluation: cases.csv, lesions.csv and summary.json, and how two evaluations differ."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path

from kits_tf.analysis.scores import CaseScores
from kits_tf.analysis.summary import Difference, difference, summarize
from kits_tf.analysis.tables import write_table
from kits_tf.errors import InputError
from tfrecords_tools.files import written_whole

CASES_NAME, SUMMARY_NAME = "cases.csv", "summary.json"
MASKS = "masks"
LESION_COLUMNS = ("case_id", "mask", "volume_ml", "diameter_mm", "iou", "matched")


def of_run(run_dir: Path, split: str) -> Path:
    """Returns the folder of a run's scores of a split; masks lie in its folder MASKS."""
    return run_dir / "evaluation" / split


def of_masks(masks_dir: Path) -> Path:
    """Returns the folder of the scores of a folder of masks."""
    return masks_dir / "evaluation"


def write(scores: Sequence[CaseScores], output_dir: Path) -> dict:
    """Writes cases.csv, lesions.csv and summary.json, each under a temporary name first, and returns the summary."""
    output_dir.mkdir(parents=True, exist_ok=True)
    summary = summarize(scores)
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
    with written_whole(output_dir / SUMMARY_NAME) as partial:
        partial.write_text(json.dumps(summary, indent=1, allow_nan=False) + "\n")
    return summary


def compare(first_dir: str, second_dir: str) -> list[Difference]:
    """Returns how the scores of two evaluations differ, on the cases that both have.

    Raises:
        InputError: a folder holds no evaluation, or they share no case.
    """
    first, second = read_cases(Path(first_dir)), read_cases(Path(second_dir))
    if not first.keys() & second.keys():
        raise InputError(f"{second_dir}: expected cases of {first_dir}, found none of them")
    return differences(first, second)


def differences(first: dict[str, dict[str, float]], second: dict[str, dict[str, float]]) -> list[Difference]:
    """Returns how scores by case and name differ, on the cases that both have, one at least."""
    shared = [case_id for case_id in first if case_id in second]
    names = [name for name in first[shared[0]] if name in second[shared[0]]]
    return [difference(name, *([of[case][name] for case in shared] for of in (first, second))) for name in names]


def read_cases(output_dir: Path) -> dict[str, dict[str, float]]:
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
