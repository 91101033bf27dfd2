"""Random fields and depths, of which bodies, organs and their textures consist."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

# A field is drawn on a grid on which its standard deviation is about this large, and interpolated to the voxels.
_COARSE_SIGMA = 1.5


def smooth_noise(rng: np.random.Generator, shape: Sequence[int], sigma: float) -> NDArray[np.float32]:
    """Returns Gaussian noise of mean 0 and variance 1 that is smooth over about `sigma` voxels, of a shape."""
    step = max(1, int(sigma / _COARSE_SIGMA))
    coarse_shape = [max(2, -(-n // step) + 2) for n in shape]
    coarse = ndimage.gaussian_filter(rng.standard_normal(coarse_shape, dtype=np.float32), sigma / step)
    coarse /= coarse.std() + 1e-6
    whole = tuple(slice(n) for n in shape)
    if step == 1:
        return coarse[whole]
    return resized(coarse, [m * step for m in coarse_shape])[whole]


def resized(array: NDArray, shape: Sequence[int]) -> NDArray:
    """Returns an array (z, y, x), interpolated linearly to another shape that fills the same box."""
    factors = [n / m for n, m in zip(shape, array.shape, strict=True)]
    return ndimage.zoom(array, factors, order=1, mode="nearest", grid_mode=True)


def depth_mm(mask: NDArray[np.bool_], spacing_mm: float) -> NDArray[np.float32]:
    """Returns how deep each voxel's center lies in a mask of cubes, in mm: half a voxel at its surface; 0 outside."""
    distance = ndimage.distance_transform_edt(mask, sampling=spacing_mm).astype(np.float32)
    return np.maximum(distance - np.float32(spacing_mm / 2), 0)
