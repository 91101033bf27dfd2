"""A trainer's steps over all replicas."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import monotonic

import tensorflow as tf

from kits_tf.pipeline.augment import TrainingPatches
from kits_tf.training.strategy import num_workers
from kits_tf.training.trainer import Trainer

# Batches of a replica, by which of the input workers reads them.
Input = Callable[[tf.distribute.InputContext], tf.data.Dataset]


@dataclass(frozen=True)
class Step:
    """A step that is done.

    Attributes:
        loss: before it, over all replicas.
        waited: seconds until its batch was there.
        patches: the batches of this worker's replicas.
    """

    loss: float
    waited: float
    patches: tuple[TrainingPatches, ...]


class Loop:
    """Trains and validates over all replicas of a strategy, each step compiled once.

    No XLA: the warp has no use for it, and on a CPU a step takes several times as long with it.

    Args:
        trainer: built in the strategy's scope.
        strategy: of the run.
    """

    def __init__(self, trainer: Trainer, strategy: tf.distribute.Strategy) -> None:
        self.trainer, self.strategy = trainer, strategy
        self._compiled: dict[tuple[Callable, tf.TypeSpec], Callable] = {}

    def train(self, batches: Input) -> Iterator[Step]:
        """Yields each step after it is done, without end."""
        distributed = self.strategy.distribute_datasets_from_function(batches)
        step = self._compile(self._train, distributed.element_spec)
        iterator = iter(distributed)
        while True:
            start = monotonic()
            batch = next(iterator)
            waited = monotonic() - start
            yield Step(float(step(batch)), waited, self.strategy.experimental_local_results(batch))

    def validate(self, batches: Input) -> dict[str, float]:
        """Returns loss and Dice over batches, the last of which may be smaller."""
        distributed = self.strategy.distribute_datasets_from_function(batches)
        step = self._compile(self._validate, distributed.element_spec)
        self.trainer.reset()
        for batch in distributed:
            step(batch)
        results = self.trainer.results()
        self.trainer.reset()
        return results

    def wished(self, *wishes: bool) -> list[bool]:
        """Returns which wishes any worker has; all workers have to ask at the same time."""
        if num_workers(self.strategy) == 1:
            return list(wishes)
        own = tf.constant(wishes, tf.float32)
        found = self.strategy.run(lambda: tf.identity(own))
        return (self.strategy.reduce(tf.distribute.ReduceOp.SUM, found, axis=None) > 0).numpy().tolist()

    def _compile(self, step: Callable, spec: tf.TypeSpec) -> Callable:
        key = (step, spec)
        if key not in self._compiled:
            self._compiled[key] = tf.function(step, input_signature=[spec], autograph=False)
        return self._compiled[key]

    def _train(self, patches: TrainingPatches) -> tf.Tensor:
        trainer, updates = self.trainer, self.trainer.optimizer.iterations.value + 0
        losses = self.strategy.run(trainer.train_step, [patches])
        if trainer.average:
            trainer.average.update(updates)
        return self.strategy.reduce(tf.distribute.ReduceOp.SUM, losses, axis=None)

    def _validate(self, batch: tuple[tf.Tensor, tf.Tensor]) -> None:
        self.strategy.run(self.trainer.validate_step, batch)
