"""One picture of a case: truth and prediction on planes through each structure, and their surfaces."""

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec

from kits_tf.analysis.case_masks import CaseMasks
from kits_tf.analysis.scores import KIDNEY_DICE, TUMOR_DICE, dice_scores
from kits_tf.ct.crop import crop_around
from kits_tf.views.drawings import canvas, legend, style
from kits_tf.views.drawings.planes import PLANES, Landmark, Plane, landmarks
from kits_tf.views.drawings.raster import find_errors
from kits_tf.views.drawings.surfaces import PIXEL_MM, VIEWS, draw_surfaces

# Width of a picture; around a structure that needs more, a multiple of its extent.
_FIELD_MM = 150.0
_FIELD_PER_EXTENT = 1.3
_BAR_MM = 50.0
_SURFACE_MARGIN_MM = 12.0
# Room for the bar below a surface, as a share of the picture's height.
_STRIP = 0.16
# Letters at the left, right, upper and lower edge: x and y in the axes, and how they are aligned there.
_EDGE_PLACES = (
    (0.02, 0.5, "left", "center"),
    (0.98, 0.5, "right", "center"),
    (0.5, 0.98, "center", "top"),
    (0.5, 0.02, "center", "bottom"),
)


@canvas.plain_style()
def case_figure(case: CaseMasks) -> Figure:
    """Returns the figure of a case.

    Each landmark (the largest tumor, each kidney) has a row: the axial, coronal and sagittal plane through its center,
    in radiological orientation, all at one scale. The truth has solid outlines, the prediction dashed ones; voxels that
    are missed, false, or of another structure are hatched. Below are the surfaces from the front and from the left, and
    the title says Dice. A case without labels shows the middle of the scan.
    """
    marks = landmarks(case)
    field_mm = max(_FIELD_MM, *(_FIELD_PER_EXTENT * mark.extent_mm for mark in marks))
    figure = canvas.dark_page(10, 3.4 * len(marks) + 3.6)
    rows = figure.add_gridspec(len(marks) + 1, 1, height_ratios=[3.4] * len(marks) + [2.6])
    for row, mark in enumerate(marks):
        axes: list[Axes] = list(np.ravel(np.array(rows[row].subgridspec(1, len(PLANES)).subplots())))
        for ax, plane in zip(axes, PLANES, strict=True):
            _draw_plane(ax, case, plane, mark, field_mm)
        _draw_bar(axes[0])
    _draw_all_surfaces(rows[-1], case)
    canvas.set_title(figure, _title(case), case.warnings)
    legend.add_legend(figure, legend.structures(case.scheme) + _other_entries(case))
    return figure


def _other_entries(case: CaseMasks) -> list[Artist]:
    """Returns what the legend says of truth, prediction and errors."""
    if case.truth is None:
        return legend.lines({"prediction": "solid"})
    return legend.lines({"truth": "solid", "prediction": "dashed"}) + legend.errors()


def _title(case: CaseMasks) -> str:
    if case.truth is None:
        return f"{case.case_id}   prediction"
    scores = dice_scores(case.truth, case.predicted, case.scheme)
    return f"{case.case_id}   Dice: kidney {scores[KIDNEY_DICE]:.3f}, tumor {scores[TUMOR_DICE]:.3f}"


def _draw_plane(ax: Axes, case: CaseMasks, plane: Plane, mark: Landmark, field_mm: float) -> None:
    """Draws a square of `field_mm` around a landmark; beyond the scan it is black."""
    pixel_mm = plane.in_plane(case.spacing_mm)
    center_mm = [(i + 0.5) * s for i, s in zip(plane.in_plane(mark.center), pixel_mm, strict=True)]
    hu = plane.cut(case.hu, mark.center)
    low, high = style.SOFT_TISSUE_HU
    canvas.show(ax, hu, pixel_mm, cmap="gray", vmin=low, vmax=high, interpolation="bilinear")
    predicted = plane.cut(case.predicted, mark.center)
    if case.truth is None:
        canvas.outline(ax, predicted, case.scheme, pixel_mm)
    else:
        truth = plane.cut(case.truth, mark.center)
        tints = ((*style.rgb(name), legend.ERROR_OPACITY) for name in style.ERROR_COLORS)
        errors, colors = find_errors(truth, predicted), ListedColormap([(0, 0, 0, 0), *tints])
        canvas.show(ax, errors, pixel_mm, cmap=colors, vmin=0, vmax=len(style.ERROR_COLORS), interpolation="nearest")
        canvas.hatch(ax, errors, pixel_mm)
        canvas.outline(ax, truth, case.scheme, pixel_mm)
        canvas.outline(ax, predicted, case.scheme, pixel_mm, line="dashed")
    y, x = center_mm
    ax.set(xlim=(x - field_mm / 2, x + field_mm / 2), ylim=(y + field_mm / 2, y - field_mm / 2))
    ax.set_title(f"{mark.name}, {plane.name} {mark.center[plane.axis]}", color=style.TEXT, fontsize=10)
    _mark_edges(ax, plane.edges)


def _mark_edges(ax: Axes, edges: tuple[str, str, str, str]) -> None:
    for text, (x, y, horizontal, vertical) in zip(edges, _EDGE_PLACES, strict=True):
        canvas.write(ax, (x, y), text, ha=horizontal, va=vertical, transform=ax.transAxes, fontsize=10)


def _draw_bar(ax: Axes) -> None:
    """Draws a bar of _BAR_MM into the lower left corner of axes in mm."""
    (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    canvas.draw_bar(ax, (left + 0.04 * (right - left), bottom + 0.05 * (top - bottom)), _BAR_MM)


def _draw_all_surfaces(place: SubplotSpec, case: CaseMasks) -> None:
    """Draws the surfaces of truth and prediction, each from every view."""
    masks = {} if case.truth is None else {"truth": case.truth}
    masks |= {"prediction": case.predicted}
    crop = crop_around(case.known | case.predicted, _SURFACE_MARGIN_MM, case.spacing_mm)
    pictures = {name: draw_surfaces(crop.of(labels), case.scheme, case.spacing_mm) for name, labels in masks.items()}
    widths = [pictures[name][view.name].shape[1] for name in masks for view in VIEWS]  # so that all have one scale
    axes: list[Axes] = list(np.ravel(np.array(place.subgridspec(1, len(widths), width_ratios=widths).subplots())))
    for i, name in enumerate(masks):
        for j, view in enumerate(VIEWS):
            ax, picture = axes[i * len(VIEWS) + j], pictures[name][view.name]
            canvas.show(ax, picture, (PIXEL_MM, PIXEL_MM), interpolation="bilinear")
            height_mm, width_mm = (size * PIXEL_MM for size in picture.shape[:2])
            ax.set(xlim=(0, width_mm), ylim=((1 + _STRIP) * height_mm, 0))
            ax.set_title(f"{name}\n{view.name}", color=style.TEXT, fontsize=9)
            left, right, *_ = next(plane.edges for plane in PLANES if plane.axis == view.axis)
            _mark_edges(ax, (left, right, "", ""))
    _draw_bar(axes[0])
