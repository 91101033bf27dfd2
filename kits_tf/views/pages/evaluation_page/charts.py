"""The charts of a report: boxes of scores, and volumes as Bland and Altman draw them."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kits_tf.views.drawings import canvas, style

# Of the standard deviation: where 95 % of normally distributed differences lie.
LIMITS_OF_AGREEMENT = 1.96
# Of an evaluation: the first is filled, the second is not.
_FILLED = (True, False)
_SIZE = (4.6, 3.4)


def score_boxes(
    heading: str, names: Mapping[str, str], evaluations: Mapping[str, Mapping[str, Mapping[str, float]]]
) -> Figure:
    """Returns scores between 0 and 1 as boxes, with a point for each case; in a page each is a link to its case.

    Args:
        heading: of the chart.
        names: of the score by that of the structure.
        evaluations: by its name the scores of each, by case and name; one or two.
    """
    figure = Figure(figsize=_SIZE, layout="constrained")
    ax = figure.subplots()
    for column, (structure, score) in enumerate(names.items()):
        for i, scores in enumerate(evaluations.values()):
            values = {case_id: of_case[score] for case_id, of_case in scores.items()}
            at = column + (i - (len(evaluations) - 1) / 2) * 0.4
            _draw_box(ax, at, values, structure, filled=_FILLED[i])
    ax.set_xticks(range(len(names)), list(names))
    ax.set(xlim=(-0.6, len(names) - 0.4), ylim=(-0.02, 1.02))
    canvas.decorate(ax, heading)
    return figure


def bland_altman(
    structure: str, true_ml: Mapping[str, float], errors_ml: Sequence[Mapping[str, float]]
) -> tuple[Figure, list[tuple[float, float, float]]]:
    """Returns errors of volumes over their means, and of each evaluation the bias and both limits of agreement, in mL.

    Bland and Altman 1986, "Statistical methods for assessing agreement between two methods of clinical measurement",
    The Lancet 327:307-310. The limits are bias -+ 1.96 standard deviations (n - 1); a single case has none.

    Args:
        structure: gives color and title.
        true_ml: true volume of each case.
        errors_ml: of each evaluation, predicted minus true volume of each case; one or two.
    """
    figure = Figure(figsize=_SIZE, layout="constrained")
    ax, found = figure.subplots(), []
    for errors, filled in zip(errors_ml, _FILLED, strict=False):
        cases = list(errors)
        differences = np.array([errors[case_id] for case_id in cases])
        means = np.array([true_ml[case_id] for case_id in cases]) + differences / 2
        _draw_points(ax, means, differences, cases, structure, filled=filled)
        bias = float(differences.mean())
        reach = LIMITS_OF_AGREEMENT * float(differences.std(ddof=1)) if len(cases) > 1 else np.nan
        found.append((bias, bias - reach, bias + reach))
        for level, dash in zip(found[-1], ("-" if filled else "--", ":", ":"), strict=True):
            ax.axhline(level, color=style.TEXT, linestyle=dash, linewidth=1, alpha=0.7)
    ax.set_xlabel("mean of true and predicted volume, mL", color=style.TEXT)
    ax.set_ylabel("predicted - true, mL", color=style.TEXT)
    canvas.decorate(ax, structure)
    return figure, found


def _draw_box(ax: Axes, at: float, values: Mapping[str, float], structure: str, *, filled: bool) -> None:
    """Draws median, quartiles, and whiskers to the last point within 1.5 of their distance; and all points."""
    found = np.array(list(values.values()))
    lines = {"color": style.TEXT, "linewidth": 1}
    face = {"facecolor": (*style.rgb(structure), 0.35 if filled else 0.0), "edgecolor": style.COLORS[structure]}
    ax.boxplot(
        found, positions=[at], widths=0.3, patch_artist=True, showfliers=False, boxprops=face, medianprops=lines,
        whiskerprops=lines, capprops=lines, manage_ticks=False,
    )  # fmt: skip
    # Side by side in a fixed pattern, so that equal ones do not hide each other.
    aside = at + 0.1 * (np.arange(len(found)) % 5 - 2) / 2
    _draw_points(ax, aside, found, list(values), structure, filled=filled)


def _draw_points(ax: Axes, x: np.ndarray, y: np.ndarray, case_ids: list[str], structure: str, *, filled: bool) -> None:
    """Draws a point for each case; in a page each is a link to the case."""
    color = style.COLORS[structure]
    points = ax.scatter(x, y, s=14, color=color if filled else "none", edgecolors=color, linewidths=1, zorder=3)
    points.set_urls([f"#{case_id}" for case_id in case_ids])
