"""A run epoch after epoch, from where it stopped, and what is kept of each."""

import contextlib
import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from kits_tf.base.errors import InputError
from kits_tf.base.progress import still_working
from kits_tf.config import RunSettings
from kits_tf.pipeline.patches import case_ids
from kits_tf.training import run
from kits_tf.training.checkpoint import BEGINNING, Checkpoint, Position, load_checkpoint, save_checkpoint
from kits_tf.training.divergence import Kept, diverged, epoch_problem, state_problem, step_problem
from kits_tf.training.history import HistoryRow, best_row, is_finished, read_history, write_history
from kits_tf.training.interruption import Interruption
from kits_tf.training.monitoring import Curves, Profile, TrainingProgress
from kits_tf.training.replicated import Input, ReplicatedTrainer, TrainingStep
from kits_tf.training.trainer import Trainer

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class EpochHooks:
    """Functions of the validated network that are called after an epoch, from rooms that training must not import.

    Attributes:
        score_cases: function that returns scores of whole cases by name, at least the composite; for
            --whole_cases_every.
        draw: function that returns pictures (count, y, x, 3) uint8 of its labels on patches.
    """

    score_cases: Callable[[keras.Model], dict[str, float]] | None = None
    draw: Callable[[keras.Model], NDArray[np.uint8]] | None = None


def restore(trainer: Trainer, run_dir: Path, strategy: tf.distribute.Strategy) -> Position:
    """Sets the state of the newest checkpoint of a run that can be read, and returns its position.

    Raises:
        InputError: it belongs to another network or optimizer, or another worker reads another checkpoint.
    """
    checkpoint = load_checkpoint(run_dir / run.CHECKPOINTS)
    position = checkpoint.position if checkpoint else BEGINNING
    own = tf.constant([position.epoch, position.step], tf.float32)
    mean = strategy.reduce(tf.distribute.ReduceOp.MEAN, strategy.run(lambda: tf.identity(own)), axis=None)
    if tf.reduce_any(mean != own):
        raise InputError(f"{run_dir}: expected a folder that all workers share, another one found another checkpoint")
    if checkpoint:
        trainer.restore(checkpoint.arrays)
        logger.info("continuing in epoch %d after %d of its steps", position.epoch + 1, position.step)
    return position


class EpochLoop:
    """Trains a run to its end.

    Args:
        settings: settings of the run.
        run_dir: folder for history, weights and checkpoints.
        trainer: trainer of the run, over all replicas.
        steps: number of steps of an epoch.
        hooks: functions of each epoch's network.

    Attributes:
        history: epochs so far.
        position: position in the run.
    """

    def __init__(
        self, settings: RunSettings, run_dir: Path, trainer: ReplicatedTrainer, steps: int, hooks: EpochHooks
    ) -> None:
        self.history: list[HistoryRow] = []
        self.position = BEGINNING
        self._settings = settings
        self._run_dir = run_dir
        self._trainer = trainer
        self._steps = steps
        self._hooks = hooks
        self._saved = monotonic()
        self._saved_position = BEGINNING
        self._first_loss: float | None = None

    def run(self, training: Input, validation: Input, progress: TrainingProgress, start: Position = BEGINNING) -> None:
        """Trains to the end.

        Args:
            training: training patches from the start on, without end.
            validation: validation patches of one epoch.
            progress: display of each step and epoch.
            start: position to go on from.

        Raises:
            InputError: the training has diverged: a loss or a weight is infinite or NaN, or the loss has grown beyond
                measure. Nothing of it is kept.
            SystemExit, KeyboardInterrupt: SIGTERM or Ctrl-C came, to any worker; the state is saved.
        """
        self.position = self._saved_position = start
        # An epoch that was recorded after the checkpoint is trained again.
        self.history = [row for row in read_history(self._run_dir) if row.epoch < start.epoch]
        curves = Curves(self._run_dir)
        profile = Profile(self._run_dir, self._settings.profile_steps if self._trainer.is_chief else 0)
        with Interruption() as interruption, contextlib.closing(curves), contextlib.closing(profile):
            train_steps = self._trainer.train(training)
            interruption.work = "the first step, once it is compiled"
            while not self._is_finished():
                progress.begin_epoch(self.position.epoch)
                while self.position.step < self._steps:
                    with progress.taking_step(self.position.step + 1), self._may_end(interruption):
                        step = next(train_steps)
                    self._check(step)
                    self.position = Position(self.position.epoch, self.position.step + 1)
                    interruption.work = "this step"
                    progress.step(self.position.step, step)
                    profile.step()
                    self._save_if_due(interruption)
                progress.end_training()
                interruption.work = "this validation"
                self._end_epoch(validation)
                progress.end_epoch(self.history[-1])
                if self._trainer.is_chief:
                    self._write_curves(curves)
                interruption.work = "this step"
                self._save_if_due(interruption)

    def _may_end(self, interruption: Interruption) -> contextlib.AbstractContextManager[None]:
        """Returns a context for a step: the first one is compiled for minutes, and until then nothing can be lost.

        Where there are other workers, they would wait for one that has ended.
        """
        is_first = self._first_loss is None
        return interruption.suspended() if is_first and self._trainer.is_alone else contextlib.nullcontext()

    def _is_finished(self) -> bool:
        return is_finished(self.history, self._settings.optimization.epochs, self._settings.validation)

    def _save_if_due(self, interruption: Interruption) -> None:
        """Saves if it is time to; if any worker was interrupted, saves and ends all workers."""
        is_due = monotonic() - self._saved > 60 * self._settings.checkpoint_minutes
        stop, save = self._trainer.any_worker(interruption.caught is not None, is_due)
        if stop or save:
            self._save(self._finite_state())
        if stop:
            done = f"{self.position.step} of {self._steps} steps of epoch {self.position.epoch + 1}"
            message = f"stopped after {done}: saved; the same command continues"
            logger.info("%s", message)
            interruption.end(message)

    def _check(self, step: TrainingStep) -> None:
        """Stops the run at a loss that is not a finite number."""
        if problem := step_problem(step.loss):
            cases = ", ".join(case_id for part in step.patches for case_id in case_ids(part))
            where = f"epoch {self.position.epoch + 1}, step {self.position.step + 1}"
            self._end_diverged(where, f"the loss of patches of {cases} is {problem}")
        if self._first_loss is None:
            self._first_loss = step.loss

    def _end_diverged(self, where: str, problem: str) -> None:
        """Raises the error of a run that has diverged if there is a problem."""
        if problem:
            best = best_row([row for row in self.history if row.epoch < self.position.epoch], self._settings.validation)
            kept = Kept(run_dir=self._run_dir, best_epoch=best.epoch if best else None, saved=self._saved_position)
            raise diverged(where, problem, self._settings.optimization, kept)

    def _end_epoch(self, validation: Input) -> None:
        """Validates, then keeps weights, history and state in an order that is safe to interrupt."""
        epoch = self.position.epoch
        learning_rate, train = self._trainer.learning_rate, self._trainer.results()
        with still_working(f"validating epoch {epoch + 1}"):
            validated = self._trainer.validate(validation)
        problem = epoch_problem(self._first_loss, train["loss"], validated["loss"])
        self._end_diverged(f"epoch {epoch + 1}", problem)
        state = self._finite_state()
        row = HistoryRow(
            epoch=epoch,
            learning_rate=learning_rate,
            train=train,
            validation=validated,
            cases=self._score_cases(epoch),
        )
        self.history.append(row)
        self.position = Position(epoch + 1)
        if self._trainer.is_chief:
            self._keep(row)
        self._save(state)

    def _score_cases(self, epoch: int) -> dict[str, float]:
        every = self._settings.validation.whole_cases_every
        if not every or not self._hooks.score_cases or (epoch + 1) % every:
            return {}
        with still_working("scoring whole validation cases"):
            return self._hooks.score_cases(self._trainer.validated)

    def _keep(self, row: HistoryRow) -> None:
        score = row.deciding_scores(self._settings.validation).get("composite", -math.inf)
        network = self._trainer.validated
        if score > run.best_score(self._run_dir):
            run.save_weights(network, self._run_dir / run.BEST_WEIGHTS, score)
        write_history(self._run_dir, self.history)
        if self._is_finished():
            run.save_weights(network, self._run_dir / run.LAST_WEIGHTS, score)

    def _write_curves(self, curves: Curves) -> None:
        curves.write(self.history[-1])
        if self._hooks.draw:
            with still_working("drawing validation patches for TensorBoard"):
                curves.write_pictures(self.position.epoch - 1, self._hooks.draw(self._trainer.validated))

    def _finite_state(self) -> Mapping[str, NDArray]:
        """Returns all that changes in training; every worker has to ask at the same time, as each takes part in it."""
        with still_working("reading the state"):
            state = self._trainer.state()
            self._end_diverged(f"epoch {self.position.epoch + 1}", state_problem(state))
        return state

    def _save(self, state: Mapping[str, NDArray]) -> None:
        if self._trainer.is_chief:
            with still_working("saving the state"):
                save_checkpoint(self._run_dir / run.CHECKPOINTS, Checkpoint(self.position, state))
        self._saved, self._saved_position = monotonic(), self.position
