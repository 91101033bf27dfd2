"""What figures share: labels over a plane, letters, and files that are whole or not there.

Figures are matplotlib objects without pyplot: no window system, and matplotlib's global settings stay as they are.
"""

import contextlib
import io
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import AbstractPathEffect, withStroke
from numpy.typing import NDArray
from PIL import Image

from kits_tf.base.errors import InputError
from kits_tf.base.files import MADE_BY, name_in_errors, written_whole
from kits_tf.ct.labels import Scheme
from kits_tf.views.drawings import style
from kits_tf.views.drawings.legend import warning_lines

_SVG_SETTINGS = {
    "svg.fonttype": "none",  # text stays text: it can be read, searched, and has the page's font
    "svg.hashsalt": "kits_tf",  # the same chart is the same file
}
_WEBP_QUALITY = 80
# Letters in a line of a warning below a title, and the size of such a title.
_WARNING_WIDTH, _WARNING_SIZE = 120, 10
_TITLE_SIZE = 13


@contextlib.contextmanager
def plain_style() -> Iterator[None]:
    """Draws and writes within by matplotlib's own defaults, whatever a matplotlibrc or the program has set."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        yield


@contextlib.contextmanager
def drawing() -> Iterator[None]:
    """Makes an error of what draws within an InputError: one case that cannot be drawn never costs the others.

    Raises:
        InputError: the case cannot be drawn, or cannot be used.
    """
    try:
        yield
    except (InputError, OSError):
        raise
    except Exception as error:
        raise InputError(f"expected a case that can be drawn: {type(error).__name__}: {error}") from error


def dark_page(width: float, height: float) -> Figure:
    """Returns an empty figure for pictures that stand close to each other.

    Args:
        width: width in inches.
        height: height in inches.
    """
    figure = Figure(figsize=(width, height), facecolor=style.FACE)
    figure.set_layout_engine("constrained", w_pad=0.02, h_pad=0.02, wspace=0.01, hspace=0.01)
    return figure


def set_title(figure: Figure, title: str, warnings: Sequence[str]) -> None:
    """Writes a title above a figure, and below it what everyone who sees the figure must know."""
    lines = warning_lines(warnings, _WARNING_WIDTH)
    figure.suptitle("\n".join([title, *lines]), color=style.TEXT, fontsize=_WARNING_SIZE if lines else _TITLE_SIZE)


def decorate(ax: Axes, heading: str) -> None:
    """Gives a chart its heading and the colors of all charts."""
    ax.set_title(heading, color=style.TEXT)
    ax.set_facecolor("none")
    ax.tick_params(colors=style.TEXT)
    ax.grid(color=style.TEXT, alpha=0.15)
    for spine in ax.spines.values():
        spine.set_color(style.TEXT)
        spine.set_alpha(0.4)


def show(ax: Axes, picture: NDArray, pixel_mm: tuple[float, float], **imshow_arguments: Any) -> None:
    """Shows a plane on axes in mm; their origin is the corner of the first pixel.

    Args:
        ax: axes of planes alone: they lose ticks and frame.
        picture: plane, (height, width) or (height, width, 3).
        pixel_mm: height and width of a pixel.
        **imshow_arguments: further arguments of `Axes.imshow`.
    """
    height, width = picture.shape[:2]
    ax.imshow(picture, extent=(0, width * pixel_mm[1], height * pixel_mm[0], 0), **imshow_arguments)
    ax.set(xticks=[], yticks=[], facecolor=style.FACE)
    ax.set_frame_on(False)


def write(ax: Axes, place: tuple[float, float], text: str, **text_arguments: Any) -> None:
    """Writes over a picture, in letters with a dark rim: they can be read on bone as on air.

    Args:
        ax: axes to write on.
        place: x and y.
        text: text to write.
        **text_arguments: further arguments of `Axes.text`.
    """
    ax.text(*place, text, color=style.TEXT, path_effects=_rim(2.5), **text_arguments)


def draw_bar(ax: Axes, start: tuple[float, float], length_mm: float) -> None:
    """Draws a bar with its length in cm above it.

    Args:
        ax: axes in mm, as `show` makes them.
        start: x and y of its left end.
        length_mm: length of the bar.
    """
    x, y = start
    (bar,) = ax.plot([x, x + length_mm], [y, y], color=style.TEXT, linewidth=2, clip_on=False, path_effects=_rim(4.0))
    above: dict[str, Any] = {"xytext": (0, 3), "textcoords": "offset points", "va": "bottom", "fontsize": 8}
    text = ax.annotate(f"{length_mm / 10:.0f} cm", start, color=style.TEXT, path_effects=_rim(2.5), **above)
    for drawn in (bar, text):  # it may be wider than the axes, which keep their size
        drawn.set_in_layout(False)


def outline(
    ax: Axes, labels: NDArray[np.uint8], scheme: Scheme, pixel_mm: tuple[float, float], line: str = "solid"
) -> None:
    """Outlines each structure of a plane, with a dark rim.

    Args:
        ax: axes in mm, as `show` makes them.
        labels: (height, width) uint8 labels.
        scheme: scheme of the labels.
        pixel_mm: height and width of a pixel.
        line: matplotlib's style of the line.
    """
    x, y, labels = _with_neighbors(labels, pixel_mm)
    for label, name in enumerate(scheme.classes):
        mask = labels == label
        if label and mask.any():
            drawn = ax.contour(x, y, mask, levels=[0.5], colors=[style.COLORS[name]], linewidths=1.2, linestyles=line)
            drawn.set_path_effects(_rim(2.2))


def hatch(ax: Axes, errors: NDArray[np.uint8], pixel_mm: tuple[float, float]) -> None:
    """Hatches each kind of error of a plane.

    Args:
        ax: axes in mm, as `show` makes them.
        errors: (height, width) uint8, as `raster.find_errors` returns them.
        pixel_mm: height and width of a pixel.
    """
    x, y, errors = _with_neighbors(errors, pixel_mm)
    for kind, (name, pattern) in enumerate(style.ERROR_HATCHES.items(), start=1):
        mask = errors == kind
        if mask.any():
            drawn = ax.contourf(x, y, mask, levels=[0.5, 1.5], colors="none", hatches=[pattern])
            drawn.set(edgecolor=style.rgb(name), linewidth=0)


def _rim(width: float) -> list[AbstractPathEffect]:
    """Returns a dark line of a width in points below what is drawn."""
    return [withStroke(linewidth=width, foreground=style.FACE)]


def _with_neighbors(
    labels: NDArray[np.uint8], pixel_mm: tuple[float, float]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.uint8]]:
    """Returns x and y of the pixels' centers, and the labels: a contour needs two rows and columns.

    A single row or column gets an empty neighbor on each side.
    """
    margins = [int(size == 1) for size in labels.shape]
    labels = np.pad(labels, [(margin, margin) for margin in margins])
    y, x = (
        (np.arange(size) - margin + 0.5) * mm for size, margin, mm in zip(labels.shape, margins, pixel_mm, strict=True)
    )
    return x, y, labels


@plain_style()
def save(figure: Figure, path: str | os.PathLike) -> None:
    """Writes the figure as a PNG and makes its folder; the file is whole or not there."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with name_in_errors(path), written_whole(path) as partial:
        figure.savefig(partial, dpi=style.DOTS_PER_INCH, format="png", metadata={"Software": MADE_BY})


@plain_style()
def webp(figure: Figure, width: int) -> bytes:
    """Returns the figure as a WebP of `width` pixels, which is at most a quarter of a PNG's size: for pages."""
    content = io.BytesIO()
    dpi = width / figure.get_size_inches()[0]
    figure.savefig(content, dpi=dpi, format="webp", pil_kwargs={"quality": _WEBP_QUALITY, "method": 2})
    return content.getvalue()


def webp_size(content: bytes) -> tuple[int, int]:
    """Returns width and height of a WebP in pixels."""
    return Image.open(io.BytesIO(content)).size


@plain_style()
def svg(figure: Figure) -> str:
    """Returns the figure as an SVG element for a page.

    Lines and words in style.TEXT take the color of the page's text, and links stay within the page.
    """
    content = io.StringIO()
    with matplotlib.rc_context(_SVG_SETTINGS):
        figure.savefig(content, format="svg", transparent=True, metadata={"Date": None})
    element = content.getvalue()[content.getvalue().index("<svg") :]
    text_color = re.compile(re.escape(matplotlib.colors.to_hex(style.TEXT)), re.IGNORECASE)
    return text_color.sub("currentColor", element).replace(' target="_blank"', "")
