"""The training step: augmentation and normalization on the device around the network."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import keras
import tensorflow as tf
from numpy.typing import NDArray

from kits_tf.base.errors import InputError
from kits_tf.config import LossSettings, OptimizationSettings, RunSettings
from kits_tf.config.choices import LOSSES
from kits_tf.ct.labels import Scheme
from kits_tf.ct.preprocess import normalize
from kits_tf.network.architecture import Architecture
from kits_tf.network.deep_supervision import DeepSupervision
from kits_tf.network.metrics import StreamingDice
from kits_tf.network.weighting import ClassBalance
from kits_tf.pipeline import augment
from kits_tf.pipeline.recipe import PatchRecipe
from kits_tf.training.optimizer import MovingAverage, make_optimizer


@dataclass(frozen=True, kw_only=True)
class TrainerSettings:
    """The settings of a run that its trainer needs.

    Attributes:
        objective: settings of the loss.
        optimization: settings of the steps.
        recipe: recipe of the training patches.
        steps_per_epoch: number of steps of an epoch, for the learning rate's schedule.
    """

    objective: LossSettings = field(default_factory=LossSettings)
    optimization: OptimizationSettings = field(default_factory=OptimizationSettings)
    recipe: PatchRecipe = field(default_factory=PatchRecipe)
    steps_per_epoch: int = 1

    @classmethod
    def of_run(cls, settings: RunSettings, steps_per_epoch: int = 1) -> "TrainerSettings":
        """Returns the settings of a run's trainer."""
        return cls(
            objective=settings.objective,
            optimization=settings.optimization,
            recipe=PatchRecipe.from_settings(settings),
            steps_per_epoch=steps_per_epoch,
        )


class Trainer:
    """Trains a network on `augment.TrainingPatches`, and validates it on pairs of int16 HU and uint8 labels.

    A step here is that of one replica, with its part of a batch; `ReplicatedTrainer` runs it on all of them.

    Args:
        network: network from normalized patches to logits.
        architecture: architecture of the network.
        settings: settings of the trainer.
        scheme: scheme of the labels.
        class_weights: weights of the cross-entropy, background first.
    """

    def __init__(
        self,
        network: keras.Model,
        architecture: Architecture,
        settings: TrainerSettings,
        scheme: Scheme,
        class_weights: tuple[float, ...],
    ) -> None:
        self.network = network
        self.settings = settings
        self.class_weights = class_weights
        self.mirrored_labels = scheme.mirrored
        self.objective: keras.losses.Loss = LOSSES[settings.objective.loss](settings.objective, class_weights)
        self.supervised = architecture.with_heads(network)
        if settings.optimization.rematerialize:
            self.supervised = architecture.rematerialized(self.supervised)
        self.supervision = DeepSupervision(self.objective, architecture.supervised_strides())
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        self.optimizer = make_optimizer(settings.optimization, settings.steps_per_epoch, replicas)
        self.optimizer.build(self.supervised.trainable_variables)
        self.average: MovingAverage | None = None
        if settings.optimization.average_decay:
            follower = architecture.build(len(scheme.classes))
            self.average = MovingAverage(network, follower, settings.optimization.average_decay)
        self.mean_loss = keras.metrics.Mean(name="loss")
        self.dice = StreamingDice(scheme)

    @property
    def validated(self) -> keras.Model:
        """The network that is validated, kept and exported: the moving average where there is one."""
        return self.average.network if self.average else self.network

    def train_step(self, patches: augment.TrainingPatches) -> tf.Tensor:
        """Augments a batch and takes one step of the optimizer; returns this replica's part of the loss before it."""
        return self.learn(*self.prepare(patches))

    def learn(self, image: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """Takes one step of the optimizer on normalized patches, and returns this replica's part of the loss."""
        parts = self.settings.optimization.accumulated_batches
        losses: list[tf.Tensor] = []
        gradients: list[tf.Tensor] = []
        for part in range(parts):
            part_image = image[part::parts]
            if gradients:  # one after the other, or the memory would be that of all
                with tf.control_dependencies(gradients):
                    part_image = tf.identity(part_image)
            loss, own = self.gradients(part_image, labels[part::parts])
            losses.append(loss)
            gradients = [total + more for total, more in zip(gradients, own, strict=True)] if gradients else own
        self._apply([gradient / parts for gradient in gradients] if parts > 1 else gradients)
        return tf.add_n(losses) / parts

    def gradients(self, image: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """Returns this replica's part of the loss, and its gradients, multiplied by the optimizer's scale of losses."""
        with tf.GradientTape() as tape:
            # A model of one output gives a tensor, not a list.
            logits = keras.tree.flatten(self.supervised(image[..., None], training=True))
            loss = self.supervision(labels, logits)
            scaled = self.optimizer.scale_loss(loss)
        self._observe(loss, labels, logits[0])
        return loss, tape.gradient(scaled, self.supervised.trainable_variables)

    def validate_step(self, hu: tf.Tensor, labels: tf.Tensor) -> None:
        """Scores a batch, which may be empty."""
        count = tf.shape(hu)[0]
        # Of an epoch's last batch a replica may get nothing, which convolutions refuse: a blank that is not counted.
        hu, labels = (tf.pad(part, [[0, tf.maximum(1 - count, 0)], [0, 0], [0, 0], [0, 0]]) for part in (hu, labels))
        image = normalize(hu, self.settings.recipe.intensity)
        logits = self.validated(image[..., None], training=False)
        self._observe(self.objective(labels, logits), labels[:count], logits[:count])

    def prepare(self, patches: augment.TrainingPatches) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns augmented, normalized images (batch, z, y, x) float32, and labels (batch, z, y, x) uint8."""
        return augment.augment_batch(patches, self.settings.recipe, self.mirrored_labels)

    @property
    def variables(self) -> list[keras.Variable]:
        """All that changes in training."""
        return list(self._changing().values())

    def results(self) -> dict[str, float]:
        """Returns the loss and the Dice scores since the last reset, over all replicas."""
        scores = {name: float(score) for name, score in self.dice.result().items()}
        return {"loss": float(self.mean_loss.result())} | scores

    def reset(self) -> None:
        """Forgets what metrics have seen."""
        self.mean_loss.reset_state()
        self.dice.reset_state()

    def state(self) -> dict[str, NDArray]:
        """Returns all that changes in training, by name."""
        return {name: variable.numpy() for name, variable in self._changing().items()}

    def restore(self, state: Mapping[str, NDArray]) -> None:
        """Sets what `state` returned, in the strategy's scope.

        Raises:
            InputError: it is another network's or another optimizer's.
        """
        expected = {name: tuple(variable.shape) for name, variable in self._changing().items()}
        shapes = {name: value.shape for name, value in state.items()}
        if expected != shapes:
            name = next(name for name in [*expected, *shapes] if expected.get(name) != shapes.get(name))
            raise InputError(f"checkpoint: expected {name} of shape {expected.get(name)}, found {shapes.get(name)}")
        for name, variable in self._lasting().items():
            variable.assign(state[name])

        def count() -> None:
            # Each replica counts for itself; the first one gets the counts of all.
            first = tf.distribute.get_replica_context().replica_id_in_sync_group == 0
            for name, variable in self._counted().items():
                variable.assign(tf.where(first, state[name], tf.zeros_like(state[name])))

        tf.distribute.get_strategy().run(count)

    def _apply(self, gradients: list[tf.Tensor]) -> None:
        longest = self.settings.optimization.clip_norm
        scaled = isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer)
        if longest or scaled:
            # Their length, and whether they are finite, is a matter of all replicas. The optimizer adds them up again.
            context = tf.distribute.get_replica_context()
            gradients = context.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
            if longest:
                gradients, _ = tf.clip_by_global_norm(gradients, self.optimizer.scale_loss(longest))
            gradients = [gradient / context.num_replicas_in_sync for gradient in gradients]
        self.optimizer.apply(gradients, self.supervised.trainable_variables)

    def _observe(self, loss: tf.Tensor, labels: tf.Tensor, logits: tf.Tensor) -> None:
        # Keras divides a loss by the replicas, so that summed gradients are those of the mean.
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        self.mean_loss.update_state(loss * replicas, sample_weight=tf.shape(labels)[0])
        self.dice.update_state(labels, logits)

    def _changing(self) -> dict[str, keras.Variable]:
        return self._lasting() | self._counted()

    def _lasting(self) -> dict[str, keras.Variable]:
        """Returns variables that are the same on all replicas."""
        groups = {"network": self.supervised.variables, "optimizer": self.optimizer.variables}
        if self.average:
            groups["average"] = self.average.network.weights
        return _numbered(groups)

    def _counted(self) -> dict[str, keras.Variable]:
        """Returns variables of which each replica has its own, and which add up."""
        return _numbered({"metrics": [*self.mean_loss.variables, *self.dice.variables]})


def build_trainer(
    architecture: Architecture,
    settings: TrainerSettings,
    scheme: Scheme,
    balance: ClassBalance,
    synchronized: bool = False,
) -> Trainer:
    """Returns a trainer of a new network; call it within the strategy's scope.

    Args:
        architecture: architecture of the network.
        settings: settings of the trainer.
        scheme: scheme of the labels.
        balance: weights and shares of the classes.
        synchronized: whether batch norm is over all replicas.
    """
    network = architecture.build(len(scheme.classes), synchronized, balance.shares)
    return Trainer(network, architecture, settings, scheme, balance.weights)


def _numbered(groups: Mapping[str, list[keras.Variable]]) -> dict[str, keras.Variable]:
    # Keras numbers layers through a whole process; the order within a network is always the same.
    return {
        f"{group}/{index:04}/{variable.path.rpartition('/')[2]}": variable
        for group, variables in groups.items()
        for index, variable in enumerate(variables)
    }
