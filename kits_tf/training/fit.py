"""Fitting: strategy, data, trainer and the loop over epochs put together."""

import logging
from dataclasses import replace

import keras
import tensorflow as tf

from kits_tf.base.errors import InputError
from kits_tf.base.progress import still_working
from kits_tf.config import RunSettings
from kits_tf.ct.labels import Scheme
from kits_tf.network.weighting import class_balance
from kits_tf.pipeline import dataset
from kits_tf.pipeline.cache import copy_shards
from kits_tf.pipeline.manifest import Manifest
from kits_tf.pipeline.patch_classes import count_patch_voxels
from kits_tf.pipeline.recipe import PatchRecipe
from kits_tf.training import run
from kits_tf.training.checkpoint import BEGINNING, Position
from kits_tf.training.epoch_loop import EpochHooks, EpochLoop, restore
from kits_tf.training.history import HistoryRow, read_history
from kits_tf.training.monitoring import TrainingProgress
from kits_tf.training.overview import overview, plan_memory
from kits_tf.training.plan import TrainingPlan
from kits_tf.training.replicated import Input, ReplicatedTrainer
from kits_tf.training.run_files import run_folder
from kits_tf.training.strategy import is_chief, num_workers
from kits_tf.training.trainer import Trainer, TrainerSettings, build_trainer
from tfrecords_tools.read import check_files

logger = logging.getLogger(__name__)


def fit(plan: TrainingPlan, strategy: tf.distribute.Strategy, hooks: EpochHooks | None = None) -> list[HistoryRow]:
    """Trains to the last epoch, from where the run stopped, and returns its history.

    Args:
        plan: plan of the run; checkpoints, best weights and history are written to its folder.
        strategy: strategy of the replicas.
        hooks: functions of each epoch's network.

    Raises:
        InputError: the loss became infinite or NaN; the best weights so far stay. Or the initial weights do not fit.
        RecordError: a shard is damaged; it is named.
        SystemExit, KeyboardInterrupt: SIGTERM or Ctrl-C came; the state is saved, and the same call goes on.
    """
    settings, manifest = plan.settings, plan.manifest
    keras.utils.set_random_seed(settings.seed)
    if (plan.run_dir / run.LAST_WEIGHTS).exists():
        history = read_history(plan.run_dir)
        logger.info("%s: trained already, %d epochs", plan.run_dir, len(history))
        return history
    shards_dir = _shards_dir(settings, manifest)
    replicas, workers = strategy.num_replicas_in_sync, num_workers(strategy)
    worker_batch = _replica_batch(settings) * replicas // workers
    shards = manifest.shard_paths("train", shards_dir)
    steps = dataset.steps_per_epoch(shards, settings.patches.patches_per_case, worker_batch, workers)
    with strategy.scope():
        trainer = make_trainer(plan, synchronized=replicas > 1, steps_per_epoch=steps)
        position = restore(trainer, plan.run_dir, strategy)
        if position == BEGINNING and settings.optimization.initial_weights:
            begin_with(trainer, settings.optimization.initial_weights, manifest.scheme)
    chief = is_chief(strategy)
    if chief:
        # A run that goes on has shown that it fits.
        with still_working("estimating the memory of a step"):
            memory = plan_memory(plan, trainer, worker_batch) if position == BEGINNING else None
        logger.info("%s", overview(plan, trainer, steps, memory))
    with strategy.scope():
        loop = EpochLoop(settings, plan.run_dir, ReplicatedTrainer(trainer, strategy), steps, hooks or EpochHooks())
        try:
            loop.run(
                training_input(settings, manifest, shards_dir, position),
                validation_input(settings, manifest, shards_dir),
                TrainingProgress(settings.optimization.epochs, steps, worker_batch * workers, is_shown=chief),
                position,
            )
        except tf.errors.DataLossError:
            check_files([*shards, *manifest.shard_paths("validation", shards_dir)])
            raise
    return loop.history


def begin_with(trainer: Trainer, run_dir: str, scheme: Scheme) -> None:
    """Gives a trainer the best weights of a run, or of the starter; call it within the strategy's scope.

    Raises:
        InputError: there is no such run, or it has another network or other classes.
    """
    other = run.load_run(run_folder(run_dir))
    shapes = [weight.shape for weight in trainer.network.weights]
    expected = f"--initial_weights={run_dir}: expected a run of the same network and classes as this one"
    if (classes := other.manifest.scheme.classes) != scheme.classes:
        raise InputError(f"{expected}: its classes are {', '.join(classes)}, this run's {', '.join(scheme.classes)}")
    if shapes != [weight.shape for weight in other.network.weights]:
        counts = [f"{network.count_params():,}" for network in (other.network, trainer.network)]
        raise InputError(f"{expected}: its network has other layers ({counts[0]} parameters, this run's {counts[1]})")
    for network in (trainer.network, trainer.validated):
        network.set_weights(other.network.get_weights())
    logger.info("beginning with the weights of %s", run_dir)


def training_input(settings: RunSettings, manifest: Manifest, shards_dir: str, position: Position = BEGINNING) -> Input:
    """Returns the input of training, for `ReplicatedTrainer.train`, from a position on."""

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


def make_trainer(plan: TrainingPlan, synchronized: bool = False, steps_per_epoch: int = 1) -> Trainer:
    """Returns the trainer of a run on its records; call it within the strategy's scope.

    Args:
        plan: plan of the run.
        synchronized: whether batch norm is over all replicas.
        steps_per_epoch: number of steps of an epoch, for the learning rate's schedule.
    """
    settings, objective = plan.settings, plan.settings.objective
    voxels = count_patch_voxels(plan.manifest, settings.records_dir, settings.patches, settings.seed)
    balance = class_balance(voxels, objective.class_weighting, objective.logit_adjustment)
    of_trainer = TrainerSettings.of_run(settings, steps_per_epoch)
    with still_working("building the network"):
        return build_trainer(plan.architecture, of_trainer, plan.manifest.scheme, balance, synchronized)


def _shards_dir(settings: RunSettings, manifest: Manifest) -> str:
    """Returns the folder to read shards from: that of the records, or a copy on the disk that --cache names."""
    if settings.input.cache in ("", dataset.IN_MEMORY):
        return settings.records_dir
    return copy_shards(manifest, settings.records_dir, settings.input.cache)


def _replica_batch(settings: RunSettings) -> int:
    """Returns the patches that a replica takes in a step."""
    return settings.optimization.batch_size * settings.optimization.accumulated_batches
