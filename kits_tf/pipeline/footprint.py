"""What the input pipeline holds in memory."""

from dataclasses import dataclass

import tensorflow as tf

from kits_tf.config import InputSettings
from kits_tf.ct.geometry import Spacing
from kits_tf.pipeline.dataset import IN_MEMORY, PREFETCHED_BATCHES, RECORDS_AHEAD
from kits_tf.pipeline.patches import capacity
from kits_tf.pipeline.recipe import PatchRecipe
from kits_tf.pipeline.warp import sample_warp, source_box

_BYTES_PER_VOXEL = 3  # int16 HU and uint8 labels
_DRAWS = 400


@dataclass(frozen=True, kw_only=True)
class Footprint:
    """Bytes that the pipeline holds once its buffers are full.

    Attributes:
        patches: number of patches that wait, to be shuffled and in batches.
        patch_mean: bytes of a patch before it is augmented, on average over warps.
        patch_most: bytes of the largest patch of 400 warps.
        cases: bytes of records that are read and parsed.
        cache: bytes of records kept in memory.
    """

    patches: int
    patch_mean: int
    patch_most: int
    cases: int
    cache: int

    def __str__(self) -> str:
        held = self.patches * self.patch_mean + self.cases + self.cache
        cache = f" + {_megabytes(self.cache)} of cached records" if self.cache else ""
        return (
            f"input: {self.patches} patches, {_megabytes(self.patch_mean)} each on average and at most "
            f"{_megabytes(self.patch_most)}, + {_megabytes(self.cases)} of cases{cache} = about {_megabytes(held)}"
        )


def estimate_footprint(
    record_bytes: list[int],
    recipe: PatchRecipe,
    spacing_zyx_mm: Spacing,
    batch_size: int,
    settings: InputSettings,
) -> Footprint:
    """Returns what `dataset.training_patches` holds.

    Args:
        record_bytes: bytes of the record of each training case.
        recipe: recipe of the patches.
        spacing_zyx_mm: voxel size of the records.
        batch_size: patches in a batch.
        settings: order, cases at once, cache.
    """
    sizes = _BYTES_PER_VOXEL * _source_lengths(recipe, spacing_zyx_mm)
    # Records read ahead and being parsed, cases that are parsed and those that are cut.
    cases = RECORDS_AHEAD + 3 * settings.cases_at_once
    return Footprint(
        patches=recipe.patches.shuffle_patches + (PREFETCHED_BATCHES + 1) * batch_size,
        patch_mean=int(tf.reduce_mean(sizes)),
        patch_most=int(tf.reduce_max(sizes)),
        cases=max(record_bytes) * cases,
        cache=sum(record_bytes) if settings.cache == IN_MEMORY else 0,
    )


def _source_lengths(recipe: PatchRecipe, spacing_zyx_mm: Spacing) -> tf.Tensor:
    """Returns the voxels that a patch is looked up in, padding included, for each of 400 warps: (400,) int64."""
    patch_size, warp = recipe.patches.patch_size_zyx, recipe.warp

    def length(index: tf.Tensor) -> tf.Tensor:
        drawn = sample_warp(tf.stack([0, index]), warp, patch_size, spacing_zyx_mm)
        _, size = source_box(drawn, patch_size, warp.warp_kernel)
        return tf.cast(capacity(tf.reduce_prod(size), patch_size), tf.int64)

    @tf.function(autograph=False)
    def lengths() -> tf.Tensor:
        return tf.map_fn(length, tf.range(_DRAWS), fn_output_signature=tf.int64)

    return lengths()


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.{0 if count >= 10**7 else 1}f} MB"
