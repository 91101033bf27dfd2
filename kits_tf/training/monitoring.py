"""The display of a run while it trains: log lines, TensorBoard's curves and pictures, and a profile."""

import logging
from collections.abc import Mapping
from pathlib import Path
from time import monotonic

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from kits_tf.base.progress import counter, seconds_since_start
from kits_tf.training.history import HistoryRow
from kits_tf.training.replicated import TrainingStep

FOLDER = "tensorboard"
# Steps before a profile, in which functions are traced and buffers fill.
WARM_UP = 2

logger = logging.getLogger(__name__)


class TrainingProgress:
    """Logs a line an epoch; on a terminal a bar shows how far the epoch is.

    Args:
        epochs: number of epochs of the run.
        steps: number of steps of an epoch.
        batch_size: patches in a step, over all replicas.
        is_shown: whether anything is logged or shown.
    """

    def __init__(self, epochs: int, steps: int, batch_size: int, is_shown: bool = True) -> None:
        self.epochs = epochs
        self.steps = steps
        self.batch_size = batch_size
        self.is_shown = is_shown
        self._report = counter("steps of the epoch") if is_shown else None
        self._start = monotonic()
        self._done = 0
        self.begin_epoch()

    def begin_epoch(self) -> None:
        """Starts the clock of an epoch's steps."""
        self._epoch_start = monotonic()
        self._epoch_done = 0
        self._waited = 0.0

    def step(self, number: int, step: TrainingStep) -> None:
        """Notes a step, the `number`-th of its epoch from 1."""
        self._done += 1
        self._epoch_done += 1
        self._waited += step.waited
        if self.is_shown and self._done == 1:
            logger.info("first step %.0f s after the start", seconds_since_start())
        if self._report:
            self._report(number, self.steps)

    def end_training(self) -> None:
        """Stops the clock of an epoch's steps."""
        self._trained = monotonic() - self._epoch_start

    def end_epoch(self, row: HistoryRow) -> None:
        """Logs the epoch's line."""
        if not self.is_shown:
            return
        validated = f"loss {row.validation['loss']:.4f}, {_dice(row.validation)}"
        if row.cases:
            validated += f"; whole cases {_dice(row.cases)}"
        loss = row.train["loss"]
        text = "epoch %d/%d  loss %.4f  validation: %s  (%s)"
        logger.info(text, row.epoch + 1, self.epochs, loss, validated, self._pace(row.epoch))

    def _pace(self, epoch: int) -> str:
        if not self._epoch_done:  # all of the epoch's steps were taken before the run went on
            return "validated only"
        share = self._waited / self._trained
        left = (monotonic() - self._start) / self._done * (self.epochs - epoch - 1) * self.steps
        return (
            f"{self._epoch_done * self.batch_size / self._trained:.1f} patches/s, "
            f"{'input' if share > 0.5 else 'compute'}-bound: {share:.0%} waiting for data; about {left:.0f} s left"
        )


def _dice(scores: Mapping[str, float]) -> str:
    return f"Dice kidney {scores['kidney_dice']:.3f}, tumor {scores['tumor_dice']:.3f}"


class Curves:
    """Writes rows of a history for TensorBoard: validation and training over each other, under one name.

    Args:
        run_dir: folder of the run.
    """

    def __init__(self, run_dir: Path) -> None:
        self._folder = run_dir / FOLDER
        self._writers: dict[str, tf.summary.SummaryWriter] = {}

    def write(self, row: HistoryRow) -> None:
        """Adds an epoch; it is on disk when this returns."""
        train = {"learning_rate": row.learning_rate, **row.train}
        for kind, scores in {"train": train, "validation": row.validation, "cases": row.cases}.items():
            for name, value in scores.items():
                with self._writer(kind).as_default():
                    tf.summary.scalar(name, value, step=row.epoch)
        for writer in self._writers.values():
            writer.flush()

    def write_pictures(self, epoch: int, pictures: NDArray[np.uint8]) -> None:
        """Adds an epoch's pictures of validation patches, (count, y, x, 3)."""
        with self._writer("validation").as_default():
            name, words = "validation patches", "the prediction tints, the truth outlines"
            tf.summary.image(name, pictures, step=epoch, max_outputs=len(pictures), description=words)

    def close(self) -> None:
        """Closes the files."""
        for writer in self._writers.values():
            writer.close()

    def _writer(self, kind: str) -> tf.summary.SummaryWriter:
        if kind not in self._writers:
            self._writers[kind] = tf.summary.create_file_writer(str(self._folder / kind))
        return self._writers[kind]


class Profile:
    """Records some steps of a run with TensorFlow's profiler, for TensorBoard.

    Args:
        run_dir: folder of the run.
        count: number of steps to record; 0 records none.
    """

    def __init__(self, run_dir: Path, count: int) -> None:
        self._folder = str(run_dir / FOLDER)
        self._count = count
        self._taken = 0
        self._is_on = False

    def step(self) -> None:
        """Counts a step, and starts or ends the recording where it is time to."""
        self._taken += 1
        if self._count and self._taken == WARM_UP:
            tf.profiler.experimental.start(self._folder)
            self._is_on = True
        elif self._taken == WARM_UP + self._count:
            self.close()

    def close(self) -> None:
        """Ends the recording, if it is on."""
        if self._is_on:
            self._is_on = False
            tf.profiler.experimental.stop()
            logger.info("wrote a profile of %d steps to %s", self._taken - WARM_UP, self._folder)
