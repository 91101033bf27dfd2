"""Which kidney is the right one: from connected components and a midline.

1. Kidney and tumor (and cyst) together form 26-connected components; small ones are specks.
2. The midline lies halfway between the outermost large components if these are far enough apart to be two kidneys.
   Otherwise it is the median x of the body, from the scan, in the slices that show a kidney.
3. A large component takes the side of its center. If its kidney lies on both sides of the midline, it is two kidneys
   that touch: each piece that is connected by kidney alone takes the side of its own center, and a piece that still
   lies on both sides, as in a horseshoe kidney, is cut along the midline.
4. A speck takes the side of the nearest voxel of a large component.
"""

from dataclasses import dataclass

import cc3d
import numpy as np
from numpy.typing import NDArray

from kits_tf.ct.components import SPECK_SHARE, border, components_26
from kits_tf.ct.geometry import Spacing

# Two components whose centers lie this far apart along x are two kidneys, not a kidney and its tumor; the nearest pair
# in KiTS19's 180 training masks is 75 mm apart.
PAIR_MM = 60.0
# Kidney of which more than this share lies on either side of the midline lies on both.
BOTH_SIDES_SHARE = 0.15
# Skin and soft tissue against air and table foam.
BODY_HU = -300


@dataclass(frozen=True, kw_only=True)
class SideDecision:
    """How left and right were decided in a mask.

    Attributes:
        midline_x: index along x on the native grid; a voxel of a lower index lies to the right of it.
        midline_from: "kidneys", halfway between two; or "body", its median in the scan.
        large_components: number of components, without specks.
        cut: whether kidney tissue was cut along the midline.
        specks: number of components that went with the nearest large one.
    """

    midline_x: float
    midline_from: str
    large_components: int
    cut: bool
    specks: int

    def __str__(self) -> str:
        where = {"kidneys": "halfway between two kidneys", "body": "the middle of the body"}[self.midline_from]
        cut = ", kidney cut along it" if self.cut else ""
        return f"midline x={self.midline_x:.0f}, {where}{cut}; {self.large_components} parts, {self.specks} specks"


def right_side(
    foreground: NDArray[np.bool_],
    kidney: NDArray[np.bool_],
    hu: NDArray[np.int16],
    first_x: int,
    spacing_mm: Spacing,
) -> tuple[NDArray[np.bool_], SideDecision]:
    """Returns which voxels of a box lie on the right, and why.

    Args:
        foreground: (z, y, x) bool box in (I, P, L), kidney and all that belongs to one; some voxel is true.
        kidney: part of `foreground` that needs a side, in the same box.
        hu: (z, y, width of the scan) int16, the scan in the slices of the box.
        first_x: index along x of the box's first voxel in the scan.
        spacing_mm: voxel sizes (z, y, x).

    Returns:
        is_right: bool like `foreground`; only voxels of the foreground mean anything.
        decision: record of how it was decided.
    """
    components = components_26(foreground)
    statistics = cc3d.statistics(components)
    counts, centers_x = statistics["voxel_counts"], statistics["centroids"][:, 2]
    large = [i for i in range(1, len(counts)) if counts[i] >= SPECK_SHARE * counts[1:].max()]
    ends = [min(large, key=lambda i: centers_x[i]), max(large, key=lambda i: centers_x[i])]
    is_pair = np.ptp(centers_x[ends]) * spacing_mm[2] > PAIR_MM
    midline = float(centers_x[ends].mean()) if is_pair else body_midline(hu) - first_x

    is_right, cut = np.zeros(foreground.shape, bool), False
    for i in large:
        part = components == i
        if _on_both_sides(part & kidney, midline):
            is_right |= part & (np.arange(part.shape[2]) < midline)
            cut |= _assign_pieces(is_right, part & kidney, midline)
        elif centers_x[i] < midline:
            is_right |= part
    specks = [i for i in range(1, len(counts)) if i not in large]
    _assign_specks(is_right, components, specks, statistics["centroids"], spacing_mm)
    return is_right, SideDecision(
        midline_x=midline + first_x,
        midline_from="kidneys" if is_pair else "body",
        large_components=len(large),
        cut=cut,
        specks=len(specks),
    )


def body_midline(hu: NDArray[np.int16]) -> float:
    """Returns the median x index of the body in slices (z, y, x); the middle of the picture if it shows no body."""
    per_column = (hu > BODY_HU).sum(axis=(0, 1))
    if not per_column.any():
        return (hu.shape[2] - 1) / 2
    return float(np.searchsorted(per_column.cumsum(), per_column.sum() / 2))


def _on_both_sides(kidney: NDArray[np.bool_], midline: float) -> bool:
    per_column = kidney.sum(axis=(0, 1))
    share = per_column[np.arange(len(per_column)) < midline].sum() / max(1, per_column.sum())
    return bool(BOTH_SIDES_SHARE < share < 1 - BOTH_SIDES_SHARE)


def _assign_pieces(is_right: NDArray[np.bool_], kidney: NDArray[np.bool_], midline: float) -> bool:
    """Gives each piece of a component's kidney its side in `is_right`, and returns whether one was left cut."""
    pieces = components_26(kidney)
    centers_x = cc3d.statistics(pieces)["centroids"][:, 2]
    cut = False
    for i in range(1, len(centers_x)):
        piece = pieces == i
        if _on_both_sides(piece, midline):
            cut = True
        else:
            is_right[piece] = centers_x[i] < midline
    return cut


def _assign_specks(
    is_right: NDArray[np.bool_],
    components: NDArray[np.integer],
    specks: list[int],
    centers: NDArray[np.float64],
    spacing_mm: Spacing,
) -> None:
    """Gives each speck in `is_right` the side of the large component's voxel that is nearest to its center."""
    if not specks:
        return
    anchors = np.argwhere(border((components > 0) & ~np.isin(components, specks)))
    anchors_mm = (anchors * spacing_mm).astype(np.float32)
    for speck in specks:
        distances_mm2 = ((anchors_mm - centers[speck] * spacing_mm) ** 2).sum(axis=1)
        is_right[components == speck] = is_right[tuple(anchors[distances_mm2.argmin()])]
