"""One patch under many augmentations, for a person to look at."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from kits_tf.config import AppearanceSettings, IntensitySettings, PatchSettings, WarpSettings
from kits_tf.ct.labels import Scheme
from kits_tf.pipeline.augment import augment_batch, describe
from kits_tf.pipeline.example import CASE_SPEC, Case
from kits_tf.pipeline.patches import draw_center, draw_patch, patch_seed


class Preview(NamedTuple):
    """A patch as training would see it.

    Attributes:
        image: (z, y, x) float32, normalized.
        labels: (z, y, x) uint8.
        words: what happened to it.
    """

    image: NDArray[np.float32]
    labels: NDArray[np.uint8]
    words: str


def preview_augmentations(
    case: Case,
    scheme: Scheme,
    patches: PatchSettings,
    warp: WarpSettings,
    appearance: AppearanceSettings,
    intensity: IntensitySettings,
    seed: int,
    count: int,
) -> list[Preview]:
    """Returns `count` augmentations of the patch around one voxel of a case; the voxel has a label if any has.

    They are what the first patch of the case would undergo in the epochs 0, 1, ... of a run with this seed.
    """
    parsed = CASE_SPEC.parse(case.serialize())
    size, spacing = patches.patch_size_zyx, case.grid.spacing_mm
    center = draw_center(parsed["class_voxels"], tf.shape(parsed["hu"]), 1.0, tf.constant([seed, 0]))
    found = []
    for epoch in range(count):
        drawn = patch_seed(seed, tf.constant(epoch, tf.int64), parsed["case_id"], tf.constant(0))
        patch = draw_patch(parsed, drawn, patches, warp, appearance, spacing, around=center)
        batch = tf.nest.map_structure(lambda part: part[None], patch)
        image, labels = augment_batch(batch, size, warp.warp_kernel, scheme.mirrored, intensity)
        found.append(Preview(image[0].numpy(), labels[0].numpy(), describe(patch.augmentation, spacing)))
    return found
