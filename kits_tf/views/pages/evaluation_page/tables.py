"""The tables of the page, as text: means beside what was published, tumors by size, cases."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kits_tf.analysis.evaluation_files import Evaluation
from kits_tf.analysis.published_scores import PUBLISHED
from kits_tf.analysis.scores import KIDNEY_DICE, SCORES, TUMOR_DICE, Score, Topic, scores_by_topic
from kits_tf.analysis.statistics import Difference, Statistics
from kits_tf.ct.case_facts import CaseFacts
from kits_tf.ct.labels import CHALLENGE_CLASSES, Scheme
from kits_tf.views.numbers import score_text

_VOLUME_FORMAT = "{:.1f}"
# Labels of the challenge that make up a structure.
_MEMBERS = {"kidney": CHALLENGE_CLASSES[1:], "tumor": ("tumor",)}


@dataclass(frozen=True)
class MeanRow:
    """A row of the table of means.

    Attributes:
        name: heading of the row.
        cells: mean, interval and median of each evaluation.
        difference: how the second evaluation differs from the first; "-" without a second one.
        p_value: p of Wilcoxon's test of that; "-" without a second one.
    """

    name: str
    cells: list[str]
    difference: str
    p_value: str


@dataclass(frozen=True)
class Column:
    """A column of numbers in the table of cases.

    Attributes:
        key: name by which the page's script sorts and filters.
        name: heading.
        text_format: format of its numbers.
    """

    key: str
    name: str
    text_format: str


@dataclass(frozen=True)
class Cell:
    """A number in the table of cases.

    Attributes:
        key: key of its column.
        value: text that the page's script sorts by; "" comes last.
        text: text for people.
    """

    key: str
    value: str
    text: str


@dataclass(frozen=True)
class PublishedRow:
    """A row of the table of published scores, or an evaluation of this page beside them.

    Attributes:
        name: method, or name of the evaluation.
        measured_on: cases that it was measured on.
        kidney: Dice of kidney, in words.
        tumor: Dice of tumor, in words.
    """

    name: str
    measured_on: str
    kidney: str
    tumor: str


def mean_rows(evaluations: Sequence[Evaluation], changes: Mapping[str, Difference]) -> list[MeanRow]:
    """Returns a row for each score; `changes` by the score's key, empty for one evaluation."""
    rows = []
    for score in _scores_of(evaluations[0].scheme):
        change = changes.get(score.key)
        cells = [_statistics_text(evaluation.summary.scores.get(score.key), score) for evaluation in evaluations]
        p_value = f"{change.p_value:.2g}" if change and change.num_cases else "-"
        rows.append(MeanRow(score.heading(evaluations[0].summary.scores), cells, _change_text(change, score), p_value))
    return rows


def published_rows(evaluations: Sequence[Evaluation]) -> list[PublishedRow]:
    """Returns the Dice of these evaluations, then what was published."""
    ours = [
        PublishedRow(
            name=evaluation.name,
            measured_on=f"{evaluation.summary.num_cases} cases of this page",
            kidney=_mean_text(evaluation.summary.scores[KIDNEY_DICE], SCORES[KIDNEY_DICE].text_format),
            tumor=_mean_text(evaluation.summary.scores[TUMOR_DICE], SCORES[TUMOR_DICE].text_format),
        )
        for evaluation in evaluations
    ]
    theirs = [
        PublishedRow(
            name=row.name, measured_on=row.measured_on, kidney=f"{row.kidney_dice:g}", tumor=f"{row.tumor_dice:g}"
        )
        for row in PUBLISHED
    ]
    return ours + theirs


def lesion_rows(evaluations: Sequence[Evaluation]) -> list[tuple[str, list[str]]]:
    """Returns for each size of tumors how many of how many each evaluation detected, and how many it raised falsely."""
    rows = []
    for of_size in zip(*(evaluation.summary.lesions_by_size for evaluation in evaluations), strict=True):
        cells: list[str] = []
        for counts in of_size:
            cells += [f"{counts.detected} of {counts.true}", str(counts.falsely_raised)]
        rows.append((f"{of_size[0].diameter_mm} mm", cells))
    return rows


def columns(evaluations: Sequence[Evaluation]) -> list[Column]:
    """Returns the columns of numbers in the table of cases."""
    shown, keys = scores_by_topic(in_cases=True), evaluations[0].summary.scores
    dice = [score for score in shown if score.topic == Topic.CHALLENGE]
    others = [score for score in shown if score.topic != Topic.CHALLENGE]
    compared = []
    if len(evaluations) > 1:
        compared = [Column(f"second_{s.key}", f"second's {s.heading(keys)}", s.text_format) for s in dice]
        compared += [Column(f"change_{s.key}", f"{s.heading(keys)}, second - first", s.difference_format) for s in dice]
    volumes = [Column(f"true_{name}_ml", f"true {name} (mL)", _VOLUME_FORMAT) for name in _MEMBERS]
    own = [[Column(s.key, s.heading(keys), s.text_format) for s in group] for group in (dice, others)]
    return [*own[0], *compared, *volumes, *own[1]]


def cells(case_id: str, evaluations: Sequence[Evaluation], facts: CaseFacts) -> list[Cell]:
    """Returns a case's numbers, one for each of `columns`; a score that was not computed is "-"."""
    first = evaluations[0].scores[case_id]
    values = first | {f"true_{structure}_ml": true_ml(facts, structure) for structure in _MEMBERS}
    for evaluation in evaluations[1:]:
        second = evaluation.scores[case_id]
        values |= {f"second_{key}": value for key, value in second.items()}
        values |= {f"change_{key}": value - first[key] for key, value in second.items() if key in first}
    return [_cell(column, values.get(column.key, np.nan)) for column in columns(evaluations)]


def true_ml(facts: CaseFacts, structure: str) -> float:
    """Returns the true volume of "kidney", with tumors and cysts, or "tumor"."""
    volumes = facts.labels.volumes_ml if facts.labels else {}
    return sum(volumes.get(name, 0.0) for name in _MEMBERS[structure])


def _scores_of(scheme: Scheme) -> list[Score]:
    """Returns the scores of the table of means: those of classes only where the scheme has the class."""
    return [
        score for score in scores_by_topic(in_means=True) if not score.class_name or score.class_name in scheme.classes
    ]


def _statistics_text(statistics: Statistics | None, score: Score) -> str:
    """Returns mean, interval and median in words; "-" where there is none."""
    if statistics is None or statistics.median_or_inf is None:
        return "-"
    median = f"median {score_text(statistics.median_or_inf, score.text_format)}"
    if statistics.mean is None:
        return median
    left_out = f", {statistics.left_out} left out" if statistics.left_out else ""
    return f"{_mean_text(statistics, score.text_format)}, {median}{left_out}"


def _change_text(change: Difference | None, score: Score) -> str:
    return _mean_text(change, score.difference_format) if change and change.num_cases else "-"


def _mean_text(result: Statistics | Difference, text_format: str) -> str:
    """Returns a mean, with its interval if it has one."""
    ends = [text_format.format(end) for end in result.interval_95 if end is not None and np.isfinite(end)]
    return " ".join([text_format.format(result.mean), *([f"({' to '.join(ends)})"] if ends else [])])


def _cell(column: Column, value: float) -> Cell:
    sorted_by = "" if np.isnan(value) else "Infinity" if np.isinf(value) else repr(float(value))
    return Cell(column.key, sorted_by, score_text(value, column.text_format))
