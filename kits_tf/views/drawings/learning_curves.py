"""A run's history as a picture: loss, Dice and learning rate over epochs."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from kits_tf.views.drawings import canvas, style

# Of training, of validation on patches, on whole cases.
_LINES = {"": ("training", ":"), "val_": ("validation patches", "-"), "case_": ("whole validation cases", "o")}


def learning_curves(title: str, history: Sequence[dict[str, float]], best: int | None = None) -> Figure:
    """Returns a figure with three charts over the epochs.

    Args:
        title: above all.
        history: of the run, at least one epoch.
        best: index from 0 of the epoch whose weights were kept; it is marked.
    """
    figure = Figure(figsize=(12, 4.2), facecolor=style.FACE, layout="constrained")
    loss, dice, rate = figure.subplots(1, 3, width_ratios=(2, 2, 1))
    _draw(loss, history, {"loss": style.TEXT})
    _draw(dice, history, {"kidney_dice": style.COLORS["kidney"], "tumor_dice": style.COLORS["tumor"]})
    _draw(rate, history, {"learning_rate": style.TEXT})
    dice.set_ylim(0, 1)
    for ax, heading in ((loss, "loss"), (dice, "Dice"), (rate, "learning rate")):
        canvas.decorate(ax, heading)
        ax.set_xlabel("epoch", color=style.TEXT)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        if best is not None:
            ax.axvline(best + 1, color=style.TEXT, alpha=0.4, linewidth=1)
    dice.legend(labelcolor=style.TEXT, frameon=False, fontsize=8)
    figure.suptitle(title, color=style.TEXT)
    return figure


def _draw(ax: Axes, history: Sequence[dict[str, float]], colors: dict[str, str]) -> None:
    """Draws each column that the history has, in its color; training and validation in lines of their own."""
    for name, color in colors.items():
        for prefix, (kind, line) in _LINES.items():
            found = [(row["epoch"] + 1, row[prefix + name]) for row in history if prefix + name in row]
            if found:
                label = f"{name.removesuffix('_dice')}, {kind}"
                ax.plot(*zip(*found, strict=True), line, color=color, label=label, linewidth=1.5, markersize=4)
