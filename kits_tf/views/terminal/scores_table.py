"""Tables of scores for the terminal."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from kits_tf.analysis.chain_choice import ChainChoice
from kits_tf.analysis.evaluation_files import Comparison
from kits_tf.analysis.lesions import LesionCounts
from kits_tf.analysis.score_rows import has_cysts
from kits_tf.analysis.scores import (
    DICE_TOPICS,
    SCORES,
    TUMOR_AS_KIDNEY,
    TUMOR_DICE,
    CaseScores,
    Score,
    Topic,
)
from kits_tf.analysis.statistics import Difference, Summary
from kits_tf.base.words import count_text
from kits_tf.views.coverage import alone_lines, coverage_lines
from kits_tf.views.numbers import number_text, percent_text, score_text
from kits_tf.views.terminal.table import aligned

_DIGITS = 3
# A mean tumor Dice below this is explained.
_POOR_DICE = 0.7
# Topics that have their own place: a line for each case, a table by size, the last line.
_APART = (*DICE_TOPICS, Topic.LESIONS, Topic.MLPERF)


def scores_table(scores: Sequence[CaseScores], summary: Summary) -> str:
    """Returns the Dice of each case; then all means, tumors by size and what became of them, and MLPerf's score.

    Args:
        scores: scores of each case, one at least.
        summary: statistics of these scores over all cases.
    """
    rows = _shown(summary.scores)
    mlperf = [summary.scores[row.key].mean for row in rows if row.topic == Topic.MLPERF]
    return "\n".join(
        [
            *filter(None, [summary.coverage.labels]),
            f"Dice on the scans' own grids, {count_text(summary.num_cases, 'case')}",
            *_dice_lines(scores, summary, [row for row in rows if row.topic in DICE_TOPICS]),
            "",
            *_mean_lines(summary, [row for row in rows if row.topic not in _APART]),
            "",
            *_lesion_lines(summary.lesions_by_size),
            *_tumor_lines(summary),
            "",
            *(
                f"MLPerf's Dice of label 1 (kidney without tumor) on the training grid, comparable with none of these: "
                f"{number_text(mean, _DIGITS)}"
                for mean in mlperf
            ),
            *coverage_lines(summary.coverage),
            *(f"WARNING: {text}" for text in summary.coverage.warnings),
        ]
    )


def folds_table(folds: Mapping[str, Summary]) -> str:
    """Returns the mean Dice of each fold on the cases that it was validated on, and how far the folds lie apart.

    Args:
        folds: summary of each fold, by its name, two at least.
    """
    rows = [row for row in _shown(next(iter(folds.values())).scores) if row.topic in DICE_TOPICS]
    means = {name: [fold.scores[row.key].mean for row in rows] for name, fold in folds.items()}
    counts = {name: str(fold.num_cases) for name, fold in folds.items()}
    table = [["", "cases", *(row.region or row.title for row in rows)]]
    table += [
        [name, counts[name], *(number_text(mean, _DIGITS) for mean in of_fold)] for name, of_fold in means.items()
    ]
    spread = np.array(list(means.values()), np.float64).std(axis=0, ddof=1)
    table.append(["standard deviation", "", *(number_text(value, _DIGITS) for value in spread)])
    head, *body = aligned(table)
    rule = "-" * len(head)
    return "\n".join(["mean Dice of each fold", head, rule, *body[:-1], rule, body[-1]])


def comparison_table(comparison: Comparison) -> str:
    """Returns how two evaluations differ, and which cases only one of them has."""
    lines = alone_lines(comparison.first_cases, comparison.second_cases)
    return "\n".join([differences_table(comparison.differences), *lines])


def differences_table(differences: Sequence[Difference]) -> str:
    """Returns how the second of two evaluations differs from the first, a line for each score."""
    keys = [change.key for change in differences]
    shown = {row.key: row.heading(keys) for row in _shown(keys)}
    rows = [["second - first", "cases", "mean", "95 % CI", "Wilcoxon p"]]
    for change in differences:
        if change.key in SCORES and change.key not in shown:
            continue
        interval = _signed_interval(change.interval_95)
        p_value = "" if np.isnan(change.p_value) else f"{change.p_value:.2g}"
        heading = shown.get(change.key, change.key)  # of a plugin that is not here
        rows.append([heading, str(change.num_cases), _signed(change.mean), interval, p_value])
    head, *body = aligned(rows)
    return "\n".join([head, "-" * len(head), *body])


def chains_table(choice: ChainChoice) -> str:
    """Returns what each chain of post-processing gained on validation cases, and which one was chosen."""
    rows = [["post-processing", "score", "gain", "95 % CI", "Wilcoxon p"]]
    for trial in choice.trials:
        gain = [_signed(trial.gain.mean), _signed_interval(trial.gain.interval_95), f"{trial.gain.p_value:.2g}"]
        rows.append([trial.chain or "off", f"{trial.mean:.4f}", *(gain if trial.chain else ["", "", ""])])
    head, *body = aligned(rows)
    return "\n".join([head, "-" * len(head), *body, f"chosen: {choice.chain or 'off'}"])


def _shown(keys: Collection[str]) -> list[Score]:
    """Returns the scores to show of those that an evaluation has; without cysts KiTS23's repeat the others."""
    further = {Topic.LESIONS, *((Topic.KITS23_DICE, Topic.SURFACE_DICE) if has_cysts(keys) else ())}
    return [row for key, row in SCORES.items() if key in keys and (row.in_means or row.topic in further)]


def _dice_lines(scores: Sequence[CaseScores], summary: Summary, columns: Sequence[Score]) -> list[str]:
    statistics = [summary.scores[row.key] for row in columns]
    heading = ["", *(row.region or row.title for row in columns)]
    cases = [[case.case_id, *(number_text(case.values[row.key], _DIGITS) for row in columns)] for case in scores]
    means = ["mean", *(number_text(one.mean, _DIGITS) for one in statistics)]
    intervals = [
        "95 % CI of the mean" if len(scores) > 1 else "95 % CI (none, n=1)",
        *(_interval(one.interval_95) for one in statistics),
    ]
    medians = ["median", *(number_text(one.median, _DIGITS) for one in statistics)]
    head, *body = aligned([heading, *cases, means, intervals, medians], least_width=13)
    rule = "-" * len(head)
    return [head, rule, *body[: len(cases)], rule, *body[len(cases) :]]


def _mean_lines(summary: Summary, rows: Sequence[Score]) -> list[str]:
    lines = [["", "mean", "95 % CI", "median", "cases"]]
    for row in rows:
        one = summary.scores[row.key]
        count = str(summary.num_cases - one.left_out)
        mean, low, high, median = (_value(row, value) for value in (one.mean, *one.interval_95, one.median_or_inf))
        interval = "-" if one.interval_95 == (None, None) else f"{low}..{high}"
        lines.append([row.heading(summary.scores), mean, interval, median, count])
    return aligned(lines)


def _lesion_lines(by_size: Sequence[LesionCounts]) -> list[str]:
    counts = [(row.true, row.detected, row.missed, row.falsely_raised) for row in by_size]
    rows = [[row.diameter_mm, *map(str, count)] for row, count in zip(by_size, counts, strict=True)]
    total = ["all", *(str(sum(column)) for column in zip(*counts, strict=True))]
    return aligned([["tumor diameter (mm)", "true", "detected", "missed", "false"], *rows, total])


def _tumor_lines(summary: Summary) -> list[str]:
    """Returns the line that says why the tumors are poor, where they are."""
    dice, by_size = summary.scores[TUMOR_DICE].mean, summary.lesions_by_size
    if dice is None or dice >= _POOR_DICE:
        return []
    true, missed = sum(row.true for row in by_size), sum(row.missed for row in by_size)
    false = sum(row.falsely_raised for row in by_size)
    parts = [f"{missed} of {count_text(true, 'tumor')} missed", f"{false} false"]
    as_kidney = summary.scores.get(TUMOR_AS_KIDNEY)
    if as_kidney and as_kidney.mean is not None:
        parts.append(f"on average {percent_text(as_kidney.mean)} of a case's tumor is marked as kidney")
    return [f"tumor Dice is {number_text(dice, _DIGITS)}: {', '.join(parts)}"]


def _interval(bounds: tuple[float | None, float | None]) -> str:
    low, high = (number_text(bound, _DIGITS) for bound in bounds)
    return "-" if bounds == (None, None) else f"{low}..{high}"


def _value(row: Score, value: float | None) -> str:
    return score_text(value, row.text_format)


def _signed_interval(bounds: tuple[float, float]) -> str:
    return "-" if np.isnan(bounds).all() else "..".join(map(_signed, bounds))


def _signed(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:+.4f}"
