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

CASES_NAME = "cases.csv"
LESION_COLUMNS = ("case_id", "mask", "volume_ml", "diameter_mm", "iou", "matched")


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
    with written_whole(output_dir / "summary.json") as partial:
        partial.write_text(json.dumps(summary, indent=1, allow_nan=False) + "\n")
    return summary


def compare(first_dir: str, second_dir: str) -> list[Difference]:
    """Returns how the scores of two evaluations differ, on the cases that both have.

    Raises:
        InputError: a folder holds no evaluation, or they share no case.
    """
    first, second = _read_cases(Path(first_dir)), _read_cases(Path(second_dir))
    shared = [case_id for case_id in first if case_id in second]
    if not shared:
        raise InputError(f"{second_dir}: expected cases of {first_dir}, found none of them")
    names = [name for name in first[shared[0]] if name in second[shared[0]]]
    return [difference(name, *([of[case][name] for case in shared] for of in (first, second))) for name in names]


def _read_cases(output_dir: Path) -> dict[str, dict[str, float]]:
    path = output_dir / CASES_NAME
    try:
        with open(path, newline="") as file:
            rows = {row.pop("case_id"): row for row in csv.DictReader(file)}
        return {case_id: {name: float(value) for name, value in row.items()} for case_id, row in rows.items()}
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise InputError(f"{path}: expected a table of scores that evaluate wrote: {error}") from None
