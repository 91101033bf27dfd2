"""The charts of the page: boxes of scores, and volumes as Bland and Altman draw them."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from kits_tf.analysis.scores import ScoreTable
from kits_tf.views.drawings import canvas, legend, style

# Standard deviations within which 95 % of normally distributed differences lie.
LIMITS_OF_AGREEMENT = 1.96
# The first and the second evaluation: whether their points are filled, the line of their bias, their names.
_FILLED = (True, False)
_BIAS_LINES, _LIMIT_LINE = ("solid", "dashed"), "dotted"
_ORDINALS = ("first", "second")
_SIZE = (4.6, 3.8)
_LEGEND_POINTS = 8


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
    box = Patch(facecolor=to_rgba(style.TEXT, 0.35), edgecolor=style.TEXT, label="box: median and quartiles")
    whiskers = legend.lines({"whiskers: last case within 1.5 box lengths": "solid"})
    legend.add_legend(figure, [*legend.marks(_points(len(evaluations))), box, *whiskers], _LEGEND_POINTS)
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
    for errors, filled, bias_line in zip(errors_ml, _FILLED, _BIAS_LINES, strict=False):
        differences = np.array(list(errors.values()))
        means = np.array([true_ml[case_id] for case_id in errors]) + differences / 2
        places = dict(zip(errors, zip(means, differences, strict=True), strict=True))
        _draw_points(ax, places, structure, filled=filled)
        agreements.append(_agreement(differences))
        for level, dash in zip(agreements[-1], (bias_line, _LIMIT_LINE, _LIMIT_LINE), strict=True):
            ax.axhline(level, color=style.TEXT, linestyle=dash, linewidth=1, alpha=0.7)
    ax.set_xlabel("mean of true and predicted volume, mL", color=style.TEXT)
    ax.set_ylabel("predicted - true, mL", color=style.TEXT)
    canvas.decorate(ax, structure)
    entries = legend.marks(_points(len(errors_ml))) + legend.lines(_levels(len(errors_ml)))
    legend.add_legend(figure, entries, _LEGEND_POINTS)
    return figure, agreements


def _points(num_evaluations: int) -> dict[str, bool]:
    """Returns whether the points of an evaluation are filled, by what the legend calls them."""
    if num_evaluations == 1:
        return {"a case": True}
    return {f"a case, {ordinal}": filled for ordinal, filled in zip(_ORDINALS, _FILLED, strict=True)}


def _levels(num_evaluations: int) -> dict[str, str]:
    """Returns the styles of the lines of bias and limits, by what the legend calls them."""
    biases = ["bias"] if num_evaluations == 1 else [f"bias, {ordinal}" for ordinal in _ORDINALS]
    return dict(zip(biases, _BIAS_LINES, strict=False)) | {"limits of agreement": _LIMIT_LINE}


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
