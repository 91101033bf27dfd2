"""Morphology with balls of millimeters, on voxels of any size."""

import numpy as np
from edt import edt
from numpy.typing import NDArray

from kits_tf.ct.geometry import Spacing, bounding_box


def closing_gaps(mask: NDArray[np.bool_], spacing_mm: Spacing, radius_mm: float) -> NDArray[np.bool_]:
    """Returns what a closing adds to a mask: the gaps that no ball of a radius fits into.

    What lies beyond the array is taken for neither mask nor gap.

    Args:
        mask: (z, y, x) bool; an empty one has no gaps.
        spacing_mm: voxel sizes (z, y, x).
        radius_mm: radius of the ball, above 0.

    Returns:
        (z, y, x) bool, nowhere in the mask.
    """
    gaps = np.zeros_like(mask)
    if mask.any():
        box = box_with_room(mask, spacing_mm, radius_mm)
        inside = mask[box]
        far = edt(~inside, anisotropy=spacing_mm) > radius_mm
        gaps[box] = ~inside & ~far
        if far.any():
            gaps[box] &= edt(~far, anisotropy=spacing_mm) > radius_mm
    return gaps


def opened(mask: NDArray[np.bool_], spacing_mm: Spacing, radius_mm: float) -> NDArray[np.bool_]:
    """Returns where a ball of a radius, in mm, fits into a (z, y, x) bool mask, as far as the array reaches."""
    result = np.zeros_like(mask)
    if mask.any():
        box = box_with_room(mask, spacing_mm, radius_mm)
        core = edt(mask[box], anisotropy=spacing_mm) > radius_mm
        if core.any():
            result[box] = mask[box] & (edt(~core, anisotropy=spacing_mm) <= radius_mm)
    return result


def box_with_room(array: NDArray, spacing_mm: Spacing, radius_mm: float) -> tuple[slice, ...]:
    """Returns the box of all that is not 0 with room for a ball around it, as far as the array reaches."""
    room = np.ceil(radius_mm / np.array(spacing_mm)).astype(int) + 1
    spans = zip(bounding_box(array), room.tolist(), strict=True)
    return tuple(slice(max(0, span.start - more), span.stop + more) for span, more in spans)
