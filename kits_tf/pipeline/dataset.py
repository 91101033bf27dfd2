"""Shards -> what the device takes: patches to train on, patches to validate on, whole cases."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import tensorflow as tf

from kits_tf.base.errors import InputError
from kits_tf.config import AppearanceSettings, InputSettings, PatchSettings, WarpSettings
from kits_tf.ct.geometry import Spacing
from kits_tf.pipeline.augment import TrainingPatches
from kits_tf.pipeline.case import CASE_SPEC
from kits_tf.pipeline.patches import cut_case, draw_center, draw_patch, move_inside, patch_seed

IN_MEMORY = "memory"

# Functions of tensors need no rewriting by AutoGraph, which would take a second at the start.
as_written = tf.autograph.experimental.do_not_convert

# Records that are read before a case is wanted.
RECORDS_AHEAD = 1
PREFETCHED_BATCHES = 2


@dataclass(frozen=True)
class Worker:
    """Which of several input workers this is: each reads shards of its own."""

    index: int = 0
    count: int = 1


ONLY_WORKER = Worker()


def training_patches(
    shards: Mapping[str, int],
    patches: PatchSettings,
    warp: WarpSettings,
    appearance: AppearanceSettings,
    spacing_zyx_mm: Spacing,
    batch_size: int,
    seed: int,
    input_settings: InputSettings | None = None,
    first_epoch: int = 0,
    worker: Worker = ONLY_WORKER,
) -> tf.data.Dataset:
    """Returns batches of one epoch after the other, without end: `steps_per_epoch` of them are an epoch.

    Which patches an epoch has, and what happens to them, depends on the seed, the epoch and the cases alone: not on
    shards, workers or the order of reading.

    Args:
        shards: paths, and how many cases each holds.
        patches: size, patches per case, foreground fraction, largest shift, shuffle buffer.
        warp: the augmentation in space.
        appearance: the augmentation of intensities.
        spacing_zyx_mm: voxel size of the records.
        batch_size: patches in a batch.
        seed: of every random choice.
        input_settings: order, cases at once, cache; by default those of InputSettings.
        first_epoch: the epoch to begin with.
        worker: which of the shards to read.

    Returns:
        Dataset of TrainingPatches; each patch's source is padded to the longest of its batch.

    Raises:
        InputError: there are fewer shards than workers.
    """
    input_settings = input_settings or InputSettings()
    own = _own_shards(shards, worker)
    if not own:
        raise InputError(f"expected a shard for each of {worker.count} input workers, got {len(shards)}")
    steps = steps_per_epoch(shards, patches.patches_per_case, batch_size, worker.count)
    cases = sum(own.values())
    passes = -(-steps * batch_size // (cases * patches.patches_per_case))
    in_order = input_settings.patch_order == "fixed"
    records = _records(list(own))
    cached = records.cache() if input_settings.cache == IN_MEMORY else None

    def draw(case: dict[str, tf.Tensor], patch_seed: tf.Tensor) -> TrainingPatches:
        return draw_patch(case, patch_seed, patches, warp, appearance, spacing_zyx_mm)

    @as_written
    def of_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
        # Seeds of shuffle() are numbers, the same in all epochs: what it is given to shuffle is not.
        order_seed = tf.stack([tf.constant(seed, tf.int64), epoch])
        if cached is None:
            read = _records(tf.random.experimental.stateless_shuffle(list(own), order_seed))
        else:  # what is shuffled are references to the cached records
            first = tf.random.stateless_uniform([], order_seed, maxval=cases, dtype=tf.int64)
            read = cached.skip(first).concatenate(cached.take(first)).shuffle(cases, seed)

        @as_written
        def of_pass(number: tf.Tensor) -> tf.data.Dataset:
            numbers = tf.range(patches.patches_per_case) + tf.cast(number, tf.int32) * patches.patches_per_case
            return _patches(read, numbers, seed, epoch, draw, input_settings.cases_at_once, in_order)

        # More passes than one where the last batch would not be full: it gets further patches.
        found = tf.data.Dataset.range(passes).flat_map(of_pass).take(steps * batch_size)
        return found.shuffle(patches.shuffle_patches, seed).padded_batch(batch_size, drop_remainder=True)

    epochs = tf.data.Dataset.range(first_epoch, tf.int64.max).flat_map(of_epoch)
    # What may end has batches of unknown size where several processes share a strategy.
    endless = epochs.apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY))
    return endless.prefetch(PREFETCHED_BATCHES).with_options(_options(in_order))


def steps_per_epoch(shards: Mapping[str, int], patches_per_case: int, batch_size: int, workers: int = 1) -> int:
    """Returns the batches of an epoch: as few as hold `patches_per_case` patches of every case.

    Args:
        shards: paths, and how many cases each holds.
        patches_per_case: patches of each case.
        batch_size: patches in a batch of one worker.
        workers: input workers; all take as many steps as the one with the most cases.
    """
    most = max(sum(_own_shards(shards, Worker(index, workers)).values()) for index in range(workers))
    return -(-most * patches_per_case // batch_size)


def fixed_patches(
    shards: Mapping[str, int],
    patches: PatchSettings,
    per_case: int,
    batch_size: int,
    seed: int,
    worker: Worker = ONLY_WORKER,
) -> tf.data.Dataset:
    """Returns batches of patches that are the same every time, neither shifted nor augmented.

    Args:
        shards: paths, and how many cases each holds; with or without masks.
        patches: size and foreground fraction.
        per_case: patches of each case.
        batch_size: patches in a batch; the last one may be smaller.
        seed: of the choice.
        worker: which of the patches to give; all workers read all shards, of which there may be fewer.

    Returns:
        Dataset of pairs, hu (batch, z, y, x) int16 and labels (batch, z, y, x) uint8; NO_LABEL without a mask.
    """

    def draw(case: dict[str, tf.Tensor], patch_seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        size, shape = patches.patch_size_zyx, tf.shape(case["hu"])
        center = draw_center(case["class_voxels"], shape, patches.foreground_fraction, patch_seed)
        start = move_inside(center, shape, size) - tf.constant(size) // 2
        hu, labels = cut_case(case, start, tf.constant(size))
        return tf.ensure_shape(hu, size), tf.ensure_shape(labels, size)

    records, epoch = _records(list(shards)), tf.constant(0, tf.int64)
    found = _patches(records, tf.range(per_case), seed, epoch, draw, cases_at_once=1, in_order=True)
    own = found.shard(worker.count, worker.index)
    count = len(range(worker.index, sum(shards.values()) * per_case, worker.count))
    known = own.batch(batch_size).apply(tf.data.experimental.assert_cardinality(-(-count // batch_size)))
    return known.prefetch(PREFETCHED_BATCHES).with_options(_options(in_order=True))


def whole_cases(shards: Mapping[str, int]) -> tf.data.Dataset:
    """Returns one case after the other, parsed: dictionaries of tensors by the names of CASE_SPEC."""
    return _records(list(shards)).map(as_written(CASE_SPEC.parse)).prefetch(1).with_options(_options(in_order=True))


def _own_shards(shards: Mapping[str, int], worker: Worker) -> dict[str, int]:
    return {path: shards[path] for path in sorted(shards)[worker.index :: worker.count]}


def _records(paths: list[str] | tf.Tensor) -> tf.data.Dataset:
    # A record is read as a whole; a buffer would only be one more copy of it.
    read = as_written(functools.partial(tf.data.TFRecordDataset, buffer_size=0))
    return tf.data.Dataset.from_tensor_slices(paths).flat_map(read)


def _patches(
    records: tf.data.Dataset,
    numbers: tf.Tensor,
    seed: int,
    epoch: tf.Tensor,
    draw: Callable,
    cases_at_once: int,
    in_order: bool,
) -> tf.data.Dataset:
    """Returns what `draw(case, seed)` makes of each case for each number, the cases mixed."""

    @as_written
    def of_case(case: dict[str, tf.Tensor]) -> tf.data.Dataset:
        each = tf.data.Dataset.from_tensor_slices(numbers)
        return each.map(as_written(lambda number: draw(case, patch_seed(seed, epoch, case["case_id"], number))))

    # Only parsing is parallel: a parallel interleave would hold many more cases than its cycle_length.
    cases = records.prefetch(RECORDS_AHEAD).map(as_written(CASE_SPEC.parse), cases_at_once, deterministic=in_order)
    return cases.interleave(of_case, cycle_length=cases_at_once)


def _options(in_order: bool) -> tf.data.Options:
    options = tf.data.Options()
    options.deterministic = in_order
    # Shards are told apart here, by worker.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    # Nothing here is left to tf.data to tune, and its tuning thread can hang the end of an epoch: seen with TensorFlow
    # 2.21, the iterator's destructor waiting for Model::OptimizeLoop.
    options.autotune.enabled = False
    return options
