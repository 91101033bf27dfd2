"""Random augmentation on the device: what happens to a patch is drawn from its seed, apart from its happening."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from kits_tf.config import AppearanceSettings, IntensitySettings, WarpSettings
from kits_tf.ct.preprocess import normalize
from kits_tf.pipeline.appearance import Appearance, change_appearance, sample_appearance
from kits_tf.pipeline.compiled import compiled
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


def augment_batch(
    patches: TrainingPatches,
    patch_size: Triple,
    kernel: str,
    mirrored_labels: Sequence[int],
    intensity: IntensitySettings,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns what the network trains on: warped, normalized, and changed in appearance.

    Example by example, since patches of 10^5 voxels and more keep any device busy, and each needs other work, or none.

    Args:
        patches: a batch whose size the graph knows.
        patch_size: voxels (z, y, x) of the results.
        kernel: interpolation of the image, as in `look_up`.
        mirrored_labels: likewise.
        intensity: how values are normalized.

    Returns:
        images (batch, *patch_size) float32, normalized, and labels (batch, *patch_size) uint8.

    Raises:
        ValueError: the graph does not know the size of the batch.
    """
    count = patches.source.hu.shape[0]
    if count is None:
        raise ValueError("patches: expected a batch size known to the graph, received: None; drop the remainder")
    images, masks = [], []
    # Not map_fn: what it takes batches apart with, and puts them together with, does not run on a GPU for these types.
    for i in range(count):
        source, augmentation = tf.nest.map_structure(lambda part: part[i], patches)  # noqa: B023
        hu, labels = look_up(source, augmentation.warp, patch_size, kernel, mirrored_labels)
        image = compiled(normalize)(hu, intensity.window_hu, intensity.mean_hu, intensity.std_hu)
        images.append(change_appearance(image, augmentation.appearance))
        masks.append(tf.cast(labels, tf.int16))
    return tf.stack(images), tf.cast(tf.stack(masks), tf.uint8)  # a GPU stacks int16, but not uint8


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
