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
from kits_tf.network.losses import class_weights
from kits_tf.network.trainer import Trainer
from kits_tf.network.unet import build_unet
from kits_tf.pipeline import augment, dataset
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
    training, validation = make_datasets(settings, manifest, replicas)
    if training.cardinality() == 0:
        patches = len(manifest.splits["train"]) * settings.patches.patches_per_case
        raise InputError(
            f"expected patches for a batch of {settings.optimization.batch_size * replicas}, got {patches}"
        )
    with strategy.scope():
        trainer = make_trainer(settings, manifest, synchronized=replicas > 1)
    history = run.read_history(run_dir)
    epochs = settings.optimization.epochs
    if len(history) >= epochs:
        print(f"{run_dir}: all {epochs} epochs are trained already")
        return history
    print(
        f"{len(manifest.splits['train'])} training and {len(manifest.splits['validation'])} validation cases, "
        f"{training.cardinality()} steps an epoch, {trainer.network.count_params():,} parameters"
    )
    # The record first: an epoch that is in the backup is then in the history as well.
    callbacks = [
        _Record(run_dir, history),
        _Progress(epochs, int(training.cardinality())),
        keras.callbacks.BackupAndRestore(str(run_dir / run.BACKUP), delete_checkpoint=False),
    ]
    try:
        trainer.fit(
            training,
            validation_data=validation,
            epochs=epochs,
            callbacks=callbacks,
            shuffle=False,  # the dataset does
            verbose=0,
        )
    except tf.errors.DataLossError:
        check_files(
            manifest.shard_paths("train", settings.records_dir)
            + manifest.shard_paths("validation", settings.records_dir)
        )
        raise
    shutil.rmtree(run_dir / run.BACKUP)
    return run.read_history(run_dir)


def make_datasets(settings: Train, manifest: Manifest, replicas: int) -> tuple[tf.data.Dataset, tf.data.Dataset]:
    """Returns training and validation batches, as large as all replicas together take."""
    batch_size = settings.optimization.batch_size * replicas
    size = augment.read_size(settings.augmentation, settings.patches.patch_size_zyx, manifest.grid.spacing_zyx_mm)
    training = dataset.training_patches(
        manifest.shard_paths("train", settings.records_dir),
        len(manifest.splits["train"]),
        settings.patches,
        size,
        batch_size,
        settings.seed,
    )
    validation = dataset.validation_patches(
        manifest.shard_paths("validation", settings.records_dir),
        len(manifest.splits["validation"]),
        settings.patches,
        settings.optimization.validation_patches_per_case,
        batch_size,
        settings.seed,
    )
    return training, validation


def make_trainer(settings: Train, manifest: Manifest, synchronized: bool) -> Trainer:
    """Returns the compiled trainer; call it within the strategy's scope."""
    num_classes = len(manifest.scheme.classes)
    weights = class_weights(manifest.class_voxels("train"), settings.optimization.class_weighting)
    trainer = Trainer(build_unet(settings.network, num_classes, synchronized), settings, manifest, weights)
    # No XLA: the warp has no use for it, and on a CPU a step takes several times as long with it.
    trainer.compile(optimizer=keras.optimizers.Adam(settings.optimization.learning_rate), jit_compile=False)
    trainer.optimizer.build(trainer.network.trainable_variables)
    return trainer


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
