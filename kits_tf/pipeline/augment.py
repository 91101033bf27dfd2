"""Random augmentation on the device: what happens to a patch is drawn from its seed, apart from its happening."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from kits_tf.config import AppearanceSettings, IntensitySettings, WarpSettings
from kits_tf.ct.geometry import Spacing, Triple
from kits_tf.ct.preprocess import normalize
from kits_tf.pipeline.appearance import Appearance, change_appearance, sample_appearance
from kits_tf.pipeline.lookup import Source, look_up
from kits_tf.pipeline.warp import Warp, sample_warp
from kits_tf.pipeline.xla import compiled


class Augmentation(NamedTuple):
    """All that happens to a patch."""

    warp: Warp
    appearance: Appearance


class TrainingPatches(NamedTuple):
    """A batch before it is augmented, on its way to the device.

    Attributes:
        source: of each patch.
        augmentation: of each patch.
        case_id: of each patch, (batch, 32) uint8, its text's bytes, since no GPU holds text.
    """

    source: Source
    augmentation: Augmentation
    case_id: tf.Tensor


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
        source, augmentation, _ = example(patches, i)
        hu, labels = look_up(source, augmentation.warp, patch_size, kernel, mirrored_labels)
        image = compiled(normalize)(hu, intensity)
        images.append(change_appearance(image, augmentation.appearance)[None])
        masks.append(labels[None])
    # Not stack, which has no GPU kernel for uint8, and takes a CPU longer.
    return tf.concat(images, axis=0), tf.concat(masks, axis=0)


def example(batch: Any, index: int | slice) -> Any:
    """Returns one example of a batch, or a batch of some, whatever its structure."""
    return tf.nest.map_structure(lambda part: part[index], batch)
