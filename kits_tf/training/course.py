"""The course of a run: epoch after epoch, from where it stopped, and what is kept of each."""

import contextlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from kits_tf.base.errors import InputError
from kits_tf.config import RunSettings
from kits_tf.pipeline.patches import case_ids
from kits_tf.training import run
from kits_tf.training.checkpoint import BEGINNING, Checkpoint, Position, load_checkpoint, save_checkpoint
from kits_tf.training.curves import FOLDER, Curves
from kits_tf.training.interruption import Interruption
from kits_tf.training.loop import Input, Loop, Step
from kits_tf.training.profile import Profile
from kits_tf.training.progress import Progress
from kits_tf.training.trainer import Trainer


@dataclass(frozen=True)
class Looks:
    """How a network is looked at after an epoch, by what stands behind it in the line.

    Attributes:
        score_cases: returns scores of whole cases by name, at least the composite; for --whole_cases_every.
        draw: returns pictures (count, y, x, 3) uint8 of its labels on patches.
    """

    score_cases: Callable[[keras.Model], dict[str, float]] | None = None
    draw: Callable[[keras.Model], NDArray[np.uint8]] | None = None


def is_finished(settings: RunSettings, history: list[dict[str, float]]) -> bool:
    """Returns whether a run has had all its epochs, or its best one lies --patience epochs back."""
    best, patience = best_epoch(settings, history), settings.validation.patience
    waited = history[-1]["epoch"] - best["epoch"] if best else 0
    return len(history) >= settings.optimization.epochs or 0 < patience <= waited


def best_epoch(settings: RunSettings, history: list[dict[str, float]]) -> dict[str, float] | None:
    """Returns the first epoch of the best score; None if none has been scored."""
    score = best_score_name(settings)
    return max((row for row in history if score in row), key=lambda row: row[score], default=None)


def best_score_name(settings: RunSettings) -> str:
    """Returns the column of the history by which the best epoch is chosen."""
    return "case_composite" if settings.validation.whole_cases_every else "val_composite"


def restore(trainer: Trainer, run_dir: Path, strategy: tf.distribute.Strategy) -> Position:
    """Sets the state of the newest checkpoint of a run that can be read, and returns its position.

    Raises:
        InputError: it is of another network or optimizer, or another worker found another one.
    """
    found = load_checkpoint(run_dir / run.CHECKPOINTS)
    position = found.position if found else BEGINNING
    own = tf.constant([position.epoch, position.step], tf.float32)
    mean = strategy.reduce(tf.distribute.ReduceOp.MEAN, strategy.run(lambda: tf.identity(own)), axis=None)
    if tf.reduce_any(mean != own):
        raise InputError(f"{run_dir}: expected a folder that all workers share, another one found another checkpoint")
    if found:
        trainer.restore(found.arrays)
        print(f"going on in epoch {position.epoch + 1} after {position.step} of its steps")
    return position


class Course:
    """A run from its position to its end.

    Args:
        settings: of the run.
        run_dir: where history, weights and checkpoints are kept.
        loop: of the run's trainer.
        steps: of an epoch.
        position: to go on from.
        looks: at each epoch's network.
        chief: whether this worker writes.
    """

    def __init__(
        self,
        settings: RunSettings,
        run_dir: Path,
        loop: Loop,
        steps: int,
        position: Position,
        looks: Looks,
        chief: bool,
    ) -> None:
        self.settings, self.run_dir, self.loop, self.steps = settings, run_dir, loop, steps
        self.position, self.looks, self.chief = position, looks, chief
        # An epoch that was recorded after the checkpoint is trained again.
        self.history = [row for row in run.read_history(run_dir) if row["epoch"] < position.epoch]
        self._saved = monotonic()

    def run(self, training: Input, validation: Input, progress: Progress) -> None:
        """Trains to the end.

        Args:
            training: from the position on, without end.
            validation: of one epoch.
            progress: that is told of each step and epoch.

        Raises:
            InputError: the loss became infinite or NaN.
            SystemExit, KeyboardInterrupt: SIGTERM or Ctrl-C came, to any worker; the state is saved.
        """
        curves = Curves(self.run_dir)
        profile = Profile(str(self.run_dir / FOLDER), self.settings.profile_steps if self.chief else 0)
        with Interruption() as interruption, contextlib.closing(curves), contextlib.closing(profile):
            train_steps = self.loop.train(training)
            while not is_finished(self.settings, self.history):
                progress.begin_epoch()
                while self.position.step < self.steps:
                    step = next(train_steps)
                    self._check(step)
                    self.position = Position(self.position.epoch, self.position.step + 1)
                    progress.step(self.position.epoch, self.position.step, step)
                    profile.step()
                    self._rest(interruption)
                progress.end_training()
                self._end_epoch(validation)
                progress.end_epoch(self.history[-1])
                if self.chief:
                    curves.write(self.history[-1])
                    if self.looks.draw:
                        curves.write_pictures(self.position.epoch - 1, self.looks.draw(self.loop.trainer.validated))
                self._rest(interruption)

    def _rest(self, interruption: Interruption) -> None:
        """Saves if it is time to, or if any worker was interrupted, and then ends all."""
        is_due = monotonic() - self._saved > 60 * self.settings.checkpoint_minutes
        stop, save = self.loop.wished(interruption.caught is not None, is_due)
        if stop or save:
            self._save()
        if stop:
            done = f"{self.position.step} of {self.steps} steps of epoch {self.position.epoch + 1}"
            print(f"stopped after {done}: saved; the same command goes on", flush=True)
            interruption.end()

    def _check(self, step: Step) -> None:
        """Stops the run at a loss that is no number."""
        if not math.isfinite(step.loss):
            cases = ", ".join(case_id for part in step.patches for case_id in case_ids(part))
            rate = float(self.loop.trainer.optimizer.learning_rate)
            raise InputError(
                f"epoch {self.position.epoch + 1}, step {self.position.step + 1}: the loss of patches of {cases} is "
                f"{step.loss}, expected a number; lower --learning_rate, which is at {rate:.3g} (the best weights stay)"
            )

    def _end_epoch(self, validation: Input) -> None:
        """Validates, then keeps weights, history and state in an order that may be cut off anywhere."""
        trainer, epoch, every = self.loop.trainer, self.position.epoch, self.settings.validation.whole_cases_every
        row = {"epoch": epoch, "learning_rate": float(trainer.optimizer.learning_rate)} | trainer.results()
        row |= {f"val_{name}": value for name, value in self.loop.validate(validation).items()}
        if every and self.looks.score_cases and (epoch + 1) % every == 0:
            row |= {f"case_{name}": value for name, value in self.looks.score_cases(trainer.validated).items()}
        self.history.append(row)
        self.position = Position(epoch + 1)
        if self.chief:
            self._keep(row)
        self._save()

    def _keep(self, row: dict[str, float]) -> None:
        score, network = row.get(best_score_name(self.settings), -math.inf), self.loop.trainer.validated
        if score > run.best_score(self.run_dir):
            run.save_weights(network, self.run_dir / run.BEST_WEIGHTS, score)
        run.write_history(self.run_dir, self.history)
        if is_finished(self.settings, self.history):
            run.save_weights(network, self.run_dir / run.LAST_WEIGHTS, score)

    def _save(self) -> None:
        state = self.loop.trainer.state()  # of all replicas: every worker has to ask
        if self.chief:
            save_checkpoint(self.run_dir / run.CHECKPOINTS, Checkpoint(self.position, state))
        self._saved = monotonic()
