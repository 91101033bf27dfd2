"""A network as a U: what each level is made of and what it costs."""

import itertools
import textwrap

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from kits_tf.base.settings import format_value
from kits_tf.training.description import LayerDescription, NetworkDescription
from kits_tf.views.drawings import style

_WIDTH, _HEIGHT, _ROW = 3.2, 0.9, 1.4  # of a box, and from row to row


def network_figure(title: str, network: NetworkDescription) -> Figure:
    """Returns a figure of the levels, encoder to the left and decoder to the right, brighter where more is computed.

    Args:
        title: above all.
        network: as described.
    """
    parts: dict[str, list[LayerDescription]] = {}
    for layer in network.layers:
        parts.setdefault(_part(layer), []).append(layer)
    bottom = sum(name.startswith("encoder") for name in parts)
    figure = Figure(figsize=(11, 1.5 * bottom + 3), facecolor=style.FACE, layout="constrained")
    ax = figure.subplots()
    ax.set(xlim=(-5.2, 5.2), ylim=(-_ROW * bottom - 0.7, _ROW + 0.7), aspect="equal")
    ax.axis("off")
    most = max(sum(layer.flops for layer in of_part) for of_part in parts.values())
    boxes = {name: _draw_part(ax, name, of_part, bottom, most) for name, of_part in parts.items()}
    for start, end in itertools.pairwise(parts):  # layers stand in the order in which they compute
        _draw_arrow(ax, boxes[start], boxes[end])
    for level in range(bottom):
        _draw_arrow(ax, boxes[f"encoder{level}"], boxes[f"decoder{level}"])
        ax.text(0, 0.08 - _ROW * level, "skip connection", color=style.TEXT, fontsize=8, ha="center")
    facts = f"{network.parameters:,} parameters, {network.inference_flops / 1e9:.1f} GFLOP a patch in inference, "
    facts += f"receptive field {format_value(network.receptive_field)} voxels"
    figure.suptitle("\n".join([*textwrap.wrap(title, 110), facts]), color=style.TEXT, fontsize=11)
    return figure


def _part(layer: LayerDescription) -> str:
    """Returns the level that a layer belongs to, by its name; the stem is of the finest one."""
    start = layer.name.partition("_")[0]
    return "encoder0" if start == "stem" else start


def _place(name: str, bottom: int) -> tuple[float, float]:
    """Returns where the middle of a level's box is."""
    if name == "bottom":
        return 0.0, -_ROW * bottom
    above = name in ("image", "logits")
    row = -1 if above else int(name.removeprefix("encoder").removeprefix("decoder"))
    return (-3.4 if name == "image" or name.startswith("encoder") else 3.4), -_ROW * row


def _draw_part(ax: Axes, name: str, layers: list[LayerDescription], bottom: int, most: int) -> FancyBboxPatch:
    """Draws and returns the box of a level."""
    flops, parameters = sum(layer.flops for layer in layers), sum(layer.parameters for layer in layers)
    *size, channels = layers[-1].shape
    lines = [f"{name}: voxels {format_value(tuple(size))}, channels {channels}"]
    if flops:
        convolutions = sum(layer.flops > 0 for layer in layers)
        lines += [f"convolutions {convolutions}, parameters {parameters:,}", f"{flops / 1e9:.1f} GFLOP"]
    x, y = _place(name, bottom)
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
    look = {"arrowstyle": "->", "color": style.TEXT, "patchA": start, "patchB": end, "shrinkA": 3, "shrinkB": 3}
    ax.annotate("", head, tail, arrowprops=look)
