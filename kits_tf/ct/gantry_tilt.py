"""Slices of a tilted gantry, set upright: each is shifted in its plane until all lie above each other."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kits_tf.ct.volume import AIR_HU


@dataclass(frozen=True, eq=False)
class Upright:
    """Slices that lie above each other.

    Attributes:
        array: (slices, rows, columns) int16 HU, in plane as large as all the slices together reach; AIR_HU beyond each.
        first: (rows, columns), where the volume's first pixel lies in pixels of the first slice, 0 or less.
        corners: (slices, 2) int64, the volume's row and column next to each slice's first pixel.
    """

    array: NDArray[np.int16]
    first: NDArray[np.float64]
    corners: NDArray[np.int64]


def set_upright(array: NDArray[np.int16], drift: NDArray[np.float64]) -> Upright:
    """Shifts slices by parts of a pixel, with linear interpolation.

    Args:
        array: (slices, rows, columns) int16 HU.
        drift: (rows, columns), by how many pixels each slice lies beside the one before it.
    """
    shifts = np.arange(len(array))[:, None] * drift
    first = shifts.min(axis=0)
    shifts -= first
    size = np.array(array.shape[1:]) + np.ceil(shifts.max(axis=0)).astype(int)
    upright = np.empty((len(array), *size), np.int16)
    for plane, slice_, (down, right) in zip(upright, array, shifts, strict=True):
        moved = _shifted(_shifted(slice_.astype(np.float32), down, size[0]).T, right, size[1]).T
        plane[...] = np.rint(moved)
    return Upright(upright, first, np.rint(shifts).astype(np.int64))


def _shifted(slice_: NDArray[np.float32], shift: float, rows: int) -> NDArray[np.float32]:
    """Returns so many rows of a slice that begins at row `shift`, 0 or more; between two it is interpolated."""
    whole = int(shift)
    share = np.float32(shift - whole)
    inside = np.full((rows + 1, slice_.shape[1]), AIR_HU, np.float32)
    inside[whole + 1 : whole + 1 + len(slice_)] = slice_[: rows - whole]
    return inside[1:] * (1 - share) + inside[:-1] * share
