"""Tables of scores for the terminal."""

from collections.abc import Sequence

import numpy as np

from kits_tf.analysis.chain_choice import ChainChoice
from kits_tf.analysis.lesions import LesionCounts
from kits_tf.analysis.scores import DICE_TOPICS, SCORES, CaseScores, Score, Topic
from kits_tf.analysis.statistics import Difference, Summary
from kits_tf.views.coverage import coverage_lines
from kits_tf.views.numbers import number_text
from kits_tf.views.terminal.table import aligned

_DIGITS = 3
# Topics that have their own place: a line for each case, a table by size, the last line.
_APART = (*DICE_TOPICS, Topic.LESIONS, Topic.MLPERF)


def scores_table(scores: Sequence[CaseScores], summary: Summary) -> str:
    """Returns the Dice of each case; then all means, lesions by size, and MLPerf's score.

    Args:
        scores: scores of each case, one at least.
        summary: statistics of these scores over all cases.
    """
    rows = [row for key, row in SCORES.items() if key in summary.scores]
    mlperf = [summary.scores[row.key].mean for row in rows if row.topic == Topic.MLPERF]
    return "\n".join(
        [
            *filter(None, [summary.coverage.labels]),
            "Dice on the original grid (kidney = kidney with tumor)",
            *_dice_lines(scores, summary, [row for row in rows if row.topic in DICE_TOPICS]),
            "",
            *_mean_lines(summary, [row.key for row in rows if row.topic not in _APART]),
            "",
            "lesions by the diameter of a ball of their volume",
            *_lesion_lines(summary.lesions_by_size),
            "",
            *(
                f"MLPerf's Dice of label 1 (kidney without tumor) on the training grid, comparable with none of these: "
                f"{number_text(mean, _DIGITS)}"
                for mean in mlperf
            ),
            *coverage_lines(summary.coverage),
        ]
    )


def differences_table(differences: Sequence[Difference]) -> str:
    """Returns how the second of two evaluations differs from the first, a line for each score."""
    rows = [["second - first", "cases", "mean", "95 % of means", "Wilcoxon p"]]
    for change in differences:
        low, high = (_signed(bound) for bound in change.interval_95)
        p_value = "" if np.isnan(change.p_value) else f"{change.p_value:.2g}"
        rows.append([change.key, str(change.num_cases), _signed(change.mean), f"{low}..{high}", p_value])
    head, *body = aligned(rows)
    return "\n".join([head, "-" * len(head), *body])


def chains_table(choice: ChainChoice) -> str:
    """Returns what each chain of post-processing gained on validation cases, and which one was chosen."""
    rows = [["post-processing", "score", "gain", "95 % of gains", "Wilcoxon p"]]
    for trial in choice.trials:
        low, high = (_signed(bound) for bound in trial.gain.interval_95)
        gain = [_signed(trial.gain.mean), f"{low}..{high}", f"{trial.gain.p_value:.2g}"]
        rows.append([trial.chain or "off", f"{trial.mean:.4f}", *(gain if trial.chain else ["", "", ""])])
    head, *body = aligned(rows)
    return "\n".join([head, "-" * len(head), *body, f"chosen: {choice.chain or 'off'}"])


def _dice_lines(scores: Sequence[CaseScores], summary: Summary, columns: Sequence[Score]) -> list[str]:
    statistics = [summary.scores[row.key] for row in columns]
    heading = ["", *(row.terminal_heading for row in columns)]
    cases = [[case.case_id, *(number_text(case.values[row.key], _DIGITS) for row in columns)] for case in scores]
    means = ["mean", *(number_text(one.mean, _DIGITS) for one in statistics)]
    intervals = ["95 % of means", *(_interval(one.interval_95) for one in statistics)]
    medians = ["median", *(number_text(one.median, _DIGITS) for one in statistics)]
    head, *body = aligned([heading, *cases, means, intervals, medians], least_width=13)
    rule = "-" * len(head)
    return [head, rule, *body[: len(cases)], rule, *body[len(cases) :]]


def _mean_lines(summary: Summary, keys: Sequence[str]) -> list[str]:
    rows = [["", "mean", "95 % of means", "median", "cases"]]
    for key in keys:
        one = summary.scores[key]
        count = str(summary.num_cases - one.left_out)
        mean, median = number_text(one.mean, _DIGITS), number_text(one.median, _DIGITS)
        rows.append([key, mean, _interval(one.interval_95), median, count])
    return aligned(rows)


def _lesion_lines(by_size: Sequence[LesionCounts]) -> list[str]:
    counts = [(row.true, row.detected, row.falsely_raised) for row in by_size]
    rows = [[f"{row.diameter_mm} mm", *map(str, count)] for row, count in zip(by_size, counts, strict=True)]
    total = ["all", *(str(sum(column)) for column in zip(*counts, strict=True))]
    return aligned([["", "true", "detected", "falsely raised"], *rows, total])


def _interval(bounds: tuple[float | None, float | None]) -> str:
    low, high = (number_text(bound, _DIGITS) for bound in bounds)
    return f"{low}..{high}"


def _signed(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:+.4f}"
