"""The charts of the page: boxes of scores, and volumes as Bland and Altman draw them."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from kits_tf.analysis.scores import ScoreTable
from kits_tf.views.drawings import canvas, style

# Standard deviations within which 95 % of normally distributed differences lie.
LIMITS_OF_AGREEMENT = 1.96
# Whether the marks of the first and of the second evaluation are filled.
_FILLED = (True, False)
_SIZE = (4.6, 3.4)


class Agreement(NamedTuple):
    """How far predicted volumes are from true ones, in mL.

    Attributes:
        bias_ml: mean of predicted minus true volume.
        low_ml: lower limit of agreement; nan of a single case.
        high_ml: upper limit of agreement; nan of a single case.
    """

    bias_ml: float
    low_ml: float
    high_ml: float


@canvas.plain_style()
def score_boxes(heading: str, score_keys: Mapping[str, str], evaluations: Mapping[str, ScoreTable]) -> Figure:
    """Returns scores between 0 and 1 as boxes, with a point for each case; in a page each is a link to its case.

    Args:
        heading: heading of the chart.
        score_keys: key of the score of each structure.
        evaluations: scores of one or two evaluations, by their names.
    """
    figure = Figure(figsize=_SIZE, layout="constrained")
    ax = figure.subplots()
    for column, (structure, key) in enumerate(score_keys.items()):
        for i, scores in enumerate(evaluations.values()):
            values = {case_id: of_case[key] for case_id, of_case in scores.items()}
            at = column + (i - (len(evaluations) - 1) / 2) * 0.4
            _draw_box(ax, at, values, structure, filled=_FILLED[i])
    ax.set_xticks(range(len(score_keys)), list(score_keys))
    ax.set(xlim=(-0.6, len(score_keys) - 0.4), ylim=(-0.02, 1.02))
    canvas.decorate(ax, heading)
    return figure


@canvas.plain_style()
def bland_altman(
    structure: str, true_ml: Mapping[str, float], errors_ml: Sequence[Mapping[str, float]]
) -> tuple[Figure, list[Agreement]]:
    """Returns errors of volumes over their means, and the agreement of each evaluation.

    Bland and Altman 1986, "Statistical methods for assessing agreement between two methods of clinical measurement",
    The Lancet 327:307-310. The limits are bias -+ 1.96 standard deviations (n - 1).

    Args:
        structure: "kidney" or "tumor", for color and title.
        true_ml: true volume of each case.
        errors_ml: predicted minus true volume of each case, for one or two evaluations.
    """
    figure = Figure(figsize=_SIZE, layout="constrained")
    ax, agreements = figure.subplots(), []
    for errors, filled in zip(errors_ml, _FILLED, strict=False):
        differences = np.array(list(errors.values()))
        means = np.array([true_ml[case_id] for case_id in errors]) + differences / 2
        places = dict(zip(errors, zip(means, differences, strict=True), strict=True))
        _draw_points(ax, places, structure, filled=filled)
        agreements.append(_agreement(differences))
        for level, dash in zip(agreements[-1], ("-" if filled else "--", ":", ":"), strict=True):
            ax.axhline(level, color=style.TEXT, linestyle=dash, linewidth=1, alpha=0.7)
    ax.set_xlabel("mean of true and predicted volume, mL", color=style.TEXT)
    ax.set_ylabel("predicted - true, mL", color=style.TEXT)
    canvas.decorate(ax, structure)
    return figure, agreements


def _agreement(differences_ml: NDArray[np.float64]) -> Agreement:
    bias = float(differences_ml.mean())
    reach = LIMITS_OF_AGREEMENT * float(differences_ml.std(ddof=1)) if len(differences_ml) > 1 else np.nan
    return Agreement(bias, bias - reach, bias + reach)


def _draw_box(ax: Axes, at: float, values: Mapping[str, float], structure: str, *, filled: bool) -> None:
    """Draws median, quartiles, and whiskers to the last point within 1.5 of their distance; and all points."""
    heights = np.array(list(values.values()))
    lines = {"color": style.TEXT, "linewidth": 1}
    face = {"facecolor": (*style.rgb(structure), 0.35 if filled else 0.0), "edgecolor": style.COLORS[structure]}
    ax.boxplot(
        heights, positions=[at], widths=0.3, patch_artist=True, showfliers=False, boxprops=face, medianprops=lines,
        whiskerprops=lines, capprops=lines, manage_ticks=False,
    )  # fmt: skip
    # Side by side in a fixed pattern, so that equal ones do not hide each other.
    aside = at + 0.1 * (np.arange(len(heights)) % 5 - 2) / 2
    places = dict(zip(values, zip(aside, heights, strict=True), strict=True))
    _draw_points(ax, places, structure, filled=filled)


def _draw_points(ax: Axes, places: Mapping[str, tuple[float, float]], structure: str, *, filled: bool) -> None:
    """Draws a point at the place (x, y) of each case; in a page each is a link to the case."""
    color = style.COLORS[structure]
    x, y = zip(*places.values(), strict=True)
    points = ax.scatter(x, y, s=14, color=color if filled else "none", edgecolors=color, linewidths=1, zorder=3)
    points.set_urls([f"#{case_id}" for case_id in places])
