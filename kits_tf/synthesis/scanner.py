"""What the scanner adds: its table, its blur and its noise."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from kits_tf.synthesis.scene import Scene

# Voxels below this are air, in which a table can be.
_AIR_HU = -900
# Blur and noise are those of kernels from smooth to sharp, and of doses from a screening's to a diagnostic scan's.
_BLUR_MM = (0.6, 1.8)
_SLICE_BLUR = (0.6, 1.0, 1.8)
_NOISE_HU = (4, 32)
_TABLE_SHARE = 0.75
# Of 12 bits, as most scanners store.
_RANGE_HU = (-1024, 3071)


def paint_table(scene: Scene) -> None:
    """Paints one or two curved plates below the back, in three scans of four."""
    rng, mm = scene.rng, scene.spacing_mm
    if rng.random() > _TABLE_SHARE or not scene.inside.any():
        return
    _, height, width = scene.hu.shape
    back = np.flatnonzero(scene.inside.any((0, 2)))[-1]  # y runs to the back
    across = (np.arange(width) - width / 2) / (width / 2)
    plate = back + rng.uniform(4, 14) / mm - across**2 * rng.uniform(0, 30) / mm
    hu, thickness = rng.uniform(-300, 700), max(1, round(rng.uniform(1.2, 4.0) / mm))
    for below in [0.0] if rng.random() < 0.4 else [0.0, rng.uniform(12, 35) / mm]:
        for x, y in enumerate(np.rint(plate + below).astype(int)):
            column = scene.hu[:, max(0, y) : min(height, y + thickness), x]
            column[column < _AIR_HU] = hu


def scanned(scene: Scene) -> NDArray[np.int16]:
    """Returns the scene as a scanner would show it: (z, y, x) int16 HU, blurred and noisy."""
    rng = scene.rng
    blur = rng.uniform(*_BLUR_MM) / scene.spacing_mm
    hu = ndimage.gaussian_filter(scene.hu, [blur * rng.choice(_SLICE_BLUR), blur, blur], truncate=2.5)
    grain_sigma = [rng.uniform(0, 0.5), rng.uniform(0.3, 0.9), rng.uniform(0.3, 0.9)]
    grain = ndimage.gaussian_filter(rng.standard_normal(hu.shape, dtype=np.float32), grain_sigma)
    hu += grain * np.float32(rng.uniform(*_NOISE_HU) / grain.std())
    return np.clip(np.rint(hu), *_RANGE_HU).astype(np.int16)
