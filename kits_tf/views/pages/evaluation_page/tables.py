"""The tables of a report, as text: means beside what was published, tumors by size, cases."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kits_tf.analysis.evaluated import Evaluated
from kits_tf.analysis.published import PUBLISHED
from kits_tf.analysis.statistics import Difference
from kits_tf.ct.case_facts import CaseFacts
from kits_tf.ct.labels import CHALLENGE_CLASSES, Scheme
from kits_tf.views.drawings import style

_SCORE, _MEASURE, _SIGNED, _COUNT = "{:.3f}", "{:.1f}", "{:+.1f}", "{:.0f}"
_DICE = {
    "kidney_dice": ("kidney Dice", _SCORE),
    "tumor_dice": ("tumor Dice", _SCORE),
    "composite": ("composite", _SCORE),
}
# Scores of the table of means after Dice: name, and how a value is written.
_MEANS = {
    "kits23_kidney_and_mass_surface_dice": ("kidney surface Dice", _SCORE),
    "kits23_tumor_surface_dice": ("tumor surface Dice", _SCORE),
    "kidney_hd95_mm": ("kidney Hausdorff distance, 95 %, mm", _MEASURE),
    "tumor_hd95_mm": ("tumor Hausdorff distance, 95 %, mm", _MEASURE),
    "kidney_average_distance_mm": ("kidney average surface distance, mm", _MEASURE),
    "tumor_average_distance_mm": ("tumor average surface distance, mm", _MEASURE),
    "kidney_volume_error_ml": ("kidney volume, predicted - true, mL", _SIGNED),
    "tumor_volume_error_ml": ("tumor volume, predicted - true, mL", _SIGNED),
    "side_confusion": ("share of kidney with the other side", _SCORE),
    "mlperf_label_1_dice": ("MLPerf's Dice of label 1, comparable with none of these", _SCORE),
}
# Scores of the table of cases after Dice.
_OF_CASES = {
    "kits23_kidney_and_mass_surface_dice": ("kidney surface Dice", _SCORE),
    "kits23_tumor_surface_dice": ("tumor surface Dice", _SCORE),
    "kidney_hd95_mm": ("kidney HD95, mm", _MEASURE),
    "tumor_hd95_mm": ("tumor HD95, mm", _MEASURE),
    "kidney_volume_error_ml": ("kidney error, mL", _SIGNED),
    "tumor_volume_error_ml": ("tumor error, mL", _SIGNED),
    "lesions": ("tumors", _COUNT),
    "lesions_detected": ("detected", _COUNT),
    "lesions_falsely_raised": ("falsely raised", _COUNT),
}
# Of which labels of the challenge a structure is the union.
_MEMBERS = {"kidney": CHALLENGE_CLASSES[1:], "tumor": ("tumor",)}


@dataclass(frozen=True)
class MeanRow:
    """A score in the table of means: its name, a text for each evaluation, and how the second one differs."""

    name: str
    cells: list[str]
    difference: str
    p_value: str


@dataclass(frozen=True)
class Column:
    """A column of numbers in the table of cases: its heading, and what it is sorted and filtered by."""

    name: str
    key: str


@dataclass(frozen=True)
class Cell:
    """A number in the table of cases: of which column, what it is sorted by ("" comes last), how it is written."""

    key: str
    value: str
    text: str


def mean_rows(evaluations: Sequence[Evaluated], changes: Mapping[str, Difference]) -> list[MeanRow]:
    """Returns a row for each score; `changes` by score, empty for one evaluation."""
    rows = []
    for key, (name, form) in _scores_of(evaluations[0].scheme).items():
        cells = [_statistics(_found(each.summary, key), form) for each in evaluations]
        p_value = f"{changes[key].p_value:.2g}" if key in changes and changes[key].num_cases else "-"
        rows.append(MeanRow(name, cells, _change(changes.get(key), form), p_value))
    return rows


def _scores_of(scheme: Scheme) -> dict[str, tuple[str, str]]:
    classes = [name for name in scheme.classes[1:] if name != "tumor"]  # whose Dice stands there already
    return _DICE | {f"dice_{name}": (f"{style.words(name)} alone, Dice", _SCORE) for name in classes} | _MEANS


def _found(summary: dict, key: str) -> dict | None:
    return summary["dice"].get(key.removeprefix("dice_")) if key.startswith("dice_") else summary.get(key)


def _statistics(found: dict | None, form: str) -> str:
    """Returns mean, interval and median in words; "-" where there is none."""
    if found is None or found["median"] is None:
        return "-"
    median = f"median {form.format(found['median'])}"
    if found["mean"] is None:
        return median
    told = f"{_with_interval(found['mean'], found['interval_95'], form)}, {median}"
    return told + (f", {found['left_out']} left out" if found["left_out"] else "")


def _change(change: Difference | None, form: str) -> str:
    if change is None or not change.num_cases:
        return "-"
    return _with_interval(change.mean, change.interval_95, form.replace("{:.", "{:+."))


def _with_interval(mean: float, interval: Sequence[float], form: str) -> str:
    low, high = (form.format(bound) for bound in interval)
    return f"{form.format(mean)} ({low} to {high})"


def published_rows(evaluations: Sequence[Evaluated]) -> list[tuple[str, str, str, str]]:
    """Returns of whom, measured on what, Dice of kidney and of tumor: these evaluations, then what was published."""
    ours = []
    for each in evaluations:
        found = [each.summary[f"{structure}_dice"] for structure in ("kidney", "tumor")]
        kidney, tumor = (_with_interval(of["mean"], of["interval_95"], _SCORE) for of in found)
        ours.append((each.name, f"{each.summary['num_cases']} cases of this page", kidney, tumor))
    return ours + [(row.name, row.measured_on, f"{row.kidney_dice:g}", f"{row.tumor_dice:g}") for row in PUBLISHED]


def lesion_rows(evaluations: Sequence[Evaluated]) -> list[tuple[str, list[str]]]:
    """Returns for each size of tumors how many of how many each evaluation detected, and how many it raised falsely."""
    rows = []
    for of_size in zip(*(each.summary["lesions_by_size"] for each in evaluations), strict=True):
        cells = [[f"{row['detected']} of {row['true']}", str(row["falsely_raised"])] for row in of_size]
        rows.append((f"{of_size[0]['diameter_mm']} mm", [text for pair in cells for text in pair]))
    return rows


def columns(evaluations: Sequence[Evaluated]) -> list[Column]:
    """Returns the columns of numbers in the table of cases."""
    named = {key: name for key, (name, _) in _columns(evaluations).items()}
    return [Column(name, key) for key, name in named.items()]


def cells(case_id: str, evaluations: Sequence[Evaluated], facts: CaseFacts) -> list[Cell]:
    """Returns a case's numbers, one for each of `columns`."""
    first = evaluations[0].scores[case_id]
    values = first | {f"true_{structure}_ml": true_ml(facts, structure) for structure in _MEMBERS}
    for each in evaluations[1:]:
        values |= {f"second_{key}": each.scores[case_id][key] for key in _DICE}
        values |= {f"change_{key}": each.scores[case_id][key] - first[key] for key in _DICE}
    return [_cell(key, values[key], form) for key, (_, form) in _columns(evaluations).items()]


def true_ml(facts: CaseFacts, structure: str) -> float:
    """Returns the true volume of "kidney", with tumors and cysts, or "tumor"."""
    volumes = facts.labels.volumes_ml if facts.labels else {}
    return sum(volumes.get(name, 0.0) for name in _MEMBERS[structure])


def _columns(evaluations: Sequence[Evaluated]) -> dict[str, tuple[str, str]]:
    """Returns heading and form of each column."""
    compared: dict[str, tuple[str, str]] = {}
    if len(evaluations) > 1:
        compared = {f"second_{key}": (f"second's {name}", _SCORE) for key, (name, _) in _DICE.items()}
        compared |= {f"change_{key}": (f"{name}, second - first", "{:+.3f}") for key, (name, _) in _DICE.items()}
    volumes = {f"true_{structure}_ml": (f"true {structure}, mL", _MEASURE) for structure in _MEMBERS}
    return _DICE | compared | volumes | _OF_CASES


def _cell(key: str, value: float, form: str) -> Cell:
    if np.isnan(value):
        return Cell(key, "", "-")
    if np.isinf(value):
        return Cell(key, "Infinity", "∞")
    return Cell(key, repr(float(value)), form.format(value))
