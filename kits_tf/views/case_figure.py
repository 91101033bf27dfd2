"""One picture of a case: true and predicted masks over three planes of the scan."""

import os

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from kits_tf.analysis.scores import confusion, dice_scores
from kits_tf.ct.labels import CHALLENGE_TUMOR, Scheme
from kits_tf.views import canvas, style

# Plane name, axis it is cut along, and what lies at the left and right edge of the picture.
_PLANES = (("axial", 0, "R", "L"), ("coronal", 1, "R", "L"), ("sagittal", 2, "A", "P"))


def draw_case(
    path: str | os.PathLike,
    case_id: str,
    hu: NDArray[np.int16],
    truth: NDArray[np.uint8],
    predicted: NDArray[np.uint8],
    scheme: Scheme,
    spacing_mm: tuple[float, float, float],
) -> None:
    """Writes a PNG: truth above, prediction below; axial, coronal and sagittal plane through the tumor.

    Radiological orientation: the patient's right is on the left. Without a tumor the planes go through the largest
    foreground, without any through the middle.

    Args:
        path: of the PNG.
        case_id: for the title.
        hu: (z, y, x) int16 in (I, P, L).
        truth: labels of the scheme on the same grid.
        predicted: the same.
        scheme: of both masks.
        spacing_mm: voxel sizes (z, y, x).
    """
    planes = _plane_indices(truth if truth.any() else predicted, scheme)
    figure = Figure(figsize=(12, 7), facecolor=style.FACE, layout="constrained")
    axes = figure.subplots(2, 3)
    for row, (name, labels) in enumerate((("truth", truth), ("prediction", predicted))):
        for column, (plane, axis, left, right) in enumerate(_PLANES):
            ax = axes[row][column]
            height_mm, width_mm = [s for a, s in enumerate(spacing_mm) if a != axis]
            low, high = style.SOFT_TISSUE_HU
            picture = np.take(hu, planes[axis], axis)
            ax.imshow(picture, cmap="gray", vmin=low, vmax=high, aspect=height_mm / width_mm)
            plane_labels = np.take(labels, planes[axis], axis)
            canvas.fill(ax, plane_labels, scheme)
            canvas.outline(ax, plane_labels, scheme)
            ax.set_title(f"{name}, {plane} {planes[axis]}", color=style.TEXT, fontsize=10)
            height, width = picture.shape
            for x, text, side in ((0.02 * width, left, "left"), (0.98 * width, right, "right")):
                ax.text(x, height / 2, text, color=style.TEXT, ha=side, va="center")
            ax.axis("off")
    scores = dice_scores(confusion(truth, predicted, len(scheme.classes)), scheme)
    title = f"{case_id}   Dice: kidney {scores['kidney_dice']:.3f}, tumor {scores['tumor_dice']:.3f}"
    figure.suptitle(title, color=style.TEXT)
    canvas.add_legend(figure, scheme)
    canvas.save(figure, path)


def _plane_indices(labels: NDArray[np.uint8], scheme: Scheme) -> tuple[int, int, int]:
    """Returns the slice along each axis that shows the most tumor, or else the most foreground."""
    tumor = np.isin(labels, [i for i, c in enumerate(scheme.challenge) if c == CHALLENGE_TUMOR])
    shown = tumor if tumor.any() else labels > 0
    if not shown.any():
        z, y, x = (n // 2 for n in labels.shape)
        return z, y, x
    sums = [shown.sum(axis=tuple(a for a in range(3) if a != axis)) for axis in range(3)]
    z, y, x = (int(np.argmax(s)) for s in sums)
    return z, y, x
