"""Slices of a tilted gantry, set upright: each is shifted in its plane until all lie above each other."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kits_tf.ct.volume import AIR_HU


@dataclass(frozen=True, eq=False)
class UprightSlices:
    """Slices that lie above each other.

    Attributes:
        array: (slices, rows, columns) int16 HU, in plane as large as all the slices together reach; AIR_HU beyond each.
        offset_rc: (2,) row and column of the volume's first pixel in the first slice's pixel coordinates, 0 or less.
        corners_rc: (slices, 2) int64 row and column of the volume nearest to each slice's first pixel.
    """

    array: NDArray[np.int16]
    offset_rc: NDArray[np.float64]
    corners_rc: NDArray[np.int64]


def set_upright(array: NDArray[np.int16], drift_rc: NDArray[np.float64]) -> UprightSlices:
    """Shifts slices by parts of a pixel, with linear interpolation.

    Args:
        array: (slices, rows, columns) int16 HU.
        drift_rc: (2,) rows and columns by which each slice lies beside the one before it, in pixels.
    """
    shifts = np.arange(len(array))[:, None] * drift_rc
    offset_rc = shifts.min(axis=0)
    shifts -= offset_rc
    size = np.array(array.shape[1:]) + np.ceil(shifts.max(axis=0)).astype(int)
    upright = np.empty((len(array), *size), np.int16)
    for plane, slice_, (down, right) in zip(upright, array, shifts, strict=True):
        moved = _shifted(_shifted(slice_.astype(np.float32), down, size[0]).T, right, size[1]).T
        plane[...] = np.rint(moved)
    return UprightSlices(upright, offset_rc, np.rint(shifts).astype(np.int64))


def _shifted(slice_: NDArray[np.float32], shift: float, rows: int) -> NDArray[np.float32]:
    """Returns a slice moved down by `shift`, 0 or more rows, with linear interpolation, in a picture of `rows` rows."""
    whole = int(shift)
    share = np.float32(shift - whole)
    inside = np.full((rows + 1, slice_.shape[1]), AIR_HU, np.float32)
    inside[whole + 1 : whole + 1 + len(slice_)] = slice_[: rows - whole]
    return inside[1:] * (1 - share) + inside[:-1] * share
