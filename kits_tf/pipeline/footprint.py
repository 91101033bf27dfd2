"""What the input pipeline holds in memory."""

from dataclasses import dataclass

import tensorflow as tf

from kits_tf.config import InputSettings, PatchSettings, WarpSettings
from kits_tf.ct.geometry import Spacing
from kits_tf.pipeline.dataset import IN_MEMORY, PREFETCHED_BATCHES, RECORDS_AHEAD
from kits_tf.pipeline.patches import capacity
from kits_tf.pipeline.warp import sample_warp, source_box

_BYTES_PER_VOXEL = 3  # int16 HU and uint8 labels
_DRAWS = 400


@dataclass(frozen=True)
class Footprint:
    """Bytes that the pipeline holds once its buffers are full.

    Attributes:
        patches: how many wait: to be shuffled, and in batches.
        patch_mean: bytes of a patch before it is augmented, on average over warps.
        patch_most: of the largest of many.
        cases: records that are read and parsed.
        cache: records kept in memory.
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
    patches: PatchSettings,
    warp: WarpSettings,
    spacing_zyx_mm: Spacing,
    batch_size: int,
    settings: InputSettings,
) -> Footprint:
    """Returns what `dataset.training_patches` holds.

    Args:
        record_bytes: of each training case.
        patches: as in `training_patches`.
        warp: likewise.
        spacing_zyx_mm: likewise.
        batch_size: likewise.
        settings: likewise.
    """
    lengths = _BYTES_PER_VOXEL * _lengths(patches, warp, spacing_zyx_mm)
    waiting = patches.shuffle_patches + (PREFETCHED_BATCHES + 1) * batch_size
    # Records read ahead and being parsed, cases that are parsed and those that are cut.
    cases = max(record_bytes) * (RECORDS_AHEAD + 3 * settings.cases_at_once)
    cache = sum(record_bytes) if settings.cache == IN_MEMORY else 0
    return Footprint(waiting, int(tf.reduce_mean(lengths)), int(tf.reduce_max(lengths)), cases, cache)


def _lengths(patches: PatchSettings, warp: WarpSettings, spacing_zyx_mm: Spacing) -> tf.Tensor:
    @tf.function(autograph=False)
    def run() -> tf.Tensor:
        def length(number: tf.Tensor) -> tf.Tensor:
            drawn = sample_warp(tf.stack([0, number]), warp, patches.patch_size_zyx, spacing_zyx_mm)
            _, size = source_box(drawn, patches.patch_size_zyx, warp.warp_kernel)
            return tf.cast(capacity(tf.reduce_prod(size), patches.patch_size_zyx), tf.int64)

        return tf.map_fn(length, tf.range(_DRAWS), fn_output_signature=tf.int64)

    return run()


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.{0 if count >= 10**7 else 1}f} MB"
