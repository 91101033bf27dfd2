"""Random augmentation: the draw of what happens to a patch, from its seed, and the effect of it on the device."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from kits_tf.ct.geometry import Spacing
from kits_tf.ct.preprocess import normalize
from kits_tf.pipeline.appearance import Appearance, change_appearance, sample_appearance
from kits_tf.pipeline.lookup import Source, look_up
from kits_tf.pipeline.recipe import PatchRecipe
from kits_tf.pipeline.warp import Warp, sample_warp
from kits_tf.pipeline.xla import compiled


class Augmentation(NamedTuple):
    """All that happens to a patch.

    Attributes:
        warp: change in space.
        appearance: change of intensity.
    """

    warp: Warp
    appearance: Appearance


class TrainingPatches(NamedTuple):
    """A batch before it is augmented, on its way to the device; `patches.draw_patch` gives one example of it.

    Attributes:
        source: boxes of the scans that the patches are looked up in.
        augmentation: augmentation of each patch.
        case_id: (batch, 32) uint8, names of the cases as bytes, since no GPU holds text.
    """

    source: Source
    augmentation: Augmentation
    case_id: tf.Tensor


def sample_augmentation(seed: tf.Tensor, recipe: PatchRecipe, spacing_zyx_mm: Spacing) -> Augmentation:
    """Returns the augmentation that belongs to a seed.

    Args:
        seed: (2,) int32.
        recipe: size of the patch, chances and ranges.
        spacing_zyx_mm: voxel size of the records.
    """
    seeds = tf.unstack(tf.random.experimental.stateless_split(seed, 2))
    warp = sample_warp(seeds[0], recipe.warp, recipe.patches.patch_size_zyx, spacing_zyx_mm)
    return Augmentation(warp, sample_appearance(seeds[1], recipe.appearance))


def augment_batch(
    patches: TrainingPatches, recipe: PatchRecipe, mirrored_labels: Sequence[int]
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns what the network trains on: warped, normalized, and changed in appearance.

    Example by example, since patches of 10^5 voxels and more keep any device busy, and each needs other work, or none.

    Args:
        patches: batch whose size the graph knows.
        recipe: recipe that the patches were drawn by.
        mirrored_labels: label that each label becomes in a mirror image of left and right.

    Returns:
        images (batch, *patch_size_zyx) float32, normalized, and labels (batch, *patch_size_zyx) uint8.

    Raises:
        ValueError: the graph does not know the size of the batch.
    """
    count = patches.source.hu.shape[0]
    if count is None:
        raise ValueError("patches: expected a batch size known to the graph, got None; drop the remainder")
    batch = patches.source, patches.augmentation
    augment_example = _example_function(recipe, tuple(mirrored_labels), _type_of_any_size(patches))
    # Not map_fn: what it takes batches apart with, and puts them together with, does not run on a GPU for these types.
    images, labels = zip(*[augment_example(batch, tf.constant(i)) for i in range(count)], strict=True)
    # Not stack, which has no GPU kernel for uint8, and takes a CPU longer.
    return tf.concat(images, axis=0), tf.concat(labels, axis=0)


def example(batch: Any, index: int | slice | tf.Tensor) -> Any:
    """Returns one example of a batch, or a batch of some, whatever its structure."""
    return tf.nest.map_structure(lambda part: part[index], batch)


@functools.cache
def _example_function(recipe: PatchRecipe, mirrored_labels: tuple[int, ...], spec: tuple) -> Callable:
    """Returns the augmentation of one example as a graph of its own, traced once for batches of any size.

    Args:
        recipe: recipe of the patches.
        mirrored_labels: label that each label becomes in a mirror image.
        spec: source and augmentation of a batch, as `tf.TensorSpec`.

    Returns:
        Function of such a batch and an index, () int32, to image (1, z, y, x) and labels (1, z, y, x).
    """
    size, kernel = recipe.patches.patch_size_zyx, recipe.warp.warp_kernel

    def augment_example(batch: tuple[Source, Augmentation], index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        source, augmentation = example(batch, index)
        hu, labels = look_up(source, augmentation.warp, size, kernel, mirrored_labels)
        image = compiled(normalize)(hu, recipe.intensity)
        return change_appearance(image, augmentation.appearance, recipe.appearance)[None], labels[None]

    return tf.function(augment_example, input_signature=[spec, tf.TensorSpec([], tf.int32)], autograph=False)


def _type_of_any_size(patches: TrainingPatches) -> tuple[Source, Augmentation]:
    """Returns source and augmentation as `tf.TensorSpec`s of batches of any size, with sources of any length."""
    spec = tf.nest.map_structure(lambda part: tf.TensorSpec([None, *part.shape[1:]], part.dtype), patches)
    hu, labels = (tf.TensorSpec([None, None], flat.dtype) for flat in (spec.source.hu, spec.source.labels))
    return spec.source._replace(hu=hu, labels=labels), spec.augmentation
