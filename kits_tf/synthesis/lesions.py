"""Paints tumors and cysts: those that a mask has, and invented ones."""

import numpy as np
from numpy.typing import NDArray

from kits_tf.ct.components import border, components_26
from kits_tf.ct.labels import CHALLENGE_KIDNEY, CHALLENGE_TUMOR
from kits_tf.synthesis.fields import depth_mm, smooth_noise
from kits_tf.synthesis.scene import Mask, Scene

# Cysts and tumors that are invented for the kidneys of a body, on average.
_LESIONS = 0.9
_CYST_SHARE = 0.35
_RADII_MM = (6.0, 38.0)


def paint_lesions(scene: Scene) -> None:
    """Paints what is labeled tumor, or invents lesions for kidneys that came without tumors."""
    tumors = components_26(scene.labels == CHALLENGE_TUMOR)
    for number in range(1, int(tumors.max()) + 1):
        _paint_tumor(*scene.part(tumors == number))
    if not tumors.any():
        surface = np.argwhere(border(scene.labels > 0))
        for _ in range(scene.rng.poisson(_LESIONS)):
            _invent_lesion(scene, surface[int(scene.rng.integers(len(surface)))])


def _paint_tumor(scene: Scene, mask: Mask) -> None:
    """Paints a tumor: as bright as it happens to be, and necrotic in its middle two times in five."""
    depth = depth_mm(mask, scene.spacing_mm)
    scene.hu[mask] = _tumor_hu(scene, depth.max() - depth, float(depth.max()))[mask]


def _invent_lesion(scene: Scene, near: NDArray[np.int64]) -> None:
    """Paints and labels a cyst or a tumor, as an uneven ball, at a place of the kidney's surface or close to it."""
    rng, mm = scene.rng, scene.spacing_mm
    center = near + rng.normal(0, 6 / mm, 3)
    radius = float(np.exp(rng.uniform(*np.log(_RADII_MM))))
    reach = 1.6 * radius / mm
    ends = zip(center, scene.hu.shape, strict=True)
    z, y, x = (slice(max(0, int(c - reach)), min(n, int(c + reach) + 2)) for c, n in ends)
    at = np.meshgrid(*[np.arange(s.start, s.stop, dtype=np.float32) for s in (z, y, x)], indexing="ij", sparse=True)
    stretch = rng.uniform(0.8, 1.25, 3)
    distance = np.sqrt(sum(((a - c) * mm / s) ** 2 for a, c, s in zip(at, center, stretch, strict=True)))
    distance += smooth_noise(rng, distance.shape, 8 / mm) * np.float32(radius * rng.uniform(0.02, 0.12))
    mask = (distance < radius) & scene.inside[z, y, x] & ~scene.bones[z, y, x]
    is_cyst = rng.random() < _CYST_SHARE
    texture = smooth_noise(rng, distance.shape, rng.uniform(4, 10) / mm)
    hu = rng.uniform(-5, 22) + 2 * texture if is_cyst else _tumor_hu(scene, distance, radius)
    scene.hu[z, y, x][mask] = hu[mask]
    scene.labels[z, y, x][mask] = CHALLENGE_KIDNEY if is_cyst else CHALLENGE_TUMOR


def _tumor_hu(scene: Scene, distance: NDArray[np.float32], radius: float) -> NDArray[np.float32]:
    """Returns a tumor's HU by the distance from its middle in mm."""
    rng = scene.rng
    base = scene.tissues.hu["medulla"] + rng.uniform(-70, 10) if rng.random() < 0.5 else rng.uniform(20, 140)
    texture = smooth_noise(rng, distance.shape, rng.uniform(4, 10) / scene.spacing_mm)
    hu = base + rng.uniform(4, 25) * texture
    if rng.random() < 0.4:
        hu = np.where(distance < radius * rng.uniform(0.3, 0.7), rng.uniform(0, 45), hu)
    return hu.astype(np.float32)
