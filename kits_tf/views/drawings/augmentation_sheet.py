"""A contact sheet: one patch under many augmentations, its truth outlined."""

import textwrap
from collections.abc import Sequence

from matplotlib.figure import Figure

from kits_tf.ct.geometry import Spacing
from kits_tf.ct.labels import Scheme
from kits_tf.pipeline.preview import Preview
from kits_tf.views.drawings import canvas, legend, style

_COLUMNS = 4
_INCHES = 3.4


@canvas.plain_style()
def augmentation_sheet(
    title: str,
    previews: Sequence[Preview],
    scheme: Scheme,
    spacing_zyx_mm: Spacing,
    window: tuple[float, float],
) -> Figure:
    """Returns a figure with the middle axial plane of each patch, under the words for its augmentation.

    Orientation is radiological: the patient's right is on the left, except in patches that are mirrored.

    Args:
        title: heading of the sheet.
        previews: augmented patches, all of one size, (z, y, x) in (I, P, L).
        scheme: scheme of the labels.
        spacing_zyx_mm: voxel sizes (z, y, x).
        window: normalized values that are black and white.
    """
    rows = -(-len(previews) // _COLUMNS)
    size = _COLUMNS * _INCHES, rows * (_INCHES + 0.35) + 0.8
    figure = Figure(figsize=size, facecolor=style.FACE, layout="constrained")
    axes = figure.subplots(rows, _COLUMNS, squeeze=False).ravel()
    for ax in axes:
        ax.axis("off")
    for ax, preview in zip(axes, previews, strict=False):
        middle = len(preview.image) // 2
        low, high = window
        canvas.show(ax, preview.image[middle], spacing_zyx_mm[1:], cmap="gray", vmin=low, vmax=high)
        canvas.outline(ax, preview.labels[middle], scheme, spacing_zyx_mm[1:])
        ax.set_title("\n".join(textwrap.wrap(preview.words, 52)[:3]), color=style.TEXT, fontsize=7)
    figure.suptitle(title, color=style.TEXT)
    legend.add_legend(figure, legend.structures(scheme) + legend.lines({"truth": "solid"}))
    return figure
