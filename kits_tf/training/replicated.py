"""A trainer's steps over all replicas."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import monotonic

import keras
import tensorflow as tf
from numpy.typing import NDArray

from kits_tf.pipeline.augment import TrainingPatches
from kits_tf.training.strategy import is_chief, num_workers
from kits_tf.training.trainer import Trainer

# Batches of a replica, by which of the input workers reads them.
Input = Callable[[tf.distribute.InputContext], tf.data.Dataset]


@dataclass(frozen=True)
class TrainingStep:
    """A step that is done.

    Attributes:
        loss: loss before the step, over all replicas.
        waited: seconds that the step waited for its batch.
        patches: batches of this worker's replicas.
    """

    loss: float
    waited: float
    patches: tuple[TrainingPatches, ...]


class ReplicatedTrainer:
    """Trains and validates over all replicas of a strategy, each step compiled once.

    No XLA: the warp has no use for it, and on a CPU a step takes several times as long with it.

    Args:
        trainer: trainer that was built in the strategy's scope.
        strategy: strategy of the run.
    """

    def __init__(self, trainer: Trainer, strategy: tf.distribute.Strategy) -> None:
        self._trainer = trainer
        self._strategy = strategy
        self._compiled: dict[tuple[Callable, tf.TypeSpec], Callable] = {}

    @property
    def validated(self) -> keras.Model:
        """The network that is validated, kept and exported."""
        return self._trainer.validated

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next step."""
        return float(self._trainer.optimizer.learning_rate)

    @property
    def is_chief(self) -> bool:
        """Whether this worker writes files and log."""
        return is_chief(self._strategy)

    @property
    def is_alone(self) -> bool:
        """Whether there is no other worker."""
        return num_workers(self._strategy) == 1

    def results(self) -> dict[str, float]:
        """Returns the loss and the Dice scores since the last reset, over all replicas."""
        return self._trainer.results()

    def state(self) -> dict[str, NDArray]:
        """Returns all that changes in training, by name; all workers have to ask at the same time."""
        return self._trainer.state()

    def train(self, batches: Input) -> Iterator[TrainingStep]:
        """Yields each step after it is done, without end."""
        distributed = self._strategy.distribute_datasets_from_function(batches)
        step = self._compile(self._train, distributed.element_spec)
        iterator = iter(distributed)
        while True:
            start = monotonic()
            batch = next(iterator)
            waited = monotonic() - start
            yield TrainingStep(float(step(batch)), waited, self._strategy.experimental_local_results(batch))

    def validate(self, batches: Input) -> dict[str, float]:
        """Returns loss and Dice over batches, the last of which may be smaller."""
        distributed = self._strategy.distribute_datasets_from_function(batches)
        step = self._compile(self._validate, distributed.element_spec)
        self._trainer.reset()
        for batch in distributed:
            step(batch)
        results = self._trainer.results()
        self._trainer.reset()
        return results

    def any_worker(self, *answers: bool) -> list[bool]:
        """Returns for each question whether any worker answers yes; all workers have to ask at the same time."""
        if self.is_alone:
            return list(answers)
        own = tf.constant(answers, tf.float32)
        local = self._strategy.run(lambda: tf.identity(own))
        return (self._strategy.reduce(tf.distribute.ReduceOp.SUM, local, axis=None) > 0).numpy().tolist()

    def _compile(self, step: Callable, spec: tf.TypeSpec) -> Callable:
        key = (step, spec)
        if key not in self._compiled:
            self._compiled[key] = tf.function(step, input_signature=[spec], autograph=False)
        return self._compiled[key]

    def _train(self, patches: TrainingPatches) -> tf.Tensor:
        trainer = self._trainer
        updates = trainer.optimizer.iterations.value + 0  # a copy, as the step counts itself
        losses = self._strategy.run(trainer.train_step, [patches])
        if trainer.average:
            trainer.average.update(updates)
        return self._strategy.reduce(tf.distribute.ReduceOp.SUM, losses, axis=None)

    def _validate(self, batch: tuple[tf.Tensor, tf.Tensor]) -> None:
        self._strategy.run(self._trainer.validate_step, batch)
