"""The display of a run while it trains: log lines, TensorBoard's curves and pictures, and a profile."""

import contextlib
import logging
from collections.abc import Mapping
from pathlib import Path
from time import monotonic

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from kits_tf.base.progress import counter, seconds_since_start, still_working
from kits_tf.base.words import duration_text
from kits_tf.training.history import HistoryRow
from kits_tf.training.replicated import TrainingStep

FOLDER = "tensorboard"
# Steps before a profile, in which functions are traced and buffers fill.
WARM_UP = 2
# Seconds to the first line within an epoch, and later between two lines at most.
_FIRST_LINE_S, _LINE_S = 10.0, 60.0
# Seconds of a step after which the next one says how long it takes.
_LONG_STEP_S = 5.0

logger = logging.getLogger(__name__)


class TrainingProgress:
    """Logs a line an epoch, and within an epoch one now and then; on a terminal a bar shows how far the epoch is.

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
        self._done = 0
        self._steps_s = 0.0  # of all steps but the first, which is compiled
        self._rest_s = 0.0  # of the last epoch: validation and what is kept
        self.begin_epoch(0)

    def taking_step(self, number: int) -> contextlib.AbstractContextManager[None]:
        """Returns a context in which the `number`-th step of the epoch is taken, which says so if it takes long."""
        if not self.is_shown:
            return contextlib.nullcontext()
        if not self._done:
            return still_working("compiling the first step: this takes a minute or more on a CPU")
        if self._last_step_s < _LONG_STEP_S:
            return contextlib.nullcontext()
        return still_working(f"epoch {self._epoch + 1}/{self.epochs}, step {number}/{self.steps}", is_known=True)

    def begin_epoch(self, epoch: int) -> None:
        """Starts the clock of the steps of an epoch, numbered from 0."""
        self._epoch = epoch
        self._epoch_start = self._last = monotonic()
        self._epoch_done = 0
        self._waited = 0.0

    def step(self, number: int, step: TrainingStep) -> None:
        """Notes a step, the `number`-th of its epoch from 1."""
        now = monotonic()
        self._done += 1
        self._epoch_done += 1
        self._waited += step.waited
        if self._done == 1:
            self._first_step = self._last_line = now
            if self.is_shown:
                logger.info("first step %.0f s after the start", seconds_since_start())
        else:
            self._steps_s += now - self._last
        self._last_step_s = now - self._last
        self._last = now
        if self._report:
            self._report(number, self.steps)
        if self.is_shown and number < self.steps and self._is_line_due(now):
            self._last_line = now
            self._log_time_left(number)

    def end_training(self) -> None:
        """Stops the clock of an epoch's steps."""
        self._trained = monotonic()

    def end_epoch(self, row: HistoryRow) -> None:
        """Logs the epoch's line."""
        self._last_line = monotonic()
        self._rest_s = self._last_line - self._trained
        if not self.is_shown:
            return
        validated = f"loss {row.validation['loss']:.4f}, {_dice(row.validation)}"
        if row.cases:
            validated += f"; whole cases {_dice(row.cases)}"
        loss = row.train["loss"]
        text = "epoch %d/%d  loss %.4f  validation: %s  (%s)"
        logger.info(text, row.epoch + 1, self.epochs, loss, validated, self._pace(row.epoch))

    def _is_line_due(self, now: float) -> bool:
        """Returns whether the last line is long enough ago: 10 s at first, then as long as steps are taken, to 60 s."""
        return now - self._last_line >= min(max(_FIRST_LINE_S, self._last_line - self._first_step), _LINE_S)

    def _log_time_left(self, number: int) -> None:
        of_epoch = self._step_s * (self.steps - number)
        in_all = of_epoch + self._rest_s + self._following_s(self._epoch)
        logger.info(
            "epoch %d/%d, step %d/%d: %.2g s a step; about %s left in the epoch, %s in all",
            *(self._epoch + 1, self.epochs, number, self.steps, self._step_s),
            *map(duration_text, (of_epoch, in_all)),
        )

    @property
    def _step_s(self) -> float:
        """The time of a step; nothing before the second one."""
        return self._steps_s / max(self._done - 1, 1)

    def _following_s(self, epoch: int) -> float:
        """Returns how long the epochs after this one may take, validation included."""
        return (self.epochs - epoch - 1) * (self.steps * self._step_s + self._rest_s)

    def _pace(self, epoch: int) -> str:
        if not self._epoch_done:  # all of the epoch's steps were taken before the run went on
            return "validated only"
        trained_s = self._trained - self._epoch_start
        share = self._waited / trained_s
        left = f"; about {duration_text(self._following_s(epoch))} left" if epoch + 1 < self.epochs else ""
        return (
            f"{self._epoch_done * self.batch_size / trained_s:.1f} patches/s, "
            f"{'input' if share > 0.5 else 'compute'}-bound: {share:.0%} waiting for data{left}"
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
