"""Shards -> patches: int16 HU and uint8 labels, as the device takes them."""

from collections.abc import Sequence

import tensorflow as tf

from kits_tf.config import PatchSettings
from kits_tf.ct.volume import AIR_HU
from kits_tf.pipeline.example import CASE_SPEC

# Whole cases are large (60 MB on the grid of record); more at once would only cost memory.
_CASES_AT_ONCE = 2


def training_patches(
    shards: Sequence[str],
    num_cases: int,
    settings: PatchSettings,
    read_size: tuple[int, int, int],
    batch_size: int,
    seed: int,
) -> tf.data.Dataset:
    """Returns shuffled batches of patches for one epoch; other patches in every epoch.

    Args:
        shards: files of one or more cases.
        num_cases: how many cases they hold together.
        settings: patches per case, foreground fraction, shuffle buffer.
        read_size: voxels (z, y, x) of a patch.
        batch_size: patches in a batch; a last, smaller batch is dropped.
        seed: gives the same sequence of epochs again.

    Returns:
        Pairs of hu (batch, z, y, x) int16 and labels (batch, z, y, x) uint8.
    """
    paths = tf.data.Dataset.from_tensor_slices(list(shards)).shuffle(len(shards), seed, reshuffle_each_iteration=True)
    seeds = tf.data.Dataset.random(seed, rerandomize_each_iteration=True).batch(2)
    patches = _patches(paths, seeds, settings, settings.patches_per_case, read_size)
    patches = patches.shuffle(settings.shuffle_patches, seed, reshuffle_each_iteration=True)
    batches = patches.batch(batch_size, drop_remainder=True)
    per_epoch = num_cases * settings.patches_per_case // batch_size
    return batches.apply(tf.data.experimental.assert_cardinality(per_epoch)).prefetch(2).with_options(_options())


def validation_patches(
    shards: Sequence[str], num_cases: int, settings: PatchSettings, per_case: int, batch_size: int, seed: int
) -> tf.data.Dataset:
    """Returns batches of patches of `settings.patch_size_zyx` that are the same in every epoch.

    The pairs are those of `training_patches`; a last, smaller batch is kept.
    """
    paths = tf.data.Dataset.from_tensor_slices(list(shards))
    seeds = tf.data.Dataset.range(num_cases, output_type=tf.int64).map(lambda i: tf.stack([tf.cast(seed, tf.int64), i]))
    patches = _patches(paths, seeds, settings, per_case, settings.patch_size_zyx)
    batches = patches.batch(batch_size)
    count = -(-num_cases * per_case // batch_size)
    return batches.apply(tf.data.experimental.assert_cardinality(count)).prefetch(2).with_options(_options())


def _options() -> tf.data.Options:
    # Nothing here is left to tf.data to tune, and its tuning thread can hang the end of an epoch: seen with TensorFlow
    # 2.21, the iterator's destructor waiting for Model::OptimizeLoop.
    options = tf.data.Options()
    options.autotune.enabled = False
    return options


def _patches(
    paths: tf.data.Dataset,
    seeds: tf.data.Dataset,
    settings: PatchSettings,
    per_case: int,
    size: tuple[int, int, int],
) -> tf.data.Dataset:
    def from_case(record: tf.Tensor, seed: tf.Tensor) -> tf.data.Dataset:
        case = CASE_SPEC.parse(record)

        def draw(index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            patch_seed = tf.random.experimental.stateless_fold_in(seed, index)
            shape = tf.shape(case["hu"])
            center = draw_center(case["class_voxels"], shape, settings.foreground_fraction, patch_seed)
            return cut_patch(case["hu"], center, size, AIR_HU), cut_patch(case["labels"], center, size, 0)

        types = (tf.TensorSpec(size, tf.int16), tf.TensorSpec(size, tf.uint8))
        return tf.map_fn(draw, tf.range(per_case), fn_output_signature=types)

    records = paths.flat_map(tf.data.TFRecordDataset)
    cases = tf.data.Dataset.zip(records, seeds)
    return cases.map(from_case, num_parallel_calls=_CASES_AT_ONCE, deterministic=True).unbatch()


def draw_center(class_voxels: tf.Tensor, shape: tf.Tensor, foreground_fraction: float, seed: tf.Tensor) -> tf.Tensor:
    """Returns the voxel (z, y, x) int32 that a patch is cut around.

    With the chance `foreground_fraction` it is a voxel of a foreground class, each class that is present equally
    often; otherwise, or if there is no foreground, any voxel.

    Args:
        class_voxels: rows (class, z, y, x) int32.
        shape: (3,) int32, voxels of the case.
        foreground_fraction: 0..1.
        seed: (2,) integers.
    """
    chance = tf.random.stateless_uniform([3], seed)
    anywhere = tf.random.stateless_uniform([3], tf.random.experimental.stateless_fold_in(seed, 1))

    def foreground() -> tf.Tensor:
        present, _ = tf.unique(class_voxels[:, 0])
        chosen = present[_index(chance[1], tf.size(present))]
        rows = tf.boolean_mask(class_voxels[:, 1:], class_voxels[:, 0] == chosen)
        return rows[_index(chance[2], tf.shape(rows)[0])]

    wanted = (chance[0] < foreground_fraction) & (tf.shape(class_voxels)[0] > 0)
    return tf.cond(wanted, foreground, lambda: _index(anywhere, shape))


def cut_patch(volume: tf.Tensor, center: tf.Tensor, size: tuple[int, int, int], outside: int) -> tf.Tensor:
    """Returns the box of `size` whose voxel size // 2 is `center`; beyond the border it holds `outside`."""
    wanted = tf.constant(size, tf.int32)
    start = center - wanted // 2
    low = tf.maximum(start, 0)
    high = tf.maximum(tf.minimum(start + wanted, tf.shape(volume)), low)
    inside = tf.slice(volume, low, high - low)
    before = low - start
    padding = tf.stack([before, wanted - (high - low) - before], axis=1)
    padded = tf.pad(inside, padding, constant_values=tf.cast(outside, volume.dtype))
    return tf.ensure_shape(padded, size)


def _index(uniform: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """Returns floor(uniform * size), kept below size where rounding would reach it."""
    return tf.minimum(tf.cast(uniform * tf.cast(size, tf.float32), tf.int32), size - 1)
