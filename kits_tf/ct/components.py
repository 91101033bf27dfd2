"""Connected components of masks, which of them are specks, and borders."""

import cc3d
import numpy as np
from numpy.typing import NDArray

# A component smaller than this share of the largest one is a speck. On KiTS19's 180 training masks every second
# kidney is above 0.10 of the first with its tumor, every other component below 0.01.
SPECK_SHARE = 0.05


def components_26(mask: NDArray[np.bool_]) -> NDArray[np.unsignedinteger]:
    """Returns the 26-connected components of a (z, y, x) bool mask: 0 outside, 1..n inside; the same shape."""
    # As bytes, not bool: for a bool mask cc3d 4.1.1 makes room for voxels / 2 + 1 labels, background among them, and
    # raises where a box one voxel thin and odd in its other sizes, (1, 3, 1) with two components, needs one more.
    return cc3d.connected_components(mask.view(np.uint8), connectivity=26)


def without_specks(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Returns a (z, y, x) bool mask without the 26-connected components that are specks beside its largest."""
    components = components_26(mask)
    sizes = np.bincount(components.ravel())
    sizes[0] = 0
    return mask & (sizes >= SPECK_SHARE * sizes.max())[components]


def border(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Returns the voxels of a bool mask of any rank that lack a neighbor along an axis; at the array's ends all do."""
    # Not mask & ~scipy.ndimage.binary_erosion(mask): on a mask of 128 x 256 x 256 that takes 35 ms, this 8 ms.
    inner = mask.copy()
    for axis in range(mask.ndim):
        planes, inner_planes = np.moveaxis(mask, axis, 0), np.moveaxis(inner, axis, 0)
        inner_planes[1:] &= planes[:-1]
        inner_planes[:-1] &= planes[1:]
        inner_planes[:1] = inner_planes[-1:] = False
    return mask & ~inner
