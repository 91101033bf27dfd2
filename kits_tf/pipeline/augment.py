"""Random augmentation on the device: what happens to a patch is drawn from its seed, apart from its happening."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
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

    def one(source: Source, warp: Warp) -> tuple[tf.Tensor, tf.Tensor]:
        return look_up(source, warp, patch_size, kernel, mirrored_labels)

    hu, labels = zip(*_one_by_one(one, patches.source, patches.augmentation.warp), strict=True)
    # A GPU stacks int16, but not uint8.
    return tf.stack(hu), tf.cast(tf.stack([tf.cast(one, tf.int16) for one in labels]), tf.uint8)


def change_appearances(images: tf.Tensor, augmentation: Augmentation) -> tf.Tensor:
    """Returns normalized patches (batch, z, y, x) float32 with their values changed."""
    return tf.stack(_one_by_one(change_appearance, images, augmentation.appearance))


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
    mirrored = [axis for axis, step in zip("zyx", np.diag(warp.matrix), strict=True) if step < 0]
    if mirrored:
        words.append(f"mirrored along {' '.join(mirrored)}")
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


def _one_by_one(function: Callable, *batch: Any) -> list:
    """Returns function(*example) of each example of a batch, whose size the graph must know."""
    count = tf.nest.flatten(batch)[0].shape[0]
    if count is None:
        raise ValueError("batch: expected a size known when the graph is made, received: None; drop the remainder")
    # Not map_fn: it takes batches apart and puts them together with operations that a GPU has not for int16 and uint8.
    return [function(*tf.nest.map_structure(lambda part: part[i], batch)) for i in range(count)]  # noqa: B023
