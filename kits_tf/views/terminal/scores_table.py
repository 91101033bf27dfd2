"""Tables of scores for the terminal."""

from collections.abc import Sequence

import numpy as np

from kits_tf.analysis.chain_choice import Tried
from kits_tf.analysis.scores import CaseScores
from kits_tf.analysis.statistics import Difference
from kits_tf.views.terminal.table import aligned

# Scores that have their own place, or stand in the table of lesions.
_APART = ("mlperf_label_1_dice", "lesions", "lesions_detected", "lesions_falsely_raised")


def scores_table(scores: Sequence[CaseScores], summary: dict) -> str:
    """Returns the Dice of each case; then all means, lesions by size, and what is comparable with none of them."""
    dice = [name for name in scores[0].values if name in ("kidney_dice", "tumor_dice", "composite") or _is_class(name)]
    others = [name for name in scores[0].values if name not in (*dice, *_APART)]
    mlperf = summary["mlperf_label_1_dice"]
    return "\n".join(
        [
            "Dice on the original grid (kidney = kidney with tumor)",
            *_dice_lines(scores, summary, dice),
            "",
            *_mean_lines(summary, others),
            "",
            "lesions by the diameter of a ball of their volume",
            *_lesion_lines(summary["lesions_by_size"]),
            "",
            f"MLPerf's Dice of label 1 (kidney without tumor) on the training grid, comparable with none of these: "
            f"{mlperf['mean']:.3f}",
        ]
    )


def differences_table(differences: Sequence[Difference]) -> str:
    """Returns of each score how the second of two evaluations differs from the first."""
    rows = [["second - first", "cases", "mean", "95 % of means", "Wilcoxon p"]]
    for each in differences:
        low, high = (_signed(bound) for bound in each.interval_95)
        p_value = "" if np.isnan(each.p_value) else f"{each.p_value:.2g}"
        rows.append([each.name, str(each.num_cases), _signed(each.mean), f"{low}..{high}", p_value])
    head, *body = aligned(rows)
    return "\n".join([head, "-" * len(head), *body])


def chains_table(chosen: str, tried: Sequence[Tried]) -> str:
    """Returns what each chain of post-processing gained on validation cases, and which one was chosen."""
    rows = [["post-processing", "score", "gain", "95 % of gains", "Wilcoxon p"]]
    for each in tried:
        low, high = (_signed(bound) for bound in each.gain.interval_95)
        gain = [_signed(each.gain.mean), f"{low}..{high}", f"{each.gain.p_value:.2g}"] if each.chain else ["", "", ""]
        rows.append([each.chain or "off", f"{each.mean:.4f}", *gain])
    head, *body = aligned(rows)
    return "\n".join([head, "-" * len(head), *body, f"chosen: {chosen or 'off'}"])


def _dice_lines(scores: Sequence[CaseScores], summary: dict, columns: list[str]) -> list[str]:
    headings = [name.removesuffix("_dice").removeprefix("dice_") for name in columns]
    found = [summary["dice"][name.removeprefix("dice_")] if _is_class(name) else summary[name] for name in columns]
    rows = [[case.case_id, *(f"{case.values[name]:.3f}" for name in columns)] for case in scores]
    mean = ["mean", *(f"{each['mean']:.3f}" for each in found)]
    median = ["median", *(f"{each['median']:.3f}" for each in found)]
    interval = ["95 % of means", *("{:.3f}..{:.3f}".format(*each["interval_95"]) for each in found)]
    head, *body = aligned([["", *headings], *rows, mean, interval, median], least_width=13)
    rule = "-" * len(head)
    return [head, rule, *body[:-3], rule, *body[-3:]]


def _mean_lines(summary: dict, names: list[str]) -> list[str]:
    rows = [["", "mean", "95 % of means", "median", "cases"]]
    for name in names:
        found, (low, high) = summary[name], map(_number, summary[name]["interval_95"])
        count = summary["num_cases"] - found["left_out"]
        rows.append([name, _number(found["mean"]), f"{low}..{high}", _number(found["median"]), str(count)])
    return aligned(rows)


def _lesion_lines(by_size: Sequence[dict]) -> list[str]:
    names = ["true", "detected", "falsely_raised"]
    rows = [[f"{row['diameter_mm']} mm", *(str(row[name]) for name in names)] for row in by_size]
    total = ["all", *(str(sum(row[name] for row in by_size)) for name in names)]
    return aligned([["", *(name.replace("_", " ") for name in names)], *rows, total])


def _is_class(name: str) -> bool:
    return name.startswith("dice_")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _signed(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:+.4f}"
