"""One patch under many augmentations, for a person to look at, and in words what happens to it."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from kits_tf.ct.geometry import Spacing
from kits_tf.ct.labels import Scheme
from kits_tf.pipeline.appearance import EFFECTS, Appearance
from kits_tf.pipeline.augment import Augmentation, augment_batch
from kits_tf.pipeline.case import CASE_SPEC, Case
from kits_tf.pipeline.patches import draw_center, draw_patch, patch_seed
from kits_tf.pipeline.recipe import PatchRecipe
from kits_tf.pipeline.warp import BENT, Warp


class Preview(NamedTuple):
    """A patch as training would see it.

    Attributes:
        image: (z, y, x) float32, normalized.
        labels: (z, y, x) uint8.
        words: description of what happened to it.
    """

    image: NDArray[np.float32]
    labels: NDArray[np.uint8]
    words: str


def preview_augmentations(case: Case, scheme: Scheme, recipe: PatchRecipe, seed: int, count: int) -> list[Preview]:
    """Returns augmentations of the patch around one voxel of a case; the voxel has a label if any has.

    They are what the first patch of the case would undergo in the epochs 0, 1, ... of a run with this seed.

    Args:
        case: case on the grid of the records.
        scheme: label scheme of the case.
        recipe: recipe of the patches.
        seed: random seed of the run.
        count: number of augmentations.
    """
    parsed = CASE_SPEC.parse(case.serialize())
    center = draw_center(parsed["class_voxels"], tf.shape(parsed["hu"]), 1.0, tf.constant([seed, 0]))
    previews = []
    for epoch in range(count):
        drawn = patch_seed(seed, tf.constant(epoch, tf.int64), parsed["case_id"], tf.constant(0))
        patch = draw_patch(parsed, drawn, recipe, case.grid.spacing_mm, around=center)
        batch = tf.nest.map_structure(lambda part: part[None], patch)
        image, labels = augment_batch(batch, recipe, scheme.mirrored)
        words = describe(patch.augmentation, case.grid.spacing_mm)
        previews.append(Preview(image[0].numpy(), labels[0].numpy(), words))
    return previews


def describe(augmentation: Augmentation, spacing_zyx_mm: Spacing) -> str:
    """Returns what happens to one patch, as a few words; "unchanged" if nothing does.

    Args:
        augmentation: augmentation of one patch, as eager tensors.
        spacing_zyx_mm: voxel size of the patch.
    """
    words = [*_describe_warp(augmentation.warp, spacing_zyx_mm), *_describe_appearance(augmentation.appearance)]
    return ", ".join(words) or "unchanged"


def _describe_warp(warp: Warp, spacing_zyx_mm: Spacing) -> list[str]:
    spacing = np.array(spacing_zyx_mm)
    in_mm = warp.matrix.numpy() * spacing[:, None] / spacing
    # This is a rotation whose columns are divided by the magnifications and, where mirrored, negative.
    magnified, signs = 1 / np.linalg.norm(in_mm, axis=0), np.sign(np.diag(in_mm))
    degrees = np.rad2deg(np.arccos(np.clip((np.trace(in_mm * magnified * signs) - 1) / 2, -1, 1)))
    words = []
    if degrees > 0.05:
        words.append(f"turned {degrees:.0f}°")
    if np.abs(magnified - 1).max() > 1e-4:
        factors = magnified[:1] if np.ptp(magnified) < 1e-4 else magnified
        words.append("magnified " + " ".join(f"{factor:.2f}" for factor in factors))
    if (signs < 0).any():
        words.append("mirrored along " + " ".join(axis for axis, sign in zip("zyx", signs, strict=True) if sign < 0))
    return [*words, "bent"] if warp.kind == BENT else words


def _describe_appearance(appearance: Appearance) -> list[str]:
    pairs = zip(EFFECTS.items(), appearance.parameters.numpy(), strict=True)
    return [f"{name.replace('_', ' ')} {value:.2f}" for (name, effect), value in pairs if value != effect.neutral]
