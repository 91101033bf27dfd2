"""Fitting: strategy, data, trainer and the course of a run put together."""

from dataclasses import replace
from pathlib import Path

import keras
import tensorflow as tf

from kits_tf.base.errors import InputError
from kits_tf.config import RunSettings
from kits_tf.ct.labels import Scheme
from kits_tf.network.weighting import class_weights
from kits_tf.pipeline import dataset
from kits_tf.pipeline.cache import copy_shards
from kits_tf.pipeline.manifest import Manifest
from kits_tf.pipeline.recipe import PatchRecipe
from kits_tf.training import run
from kits_tf.training.checkpoint import BEGINNING, Position
from kits_tf.training.course import Course, Looks, restore
from kits_tf.training.loop import Input, Loop
from kits_tf.training.overview import overview, plan_memory
from kits_tf.training.progress import Progress
from kits_tf.training.strategy import is_chief, num_workers
from kits_tf.training.trainer import Trainer, build_trainer
from tfrecords_tools.read import check_files


def fit(
    settings: RunSettings,
    manifest: Manifest,
    run_dir: Path,
    strategy: tf.distribute.Strategy,
    looks: Looks | None = None,
) -> list[dict[str, float]]:
    """Trains to the last epoch, from where the run stopped, and returns its history.

    Args:
        settings: of the run.
        manifest: of the records, with the run's split.
        run_dir: of the run; checkpoints, best weights and history are written there.
        strategy: of the replicas.
        looks: at each epoch's network.

    Raises:
        InputError: the loss became infinite or NaN; the best weights so far stay. Or the initial weights do not fit.
        RecordError: a shard is damaged; it is named.
        SystemExit, KeyboardInterrupt: SIGTERM or Ctrl-C came; the state is saved, and the same call goes on.
    """
    keras.utils.set_random_seed(settings.seed)
    if (run_dir / run.LAST_WEIGHTS).exists():
        history = run.read_history(run_dir)
        print(f"{run_dir}: trained already, {len(history)} epochs")
        return history
    shards_dir = settings.records_dir
    if settings.input.cache not in ("", dataset.IN_MEMORY):
        shards_dir = copy_shards(manifest, settings.records_dir, settings.input.cache)
    replicas, workers = strategy.num_replicas_in_sync, num_workers(strategy)
    worker_batch = _replica_batch(settings) * replicas // workers
    shards = manifest.shard_paths("train", shards_dir)
    steps = dataset.steps_per_epoch(shards, settings.patches.patches_per_case, worker_batch, workers)
    with strategy.scope():
        trainer = make_trainer(settings, manifest, synchronized=replicas > 1, steps_per_epoch=steps)
        position = restore(trainer, run_dir, strategy)
        if position == BEGINNING and settings.optimization.initial_weights:
            begin_with(trainer, settings.optimization.initial_weights, manifest.scheme)
    chief = is_chief(strategy)
    if chief:
        # A run that goes on has shown that it fits.
        memory = plan_memory(trainer, manifest, worker_batch) if position == BEGINNING else None
        print(overview(trainer, manifest, steps, memory))
    with strategy.scope():
        course = Course(settings, run_dir, Loop(trainer, strategy), steps, position, looks or Looks(), chief)
        try:
            course.run(
                training_input(settings, manifest, shards_dir, position),
                validation_input(settings, manifest, shards_dir),
                Progress(settings.optimization.epochs, steps, worker_batch * workers, shown=chief),
            )
        except tf.errors.DataLossError:
            check_files([*shards, *manifest.shard_paths("validation", shards_dir)])
            raise
    return course.history


def begin_with(trainer: Trainer, run_dir: str, scheme: Scheme) -> None:
    """Gives a trainer the best weights of a run; call it within the strategy's scope.

    Raises:
        InputError: there is no such run, or its network or its classes are others.
    """
    found = run.load_run(run_dir)
    shapes, wanted = ([weight.shape for weight in network.weights] for network in (found.network, trainer.network))
    if shapes != wanted or found.manifest.scheme.classes != scheme.classes:
        raise InputError(f"--initial_weights: expected a run of this one's network and classes, {run_dir} has others")
    for network in (trainer.network, trainer.validated):
        network.set_weights(found.network.get_weights())
    print(f"begins with the weights of {run_dir}")


def training_input(settings: RunSettings, manifest: Manifest, shards_dir: str, position: Position = BEGINNING) -> Input:
    """Returns the input of training, as `Loop.train` takes it, from a position on."""

    def of_worker(context: tf.distribute.InputContext) -> tf.data.Dataset:
        batch_size = _replica_batch(settings)
        local = context.num_replicas_in_sync // context.num_input_pipelines
        batches = dataset.training_patches(
            manifest.shard_paths("train", shards_dir),
            PatchRecipe.from_settings(settings),
            manifest.grid.spacing_zyx_mm,
            dataset.BatchPlan(batch_size=batch_size * local, seed=settings.seed, first_epoch=position.epoch),
            dataset.Reading(
                settings=replace(settings.input, patch_order="fixed") if settings.deterministic else settings.input,
                worker=dataset.InputWorker(context.input_pipeline_id, context.num_input_pipelines),
            ),
        ).skip(position.step)
        return batches.rebatch(batch_size, drop_remainder=True) if local > 1 else batches

    return of_worker


def validation_input(settings: RunSettings, manifest: Manifest, shards_dir: str) -> Input:
    """Returns the input of validation: patches that are the same in every epoch."""

    def of_worker(context: tf.distribute.InputContext) -> tf.data.Dataset:
        return dataset.fixed_patches(
            manifest.shard_paths("validation", shards_dir),
            settings.patches,
            settings.validation.validation_patches_per_case,
            dataset.BatchPlan(batch_size=settings.optimization.batch_size, seed=settings.seed),
            dataset.InputWorker(context.input_pipeline_id, context.num_input_pipelines),
        )

    return of_worker


def make_trainer(settings: RunSettings, manifest: Manifest, synchronized: bool, steps_per_epoch: int = 1) -> Trainer:
    """Returns the trainer of a run on these records; call it within the strategy's scope."""
    case_voxels = manifest.case_voxels("train")
    weights = class_weights(case_voxels, settings.objective.class_weighting, settings.objective.effective_number_beta)
    # What the weighted cross-entropy makes of a network that sees nothing.
    undone = 1 - settings.objective.logit_adjustment
    shares = [w**undone * n for w, n in zip(weights, case_voxels.sum(axis=0).tolist(), strict=True)]
    return build_trainer(settings, manifest.scheme, weights, shares, synchronized, steps_per_epoch)


def _replica_batch(settings: RunSettings) -> int:
    """Returns the patches that a replica takes in a step."""
    return settings.optimization.batch_size * settings.optimization.accumulated_batches
