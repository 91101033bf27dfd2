"""Random augmentation on the device: what happens to a patch is drawn from its seed, apart from its happening."""

from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from kits_tf.config import AppearanceSettings, WarpSettings
from kits_tf.pipeline.appearance import Appearance, change_appearance, sample_appearance
from kits_tf.pipeline.lookup import Source, look_up
from kits_tf.pipeline.warp import AFFINE, BENT, EXACT, IN_PLANE, Spacing, Triple, Warp, sample_warp

_KINDS = {EXACT: "voxel by voxel", IN_PLANE: "within planes", AFFINE: "affine", BENT: "elastic"}


class Augmentation(NamedTuple):
    """All that happens to a patch."""

    warp: Warp
    appearance: Appearance


class TrainingPatches(NamedTuple):
    """A batch before it is augmented, on its way to the device.

    Attributes:
        source: of each patch.
        augmentation: of each patch.
    """

    source: Source
    augmentation: Augmentation


def sample_augmentation(
    seed: tf.Tensor,
    warp_settings: WarpSettings,
    appearance_settings: AppearanceSettings,
    patch_size: Triple,
    spacing_zyx_mm: Spacing,
) -> Augmentation:
    """Returns the augmentation that belongs to a seed, (2,) int32."""
    seeds = tf.unstack(tf.random.experimental.stateless_split(seed, 2))
    warp = sample_warp(seeds[0], warp_settings, patch_size, spacing_zyx_mm)
    return Augmentation(warp, sample_appearance(seeds[1], appearance_settings))


def warp_batch(
    patches: TrainingPatches, patch_size: Triple, kernel: str, mirrored_labels: Sequence[int]
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the warped patches of a batch: hu (batch, *patch_size) float32 and labels (batch, *patch_size) uint8.

    One by one, since patches of 10^5 voxels and more keep any device busy, and each needs other work, or none.
    """
    return tf.map_fn(
        lambda patch: look_up(patch[0], patch[1], patch_size, kernel, mirrored_labels),
        (patches.source, patches.augmentation.warp),
        fn_output_signature=(tf.TensorSpec(patch_size, tf.float32), tf.TensorSpec(patch_size, tf.uint8)),
    )


def change_appearances(images: tf.Tensor, augmentation: Augmentation) -> tf.Tensor:
    """Returns normalized patches (batch, z, y, x) float32 with their values changed."""
    return tf.map_fn(
        lambda pair: change_appearance(*pair),
        (images, augmentation.appearance),
        fn_output_signature=tf.TensorSpec(images.shape[1:], tf.float32),
    )


def describe(augmentation: Augmentation) -> str:
    """Returns what happens to one patch, as a few words; "unchanged" if nothing does.

    Args:
        augmentation: of one patch, as eager tensors.
    """
    warp, appearance = augmentation
    words = []
    if warp.kind != EXACT:
        rows = ["[" + " ".join(f"{value:.2f}" for value in row) + "]" for row in warp.matrix.numpy()]
        words.append(f"{_KINDS[int(warp.kind)]} {' '.join(rows)}")
    if warp.mirrored:
        words.append("left and right mirrored")
    for name, neutral in (
        ("noise_std", 0),
        ("blur_sigma", 0),
        ("brightness", 1),
        ("contrast", 1),
        ("resolution", 1),
        ("inverted_gamma", 1),
        ("gamma", 1),
    ):
        value = float(getattr(appearance, name))
        if value != neutral:
            words.append(f"{name.replace('_', ' ')} {value:.2f}")
    return ", ".join(words) or "unchanged"
