"""Legends: what a color, a hatch, a line or a mark stands for, below a figure or as a picture of their own."""

import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from kits_tf.base.words import structure_text
from kits_tf.ct.labels import Scheme
from kits_tf.views.drawings import style

ERROR_OPACITY = 0.4
_TINT_OPACITY = 0.4
_PICTURE_DPI = 100
_MARGIN_PIXELS = 6
# Width of a letter of the legend's picture, with room to spare.
_LETTER_PIXELS = 7


def structures(scheme: Scheme) -> list[Artist]:
    """Returns an entry for each structure of a scheme."""
    return [Patch(color=style.COLORS[name], label=structure_text(name)) for name in scheme.classes[1:]]


def lines(names: dict[str, str]) -> list[Artist]:
    """Returns an entry for each kind of line: matplotlib's style of it by its name for people."""
    return [Line2D([], [], color=style.TEXT, linestyle=line, linewidth=1.2, label=name) for name, line in names.items()]


def marks(names: dict[str, bool]) -> list[Artist]:
    """Returns an entry for each kind of point: whether it is filled by its name for people."""
    point: dict[str, Any] = {"color": style.TEXT, "linestyle": "", "marker": "o", "markersize": 4}
    return [
        Line2D([], [], **point, fillstyle="full" if filled else "none", label=name) for name, filled in names.items()
    ]


def errors() -> list[Artist]:
    """Returns an entry for each kind of error."""
    return [
        Patch(facecolor=(*style.rgb(name), ERROR_OPACITY), edgecolor=style.rgb(name), hatch=hatch, label=name)
        for name, hatch in style.ERROR_HATCHES.items()
    ]


def tint_and_outline(*, has_truth: bool) -> list[Artist]:
    """Returns the entries of pictures in which the prediction tints and the truth, where there is one, outlines."""
    tint = Patch(facecolor=style.TEXT, alpha=_TINT_OPACITY, label="tint: prediction")
    outline = Patch(facecolor="none", edgecolor=style.TEXT, label="outline: truth")
    return [tint, outline] if has_truth else [tint]


def warning_lines(warnings: Sequence[str], width: int) -> list[str]:
    """Returns the lines, of a number of letters at most, that say warnings in a picture."""
    return [line for text in warnings for line in textwrap.wrap(f"WARNING: {text}", width)]


def add_legend(figure: Figure, entries: Sequence[Artist], font_size: float = 10) -> None:
    """Puts a legend below a figure, in as few rows as its width allows.

    Args:
        figure: figure with a constrained layout.
        entries: entries of the legend.
        font_size: size of the letters in points.
    """
    _fit(figure, entries, font_size, "outside lower center", "")


def legend_picture(entries: Sequence[Artist], width: int, warnings: Sequence[str]) -> NDArray[np.uint8]:
    """Returns a legend below warnings as pixels (height, width, 3) uint8, as high as it needs to be.

    Args:
        entries: entries of the legend.
        width: width in pixels; names that are longer are cut.
        warnings: sentences that everyone who sees the picture must know.
    """
    figure = Figure(figsize=(width / _PICTURE_DPI, 1), dpi=_PICTURE_DPI, facecolor=style.FACE)
    height = _fit(figure, entries, 8, "upper center", "\n".join(warning_lines(warnings, width // _LETTER_PIXELS)))
    figure.set_size_inches(width / _PICTURE_DPI, round(height + _MARGIN_PIXELS) / _PICTURE_DPI)
    drawn = FigureCanvasAgg(figure)
    drawn.draw()
    return np.asarray(drawn.buffer_rgba())[..., :3]


def _fit(figure: Figure, entries: Sequence[Artist], font_size: float, place: str, title: str) -> float:
    """Adds the legend with as many columns as fit, and returns its height in pixels."""
    drawn = FigureCanvasAgg(figure)
    for columns in range(len(entries), 0, -1):
        legend = figure.legend(
            handles=list(entries), loc=place, ncols=columns, fontsize=font_size, labelcolor=style.TEXT, frameon=False,
            columnspacing=1.2, borderaxespad=0.2, title=title, title_fontsize=font_size,
        )  # fmt: skip
        legend.get_title().set_color(style.TEXT)
        box = legend.get_window_extent(drawn.get_renderer())
        if box.width <= figure.bbox.width or columns == 1:
            break
        legend.remove()
    return box.height
