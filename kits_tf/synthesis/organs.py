"""Paints the body of a scene: fat and wall, organs, bowel, bones."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from kits_tf.synthesis.bodies import GROUPS
from kits_tf.synthesis.fields import depth_mm, resized
from kits_tf.synthesis.scene import Mask, Scene


def paint_body(scene: Scene) -> None:
    """Paints all but the kidneys."""
    _paint_trunk(scene)
    for name in GROUPS:
        mask = scene.group(name)
        if mask.any():
            part, inner = scene.part(mask)
            _PAINTERS.get(name, _paint_tissue)(part, name, inner)


def _paint_trunk(scene: Scene) -> None:
    """Paints fat under the skin, the wall's muscle, and strands, vessels and blobs of what has no label."""
    rng, hu, hu_of = scene.rng, scene.hu, scene.tissues.hu
    outside, within = _hull_depths(scene)
    fat_mm = rng.uniform(5, 45) * (1 + 0.25 * scene.texture(50, 50))
    np.less(outside, fat_mm, out=scene.inside)
    hu[scene.inside] = hu_of["fat"]
    hu[scene.inside & (outside < rng.uniform(0, 3)) & (within < rng.uniform(7, 14))] = hu_of["muscle"]
    free = scene.structures == 0
    mesentery = free & (within > 10)
    hu[mesentery & (scene.texture(6, 14) > rng.uniform(0.8, 1.8))] = rng.uniform(0, 90)
    hu[mesentery & (np.abs(scene.texture(6, 12)) < rng.uniform(0.02, 0.09))] = rng.uniform(0, max(5, hu_of["vein"]))
    hu[scene.inside & free & (outside > 3) & (np.abs(scene.texture(8, 8)) < 0.03)] = rng.uniform(-60, 20)


def _hull_depths(scene: Scene) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Returns the distances in mm from a hull around all structures: of voxels outside of it, and of those within."""
    coarse, mm = scene.structures[::2, ::2, ::2], 2 * scene.spacing_mm
    reach = scene.rng.uniform(28, 40)
    near = depth_mm(coarse == 0, mm) < reach
    hull = depth_mm(near, mm) > reach - scene.rng.uniform(6, 12)
    hull = np.stack([ndimage.binary_fill_holes(plane) for plane in hull])
    outside, within = (resized(depth_mm(mask, mm), scene.structures.shape) for mask in (~hull, hull))
    return outside, within


def _paint_tissue(scene: Scene, name: str, mask: Mask) -> None:
    """Paints each structure of a group in one brightness, which differs a little from structure to structure."""
    for number in scene.body.group(name):
        scene.hu[mask & (scene.structures == number)] = scene.tissues.hu[name] + scene.rng.uniform(-12, 12)


def _paint_bone(scene: Scene, _: str, mask: Mask) -> None:
    """Paints cortex around marrow, from fatty to dense: an old femur is no brighter than a kidney."""
    rng = scene.rng
    marrow = rng.uniform(-60, 280) + scene.texture(4, 4) * rng.uniform(15, 60)
    cortex = depth_mm(mask, scene.spacing_mm) < max(rng.uniform(1.5, 3.5), scene.spacing_mm)
    scene.hu[mask] = np.where(cortex, rng.uniform(300, 900), marrow)[mask]


def _paint_long_bone(scene: Scene, _: str, mask: Mask) -> None:
    """Paints femora and humeri: thick cortex, and marrow that is fat in the shaft and trabeculae in the head.

    Trabeculae of a head have the brightness of a kidney, with contrast or without it.
    """
    rng = scene.rng
    depth = depth_mm(mask, scene.spacing_mm)
    trabeculae = rng.uniform(80, 380) + rng.uniform(15, 60) * scene.texture(3, 8)
    fat = rng.uniform(-100, 20)
    share = np.clip((depth - rng.uniform(8, 14)) / 6 + rng.uniform(0, 1) * scene.texture(10, 25), 0, 1)
    marrow = np.where(scene.texture(20, 60) > rng.uniform(-1, 1), share, 1 - share) * (trabeculae - fat) + fat
    cortex = depth < max(rng.uniform(1.5, 6), scene.spacing_mm)
    scene.hu[mask] = np.where(cortex, rng.uniform(400, 1500), marrow)[mask]


def _paint_bowel(scene: Scene, _: str, mask: Mask) -> None:
    """Paints walls around food, water, gas and, in some scans, oral contrast."""
    rng = scene.rng
    content = scene.texture(8, 18)
    hu = np.where(content > rng.uniform(0.7, 1.8), rng.uniform(-950, -600), rng.uniform(0, 60))
    bright = rng.uniform(100, 450) if rng.random() < 0.5 else rng.uniform(20, 80)
    hu = np.where(content < -rng.uniform(0.9, 2.2), bright, hu) + scene.texture(3, 3) * rng.uniform(5, 60)
    wall = depth_mm(mask, scene.spacing_mm) < rng.uniform(2, 4.5)
    scene.hu[mask] = np.where(wall, rng.uniform(30, 120), hu)[mask]


def _paint_spleen(scene: Scene, name: str, mask: Mask) -> None:
    """Paints a spleen, which is patchy in many an arterial phase."""
    is_patchy = scene.tissues.phase == "arterial" and scene.rng.random() < 0.6
    _paint_parenchyma(scene, mask, scene.tissues.hu[name], scene.rng.uniform(20, 60) if is_patchy else 0)


def _paint_liver(scene: Scene, name: str, mask: Mask) -> None:
    """Paints a liver with its vessels."""
    _paint_parenchyma(scene, mask, scene.tissues.hu[name], 0)
    scene.hu[mask & (np.abs(scene.texture(8, 14)) < 0.05)] = scene.tissues.hu["vein"]


def _paint_parenchyma(scene: Scene, mask: Mask, hu: float, patches_hu: float) -> None:
    scene.hu[mask] = (hu + (patches_hu or scene.rng.uniform(1, 8)) * scene.texture(6, 20))[mask]


_PAINTERS: dict[str, Callable[[Scene, str, Mask], None]] = {
    "bone": _paint_bone,
    "long_bone": _paint_long_bone,
    "bowel": _paint_bowel,
    "spleen": _paint_spleen,
    "liver": _paint_liver,
}
