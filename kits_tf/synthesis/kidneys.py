"""Kidneys: where they are, with the sinus in them, and how cortex, pyramids and sinus look."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from kits_tf.ct.components import border, components_26
from kits_tf.ct.geometry import bounding_box
from kits_tf.ct.labels import CHALLENGE_KIDNEY
from kits_tf.ct.morphology import closing_gaps
from kits_tf.synthesis.bodies import SIDES, SINUS_MM
from kits_tf.synthesis.fields import depth_mm
from kits_tf.synthesis.lesions import paint_lesions
from kits_tf.synthesis.scene import Mask, Scene
from kits_tf.synthesis.transplants import Kidney, transplant

# How often a body lacks one of its kidneys.
_SINGLE_SHARE = 0.08
# How often urine fills the sinus.
_OBSTRUCTED_SHARE = 0.08
# Papillae of a kidney, and what share of its inner parenchyma is cortex between the pyramids.
_PAPILLAE = (8, 19)
_COLUMN_SHARE = (0.15, 0.6)
_TEXTURE_HU = 6.0


def place_kidneys(scene: Scene, donors: Sequence[Kidney]) -> None:
    """Labels the body's own kidneys, or those of donors in their places; one scan in twelve has a single one.

    Args:
        scene: scene whose labels and sinus are set, and whose structures lose the kidneys.
        donors: kidneys with their tumors, at most one a side; a side without one keeps its own kidney.
    """
    lost = scene.rng.choice(SIDES) if scene.rng.random() < _SINGLE_SHARE else ""
    by_side = {kidney.side: kidney for kidney in donors}
    bones = scene.bones
    for side in SIDES:
        own = np.isin(scene.structures, scene.body.kidney(side))
        scene.structures[own] = 0
        if side == lost or not own.any():
            continue
        if side in by_side:
            center = [(s.start + s.stop - 1) / 2 for s in bounding_box(own)]
            own = transplant(by_side[side], center, scene.labels, bones)
            scene.structures[own] = 0
        else:
            scene.labels[own] = CHALLENGE_KIDNEY
        if own.any():
            _add_sinus(scene, own)


def paint_kidneys(scene: Scene) -> None:
    """Paints what is labeled kidney or tumor, then tumors and cysts."""
    components = components_26(scene.labels > 0)
    if not components.any():
        return
    for number in range(1, int(components.max()) + 1):
        _paint_kidney(*scene.part(components == number))
    paint_lesions(scene)


def _add_sinus(scene: Scene, kidney: Mask) -> None:
    """Labels as kidney what the kidney encloses, save other organs and bone, and remembers it as sinus."""
    enclosed = closing_gaps(kidney, (scene.spacing_mm,) * 3, SINUS_MM)
    vessels = scene.body.group("artery") + scene.body.group("vein")
    sinus = enclosed & np.isin(scene.structures, [0, *vessels]) & (scene.labels == 0)
    scene.structures[sinus] = 0
    scene.labels[sinus] = CHALLENGE_KIDNEY
    scene.sinus[sinus] = True


def _paint_kidney(scene: Scene, mask: Mask) -> None:
    """Paints one kidney: a cortex that reaches between the pyramids down to the sinus."""
    rng, hu_of = scene.rng, scene.tissues.hu
    depth = depth_mm(mask, scene.spacing_mm)
    sinus = _sinus(scene, mask, depth)
    cortex = depth < rng.uniform(3, 8) + 2 * scene.texture(5, 10)
    if sinus.any():
        cortex |= _columns(scene, sinus, mask & ~sinus & ~cortex)
    hu = np.where(cortex, hu_of["cortex"], hu_of["medulla"]) + _TEXTURE_HU * scene.texture(4, 4)
    scene.hu[mask] = np.where(sinus, _sinus_hu(scene), hu)[mask]


def _sinus(scene: Scene, mask: Mask, depth: NDArray[np.float32]) -> Mask:
    """Returns where a kidney's sinus is: as its mask encloses it or, in a mask that holds it, in the kidney's depth.

    In some it is wider, and the parenchyma thinner.
    """
    sinus = scene.sinus & mask
    limit = scene.rng.uniform(12, 19) + 2 * scene.texture(8, 15)
    if sinus.sum() < 0.02 * mask.sum():
        return mask & (depth > limit)
    growth = max(0.0, scene.rng.uniform(-4, 6))
    near = ndimage.distance_transform_edt(~sinus, sampling=scene.spacing_mm) <= growth
    return sinus | (mask & near & (depth > 8))


def _columns(scene: Scene, sinus: Mask, inner: Mask) -> Mask:
    """Returns where cortex lies between pyramids: about as far from one papilla, on the sinus, as from another.

    Args:
        scene: scene around a kidney.
        sinus: its sinus.
        inner: parenchyma inside of the outer cortex, of which columns are a seventh to three fifths.
    """
    rng = scene.rng
    surface = np.argwhere(border(sinus))
    count = min(len(surface), int(rng.integers(*_PAPILLAE)))
    if count < 2 or not inner.any():
        return np.zeros_like(inner)
    papillae = surface[rng.choice(len(surface), count, replace=False)] * scene.spacing_mm
    distances, _ = cKDTree(papillae).query(np.argwhere(inner) * scene.spacing_mm, k=2)
    gaps = np.diff(distances, axis=1)[:, 0] + scene.texture(5, 10)[inner]
    columns = np.zeros_like(inner)
    columns[inner] = gaps < np.quantile(gaps, rng.uniform(*_COLUMN_SHARE))
    return columns


def _sinus_hu(scene: Scene) -> NDArray[np.float32]:
    """Returns a sinus' HU: fat with vessels and the pelvis in it; in some kidneys it is full of urine."""
    rng, hu_of = scene.rng, scene.tissues.hu
    fat = rng.uniform(0.4, 1.0)
    hu = fat * hu_of["fat"] + (1 - fat) * hu_of["medulla"] + 10 * scene.texture(4, 8)
    for vessel in ("vein", "artery"):
        hu = np.where(np.abs(scene.texture(5, 10)) < rng.uniform(0.02, 0.2), hu_of[vessel], hu)
    fullness = rng.uniform(1.5, 4) if rng.random() < _OBSTRUCTED_SHARE else rng.uniform(-2, 0.5)
    return np.where(scene.texture(8, 16) < fullness, hu_of["urine"], hu).astype(np.float32)
