"""Shards -> what the device takes: patches to train on, patches to validate on, whole cases."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import tensorflow as tf

from kits_tf.base.errors import InputError
from kits_tf.config import InputSettings, PatchSettings
from kits_tf.ct.geometry import Spacing
from kits_tf.pipeline.augment import TrainingPatches
from kits_tf.pipeline.case import CASE_SPEC
from kits_tf.pipeline.patches import cut_case, draw_center, draw_patch, move_inside, patch_seed
from kits_tf.pipeline.recipe import PatchRecipe

IN_MEMORY = "memory"
# The order of patches that is the same at any parallelism.
_FIXED = "fixed"

# Functions of tensors need no rewriting by AutoGraph, which would take a second at the start.
as_written = tf.autograph.experimental.do_not_convert

# Records that are read before a case is asked for.
RECORDS_AHEAD = 1
PREFETCHED_BATCHES = 2

# (parsed case, patch_index () int32) -> one example of a batch.
DrawPatch = Callable[[dict[str, tf.Tensor], tf.Tensor], tuple]


@dataclass(frozen=True)
class InputWorker:
    """One of several input workers.

    Attributes:
        index: number of this worker, from 0.
        count: number of all workers.
    """

    index: int = 0
    count: int = 1


ONLY_WORKER = InputWorker()


@dataclass(frozen=True, kw_only=True)
class BatchPlan:
    """The batches to make from the cases.

    Attributes:
        batch_size: patches in a batch.
        seed: random seed of every choice.
        first_epoch: epoch to begin with, from 0.
    """

    batch_size: int
    seed: int
    first_epoch: int = 0


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How records are read, which changes no patch.

    Attributes:
        settings: order of the patches, cases at once, cache.
        worker: worker that reads.
    """

    settings: InputSettings = field(default_factory=InputSettings)
    worker: InputWorker = ONLY_WORKER

    @property
    def in_order(self) -> bool:
        """Whether the same seed gives the same order whatever the machine."""
        return self.settings.patch_order == _FIXED


def training_patches(
    shards: Mapping[str, int],
    recipe: PatchRecipe,
    spacing_zyx_mm: Spacing,
    plan: BatchPlan,
    reading: Reading | None = None,
) -> tf.data.Dataset:
    """Returns batches of one epoch after the other, without end: `steps_per_epoch` of them are an epoch.

    Which patches an epoch has, and what happens to them, depends on the seed, the epoch and the cases alone: not on
    shards, workers or the order of reading.

    Args:
        shards: paths, and the number of cases that each holds.
        recipe: recipe of the patches.
        spacing_zyx_mm: voxel size of the records.
        plan: size of batches, seed, first epoch.
        reading: order, cache and worker; by default the settings' defaults, and one worker that reads all shards.

    Returns:
        Dataset of TrainingPatches; each patch's source is padded to the longest of its batch.

    Raises:
        InputError: there are fewer shards than workers.
    """
    reading = reading or Reading()
    worker_shards = _worker_shards(shards, reading.worker)
    if not worker_shards:
        raise InputError(f"expected a shard for each of {reading.worker.count} input workers, got {len(shards)}")
    steps = steps_per_epoch(shards, recipe.patches.patches_per_case, plan.batch_size, reading.worker.count)
    epochs = _Epochs(
        shards=worker_shards,
        steps=steps,
        recipe=recipe,
        spacing_zyx_mm=spacing_zyx_mm,
        plan=plan,
        reading=reading,
        cached=_records(list(worker_shards)).cache() if reading.settings.cache == IN_MEMORY else None,
    )
    batches = tf.data.Dataset.range(plan.first_epoch, tf.int64.max).flat_map(as_written(epochs.batches))
    # A dataset that may end has batches of unknown size where several processes share a strategy.
    endless = batches.apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY))
    return endless.prefetch(PREFETCHED_BATCHES).with_options(_options(reading.in_order))


@dataclass(frozen=True, kw_only=True, eq=False)
class _Epochs:
    """The epochs of one input worker; each is one or more passes over its cases.

    Attributes:
        shards: paths that the worker reads, and the number of cases that each holds.
        steps: batches of an epoch.
        recipe: recipe of the patches.
        spacing_zyx_mm: voxel size of the records.
        plan: size of batches, seed.
        reading: order and cases at once.
        cached: records kept in memory, or None.
    """

    shards: Mapping[str, int]
    steps: int
    recipe: PatchRecipe
    spacing_zyx_mm: Spacing
    plan: BatchPlan
    reading: Reading
    cached: tf.data.Dataset | None

    def batches(self, epoch: tf.Tensor) -> tf.data.Dataset:
        """Returns the batches of an epoch, () int64."""
        patches, batch_size = self.recipe.patches, self.plan.batch_size
        num_patches = self.steps * batch_size
        # More than one pass where the last batch would not be full: further patches fill it.
        passes = -(-num_patches // (self._num_cases * patches.patches_per_case))
        patches_of_pass = functools.partial(self._patches_of_pass, self._shuffled_records(epoch), epoch)
        drawn = tf.data.Dataset.range(passes).flat_map(as_written(patches_of_pass)).take(num_patches)
        return drawn.shuffle(patches.shuffle_patches, self.plan.seed).padded_batch(batch_size, drop_remainder=True)

    @property
    def _num_cases(self) -> int:
        return sum(self.shards.values())

    def _shuffled_records(self, epoch: tf.Tensor) -> tf.data.Dataset:
        # The seed of shuffle() is a number, the same in all epochs; the order of what it shuffles is not.
        order_seed = tf.stack([tf.constant(self.plan.seed, tf.int64), epoch])
        if self.cached is None:
            return _records(tf.random.experimental.stateless_shuffle(list(self.shards), order_seed))
        first = tf.random.stateless_uniform([], order_seed, maxval=self._num_cases, dtype=tf.int64)
        # What is shuffled are references to the cached records.
        turned = self.cached.skip(first).concatenate(self.cached.take(first))
        return turned.shuffle(self._num_cases, self.plan.seed)

    def _patches_of_pass(self, records: tf.data.Dataset, epoch: tf.Tensor, pass_index: tf.Tensor) -> tf.data.Dataset:
        """Returns `patches_per_case` patches of each case, different ones in each pass."""
        count = self.recipe.patches.patches_per_case
        patch_indices = tf.range(count) + tf.cast(pass_index, tf.int32) * count
        return _patches(records, patch_indices, functools.partial(self._draw, epoch), self.reading)

    def _draw(self, epoch: tf.Tensor, case: dict[str, tf.Tensor], patch_index: tf.Tensor) -> TrainingPatches:
        seed = patch_seed(self.plan.seed, epoch, case["case_id"], patch_index)
        return draw_patch(case, seed, self.recipe, self.spacing_zyx_mm)


def steps_per_epoch(shards: Mapping[str, int], patches_per_case: int, batch_size: int, workers: int = 1) -> int:
    """Returns the batches of an epoch: as few as hold `patches_per_case` patches of every case.

    Args:
        shards: paths, and the number of cases that each holds.
        patches_per_case: patches of each case.
        batch_size: patches in a batch of one worker.
        workers: number of input workers; all take as many steps as the one with the most cases.
    """
    most = max(sum(_worker_shards(shards, InputWorker(index, workers)).values()) for index in range(workers))
    return -(-most * patches_per_case // batch_size)


def fixed_patches(
    shards: Mapping[str, int],
    patches: PatchSettings,
    patches_per_case: int,
    plan: BatchPlan,
    worker: InputWorker = ONLY_WORKER,
) -> tf.data.Dataset:
    """Returns batches of patches that are the same every time, neither shifted nor augmented.

    Args:
        shards: paths, and the number of cases that each holds; with or without masks.
        patches: size and foreground fraction.
        patches_per_case: patches of each case.
        plan: size of batches, of which the last one may be smaller, and seed; the epoch is always 0.
        worker: worker that the patches are for; every worker reads all shards, which may be fewer than workers.

    Returns:
        Dataset of pairs, hu (batch, z, y, x) int16 and labels (batch, z, y, x) uint8; NO_LABEL without a mask.
    """
    reading = Reading(settings=InputSettings(patch_order=_FIXED, cases_at_once=1), worker=worker)
    draw = functools.partial(_draw_fixed, patches, plan.seed)
    drawn = _patches(_records(list(shards)), tf.range(patches_per_case), draw, reading)
    count = len(range(worker.index, sum(shards.values()) * patches_per_case, worker.count))
    batches = drawn.shard(worker.count, worker.index).batch(plan.batch_size)
    counted = batches.apply(tf.data.experimental.assert_cardinality(-(-count // plan.batch_size)))
    return counted.prefetch(PREFETCHED_BATCHES).with_options(_options(reading.in_order))


def whole_cases(shards: Mapping[str, int]) -> tf.data.Dataset:
    """Returns one case after the other, parsed: dictionaries of tensors by the names of CASE_SPEC."""
    return _records(list(shards)).map(as_written(CASE_SPEC.parse)).prefetch(1).with_options(_options(in_order=True))


def _worker_shards(shards: Mapping[str, int], worker: InputWorker) -> dict[str, int]:
    return {path: shards[path] for path in sorted(shards)[worker.index :: worker.count]}


def _records(paths: list[str] | tf.Tensor) -> tf.data.Dataset:
    # A record is read as a whole; a buffer would only be one more copy of it.
    read = as_written(functools.partial(tf.data.TFRecordDataset, buffer_size=0))
    return tf.data.Dataset.from_tensor_slices(paths).flat_map(read)


def _patches(records: tf.data.Dataset, patch_indices: tf.Tensor, draw: DrawPatch, reading: Reading) -> tf.data.Dataset:
    """Returns the patch of each case and each index, the cases mixed."""
    at_once = reading.settings.cases_at_once
    # Only parsing is parallel: a parallel interleave would hold many more cases than its cycle_length.
    cases = records.prefetch(RECORDS_AHEAD).map(as_written(CASE_SPEC.parse), at_once, deterministic=reading.in_order)
    return cases.interleave(as_written(functools.partial(_patches_of_case, patch_indices, draw)), cycle_length=at_once)


def _patches_of_case(patch_indices: tf.Tensor, draw: DrawPatch, case: dict[str, tf.Tensor]) -> tf.data.Dataset:
    return tf.data.Dataset.from_tensor_slices(patch_indices).map(as_written(functools.partial(draw, case)))


def _draw_fixed(
    patches: PatchSettings, seed: int, case: dict[str, tf.Tensor], patch_index: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    size, shape = patches.patch_size_zyx, tf.shape(case["hu"])
    drawn = patch_seed(seed, tf.constant(0, tf.int64), case["case_id"], patch_index)
    center = draw_center(case["class_voxels"], shape, patches.foreground_fraction, drawn)
    start = move_inside(center, shape, size) - tf.constant(size) // 2
    hu, labels = cut_case(case, start, tf.constant(size))
    return tf.ensure_shape(hu, size), tf.ensure_shape(labels, size)


def _options(in_order: bool) -> tf.data.Options:
    options = tf.data.Options()
    options.deterministic = in_order
    # Which worker reads which shard is decided here.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    # tf.data has nothing to tune here, and its tuning thread can hang the end of an epoch: seen with TensorFlow
    # 2.21, the iterator's destructor waiting for Model::OptimizeLoop.
    options.autotune.enabled = False
    return options
