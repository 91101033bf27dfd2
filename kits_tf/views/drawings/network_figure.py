"""A network as a U: what each of its parts consists of and what it costs."""

import math
import textwrap

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from kits_tf.base.settings import format_value
from kits_tf.training.description import LayerDescription, NetworkDescription
from kits_tf.views.drawings import canvas, style

# Size of a box, and the distance from row to row.
_WIDTH, _HEIGHT = 3.2, 0.9
_ROW = 1.4


@canvas.plain_style()
def network_figure(title: str, network: NetworkDescription) -> Figure:
    """Returns a figure of the parts, down to the coarsest on the left and up again on the right.

    Boxes are the brighter the more is computed.

    Args:
        title: text above the figure.
        network: description of the network.
    """
    parts: dict[str, list[LayerDescription]] = {}
    for layer in network.layers:
        parts.setdefault(layer.part, []).append(layer)
    names = list(parts)
    sizes = [math.prod(layers[-1].shape[:3]) for layers in parts.values()]
    bottom = max(i for i, size in enumerate(sizes) if size == min(sizes))
    figure = Figure(figsize=(11, 1.5 * bottom + 1.5), facecolor=style.FACE, layout="constrained")
    ax = figure.subplots()
    ax.set(xlim=(-5.2, 5.2), ylim=(-_ROW * bottom - 0.7, 0.7), aspect="equal")
    ax.axis("off")
    most = max(sum(layer.flops for layer in layers) for layers in parts.values())
    boxes = {name: _draw_part(ax, layers, _place(i, bottom), most) for i, (name, layers) in enumerate(parts.items())}
    for start, end in _connections(network.layers):
        _draw_arrow(ax, boxes[start], boxes[end])
        if names.index(end) > names.index(start) + 1:
            x, y = np.mean([_place(names.index(name), bottom) for name in (start, end)], axis=0)
            ax.text(x, y + 0.08, "skip connection", color=style.TEXT, fontsize=8, ha="center")
    facts = f"{network.parameters:,} parameters, {network.inference_flops / 1e9:.1f} GFLOP a patch in inference, "
    facts += f"receptive field {format_value(network.receptive_field)} voxels"
    figure.suptitle("\n".join([*textwrap.wrap(title, 110), facts]), color=style.TEXT, fontsize=11)
    return figure


def _connections(layers: list[LayerDescription]) -> list[tuple[str, str]]:
    """Returns the pairs of parts of which the second is given what the first computes."""
    parts = {layer.name: layer.part for layer in layers}
    pairs = [(parts[name], layer.part) for layer in layers for name in layer.inputs]
    return list(dict.fromkeys(pair for pair in pairs if pair[0] != pair[1]))


def _place(index: int, bottom: int) -> tuple[float, float]:
    """Returns the middle of a part's box: down on the left to the bottom, up on the right."""
    if index == bottom:
        return 0.0, -_ROW * bottom
    row = index if index < bottom else 2 * bottom - index
    return (-3.4 if index < bottom else 3.4), -_ROW * row


def _draw_part(ax: Axes, layers: list[LayerDescription], place: tuple[float, float], most: int) -> FancyBboxPatch:
    """Draws and returns the box of a part.

    Args:
        ax: axes to draw into.
        layers: layers of the part.
        place: middle of the box.
        most: operations of the part with the most, which is the brightest.
    """
    flops, parameters = sum(layer.flops for layer in layers), sum(layer.parameters for layer in layers)
    *size, channels = layers[-1].shape
    lines = [f"{layers[0].part}: voxels {format_value(tuple(size))}, channels {channels}"]
    if flops:
        convolutions = sum(layer.flops > 0 for layer in layers)
        lines += [f"convolutions {convolutions}, parameters {parameters:,}", f"{flops / 1e9:.1f} GFLOP"]
    x, y = place
    box = FancyBboxPatch(
        (x - _WIDTH / 2, y - _HEIGHT / 2),
        _WIDTH,
        _HEIGHT,
        boxstyle="round,pad=0.05",
        facecolor=(*style.rgb("kidney"), 0.6 * flops / max(most, 1)),
        edgecolor=style.rgb("kidney"),
    )
    ax.add_patch(box)
    ax.text(x, y, "\n".join(lines), color=style.TEXT, fontsize=8.5, ha="center", va="center")
    return box


def _draw_arrow(ax: Axes, start: FancyBboxPatch, end: FancyBboxPatch) -> None:
    """Draws an arrow from one box to another, from edge to edge."""
    tail, head = ((box.get_x() + _WIDTH / 2, box.get_y() + _HEIGHT / 2) for box in (start, end))
    arrow = {"arrowstyle": "->", "color": style.TEXT, "patchA": start, "patchB": end, "shrinkA": 3, "shrinkB": 3}
    ax.annotate("", head, tail, arrowprops=arrow)
