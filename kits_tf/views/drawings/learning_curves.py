"""A run's history as a picture: loss, Dice and learning rate over epochs."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from kits_tf.training.history import HistoryRow
from kits_tf.views.drawings import canvas, style

# What a row of the history has scores of -> in words, kind of line.
_LINES = {
    "train": ("training", ":"),
    "validation": ("validation patches", "-"),
    "cases": ("whole validation cases", "o"),
}
# Highest value on the axis of the learning rate, in units of the highest rate.
_ROOM_ABOVE = 1.1
_LEGEND: dict[str, Any] = {
    "loc": "upper center", "bbox_to_anchor": (0.5, -0.16), "ncols": 2, "labelcolor": style.TEXT, "frameon": False,
    "fontsize": 8,
}  # fmt: skip


@canvas.plain_style()
def learning_curves(title: str, history: Sequence[HistoryRow], best: int | None = None) -> Figure:
    """Returns a figure with three charts over the epochs.

    Args:
        title: text above the charts.
        history: epochs of the run, at least one.
        best: number from 0 of the epoch whose weights were kept; it is marked by a line.
    """
    figure = Figure(figsize=(12, 4.8), facecolor=style.FACE, layout="constrained")
    loss, dice, rate = figure.subplots(1, 3, width_ratios=(2, 2, 1.4))
    _draw(loss, history, {"loss": style.TEXT})
    _draw(dice, history, {"kidney_dice": style.COLORS["kidney"], "tumor_dice": style.COLORS["tumor"]})
    rates = [(row.epoch + 1, row.learning_rate) for row in history]
    rate.plot(*zip(*rates, strict=True), ":", color=style.TEXT, label="learning rate", linewidth=1.5, markersize=4)
    dice.set_ylim(0, 1)
    rate.set_ylim(0, _ROOM_ABOVE * max(value for _, value in rates) or 1)
    for ax, heading in ((loss, "loss"), (dice, "Dice"), (rate, "learning rate")):
        canvas.decorate(ax, heading)
        ax.set_xlabel("epoch", color=style.TEXT)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        if best is not None:
            kept = {"alpha": 0.6, "linewidth": 1, "linestyle": "-.", "label": f"kept weights: epoch {best + 1}"}
            ax.axvline(best + 1, color=style.TEXT, **kept)
        ax.legend(**_LEGEND)
    figure.suptitle(title, color=style.TEXT)
    return figure


def _draw(ax: Axes, history: Sequence[HistoryRow], colors: dict[str, str]) -> None:
    """Draws each score that the history has, in its color; training and validation in lines of their own."""
    for name, color in colors.items():
        for scores, (kind, line) in _LINES.items():
            points = [(row.epoch + 1, getattr(row, scores)[name]) for row in history if name in getattr(row, scores)]
            if points:
                label = f"{name.removesuffix('_dice')}, {kind}"
                ax.plot(*zip(*points, strict=True), line, color=color, label=label, linewidth=1.5, markersize=4)
