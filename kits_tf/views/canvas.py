"""What figures share: labels over a plane, a legend, and a PNG that is whole or not there."""

import os
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from kits_tf.ct.labels import Scheme
from kits_tf.views import style
from tfrecords_tools.files import written_whole

matplotlib.use("Agg")


def fill(ax: Axes, labels: NDArray[np.uint8], scheme: Scheme) -> None:
    """Tints each structure of a plane, (height, width)."""
    for name, mask in _structures(labels, scheme):
        ax.contourf(mask, levels=[0.5, 1.5], colors=[style.COLORS[name]], alpha=0.3)


def outline(ax: Axes, labels: NDArray[np.uint8], scheme: Scheme) -> None:
    """Outlines each structure of a plane, (height, width)."""
    for name, mask in _structures(labels, scheme):
        ax.contour(mask, levels=[0.5], colors=[style.COLORS[name]], linewidths=1.2)


def add_legend(figure: Figure, scheme: Scheme) -> None:
    """Puts the names of the structures below a figure."""
    handles = [Patch(color=style.COLORS[name], label=name.replace("_", " ")) for name in scheme.classes[1:]]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), labelcolor=style.TEXT, frameon=False)


def save(figure: Figure, path: str | os.PathLike) -> None:
    """Writes the figure as a PNG, under a temporary name first; makes its folder."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as partial:
        figure.savefig(partial, dpi=style.DOTS_PER_INCH, format="png")


def _structures(labels: NDArray[np.uint8], scheme: Scheme) -> list[tuple[str, NDArray[np.bool_]]]:
    found = [(name, labels == label) for label, name in enumerate(scheme.classes) if label]
    return [(name, mask) for name, mask in found if mask.any()]
