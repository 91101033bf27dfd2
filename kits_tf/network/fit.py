"""Fitting: strategy, data, trainer and callbacks put together."""

import math
import shutil
import sys
import time
from pathlib import Path

import keras
import tensorflow as tf

from kits_tf.config import Train
from kits_tf.errors import InputError
from kits_tf.network import run
from kits_tf.network.trainer import Trainer, build_trainer
from kits_tf.network.weighting import class_weights
from kits_tf.pipeline import dataset
from kits_tf.pipeline.cache import copy_shards
from kits_tf.pipeline.footprint import estimate_footprint
from kits_tf.pipeline.manifest import Manifest
from tfrecords_tools.read import check_files


def fit(settings: Train, manifest: Manifest, run_dir: Path, strategy: tf.distribute.Strategy) -> list[dict[str, float]]:
    """Trains to the last epoch, from where the run stopped, and returns its history.

    Raises:
        InputError: the loss became infinite or NaN; the best weights so far stay.
        RecordError: a shard is damaged; it is named.
    """
    keras.utils.set_random_seed(settings.seed)
    replicas = strategy.num_replicas_in_sync
    batch_size = settings.optimization.batch_size * replicas
    with strategy.scope():
        trainer = make_trainer(settings, manifest, synchronized=replicas > 1)
    history = run.read_history(run_dir)
    epochs = settings.optimization.epochs
    if len(history) >= epochs:
        print(f"{run_dir}: all {epochs} epochs are trained already")
        return history
    shards_dir = settings.records_dir
    if settings.input.cache not in ("", dataset.IN_MEMORY):
        shards_dir = copy_shards(manifest, settings.records_dir, settings.input.cache)
    shards = manifest.shard_paths("train", shards_dir)
    steps = dataset.steps_per_epoch(shards, settings.patches.patches_per_case, batch_size)
    print(
        f"{len(manifest.splits['train'])} training and {len(manifest.splits['validation'])} validation cases, "
        f"{steps} steps an epoch, {trainer.network.count_params():,} parameters"
    )
    print(describe_input(settings, manifest, batch_size))
    # The record first: an epoch that is in the backup is then in the history as well.
    callbacks = [
        _Record(run_dir, history),
        _Progress(epochs, steps),
        keras.callbacks.TensorBoard(str(run_dir / run.TENSORBOARD), write_graph=False),
        keras.callbacks.BackupAndRestore(str(run_dir / run.BACKUP), delete_checkpoint=False),
    ]
    try:
        trainer.fit(
            training_batches(settings, manifest, shards_dir, batch_size, run.next_epoch(run_dir)),
            validation_data=validation_batches(settings, manifest, shards_dir, batch_size),
            epochs=epochs,
            steps_per_epoch=steps,
            callbacks=callbacks,
            shuffle=False,  # the dataset does
            verbose=0,
        )
    except tf.errors.DataLossError:
        check_files([*shards, *manifest.shard_paths("validation", shards_dir)])
        raise
    shutil.rmtree(run_dir / run.BACKUP)
    return run.read_history(run_dir)


def training_batches(
    settings: Train, manifest: Manifest, shards_dir: str, batch_size: int, first_epoch: int = 0
) -> tf.data.Dataset:
    """Returns batches as large as all replicas together take, from `first_epoch` on."""
    return dataset.training_patches(
        manifest.shard_paths("train", shards_dir),
        settings.patches,
        settings.warp,
        settings.appearance,
        manifest.grid.spacing_zyx_mm,
        batch_size,
        settings.seed,
        settings.input,
        first_epoch,
    )


def validation_batches(settings: Train, manifest: Manifest, shards_dir: str, batch_size: int) -> tf.data.Dataset:
    """Returns batches of patches that are the same in every epoch."""
    return dataset.fixed_patches(
        manifest.shard_paths("validation", shards_dir),
        settings.patches,
        settings.optimization.validation_patches_per_case,
        batch_size,
        settings.seed,
    )


def describe_input(settings: Train, manifest: Manifest, batch_size: int) -> str:
    """Returns one line for the start of a run: what the input pipeline will hold in memory."""
    record_bytes = [
        shard.num_bytes // len(shard.examples)
        for shard in manifest.shards.values()
        for case_id in shard.examples
        if case_id in manifest.splits["train"]
    ]
    spacing = manifest.grid.spacing_zyx_mm
    return str(estimate_footprint(record_bytes, settings.patches, settings.warp, spacing, batch_size, settings.input))


def make_trainer(settings: Train, manifest: Manifest, synchronized: bool) -> Trainer:
    """Returns the trainer of a run on these records; call it within the strategy's scope."""
    case_voxels = manifest.case_voxels("train")
    weights = class_weights(case_voxels, settings.objective.class_weighting, settings.objective.effective_number_beta)
    # What the weighted cross-entropy makes of a network that sees nothing.
    shares = [w * n for w, n in zip(weights, case_voxels.sum(axis=0).tolist(), strict=True)]
    return build_trainer(settings, manifest.scheme, weights, shares, synchronized)


class _Record(keras.callbacks.Callback):
    """Writes the history, and the weights of the epoch with the best validation composite so far.

    It stops the run at a loss that is no number.
    """

    def __init__(self, run_dir: Path, history: list[dict[str, float]]) -> None:
        super().__init__()
        self.run_dir = run_dir
        self.history = history

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        logs = logs or {}
        if not math.isfinite(logs["loss"]):
            raise InputError(f"epoch {epoch + 1}: the loss is {logs['loss']}, expected a number; lower --learning_rate")
        # An epoch that was recorded but not backed up is trained again.
        self.history = [row for row in self.history if row["epoch"] < epoch]
        best = max((row["val_composite"] for row in self.history), default=-math.inf)
        if logs["val_composite"] > best:
            run.save_best(self.model.network, self.run_dir)
        self.history.append({"epoch": epoch, **{name: float(value) for name, value in logs.items()}})
        run.write_history(self.run_dir, self.history)


class _Progress(keras.callbacks.Callback):
    """Prints a line an epoch; on a terminal also how far the epoch is."""

    def __init__(self, epochs: int, steps: int) -> None:
        super().__init__()
        self.epochs, self.steps = epochs, steps
        self.first_epoch: int | None = None
        self.epoch, self.start = 0, 0.0

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.epoch = epoch
        if self.first_epoch is None:
            self.first_epoch, self.start = epoch, time.monotonic()

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        if sys.stdout.isatty():
            loss = (logs or {})["loss"]
            print(f"epoch {self.epoch + 1}/{self.epochs}  step {batch + 1}/{self.steps}  loss {loss:.4f}", end="\r")

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        logs, passed = logs or {}, time.monotonic() - self.start
        left = passed / (epoch + 1 - (self.first_epoch or 0)) * (self.epochs - epoch - 1)
        print(
            f"epoch {epoch + 1}/{self.epochs}  loss {logs['loss']:.4f}  validation: loss {logs['val_loss']:.4f}, "
            f"Dice kidney {logs['val_kidney_dice']:.3f}, tumor {logs['val_tumor_dice']:.3f}  "
            f"({passed:.0f} s, about {left:.0f} s left)",
            flush=True,
        )
