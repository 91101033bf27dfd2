"""The optimizer, its learning rate over time, and the moving average of weights."""

import math
from collections.abc import Callable

import keras
import tensorflow as tf

from kits_tf.config import OptimizationSettings

# Share of the rate that is left after a share p of the steps behind warm-up; the exponent is nnU-Net's.
_DECAYS: dict[str, Callable[[tf.Tensor], tf.Tensor]] = {
    "constant": tf.ones_like,
    "cosine": lambda p: (1 + tf.cos(math.pi * p)) / 2,
    "polynomial": lambda p: (1 - p) ** 0.9,
}


@keras.saving.register_keras_serializable("kits_tf")
class Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """Learning rate by step: a line up from 0, then what the decay leaves.

    Keras' own schedules begin a warm-up with a rate of 0, which wastes the first step, or have none.

    Of s steps with w of warm-up, step t (from 0) has rate * (t + 1) / w while t < w, and from then on
    rate * decay((t - w) / (s - w)); decay(p) is 1 (constant), (1 + cos(pi p)) / 2 (cosine; Loshchilov and Hutter 2017)
    or (1 - p)^0.9 (polynomial; nnU-Net). After the last step it stays.

    Args:
        rate: highest learning rate.
        decay: constant, cosine or polynomial.
        steps: number of steps of the whole run, warm-up included.
        warmup_steps: number of steps of warm-up, fewer than `steps`.
    """

    def __init__(self, rate: float, decay: str, steps: int, warmup_steps: int = 0) -> None:
        self.rate = rate
        self.decay = decay
        self.steps = steps
        self.warmup_steps = warmup_steps

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        """Returns the learning rate of a step, a float32 scalar."""
        t, warmup = tf.cast(step, tf.float32), float(self.warmup_steps)
        behind = tf.clip_by_value((t - warmup) / (self.steps - warmup), 0.0, 1.0)
        return self.rate * tf.where(t < warmup, (t + 1) / max(warmup, 1.0), _DECAYS[self.decay](behind))

    def get_config(self) -> dict:
        """Returns the arguments."""
        return {"rate": self.rate, "decay": self.decay, "steps": self.steps, "warmup_steps": self.warmup_steps}


def make_optimizer(
    settings: OptimizationSettings, steps_per_epoch: int, replicas: int = 1
) -> keras.optimizers.Optimizer:
    """Returns the optimizer of a run; under mixed_float16 it scales losses, lest gradients vanish.

    Weight decay is decoupled (Loshchilov and Hutter 2019: Adam with it is AdamW) and spares biases and norms.

    Args:
        settings: settings of the optimization.
        steps_per_epoch: number of steps of an epoch.
        replicas: number of replicas that share a step; --learning_rate_rule says how the rate grows with them.
    """
    rate = Schedule(
        settings.learning_rate * learning_rate_factor(settings.learning_rate_rule, replicas),
        settings.learning_rate_schedule,
        settings.epochs * steps_per_epoch,
        round(settings.warmup_epochs * steps_per_epoch),
    )
    decay = settings.weight_decay or None
    if settings.optimizer == "sgd":
        optimizer = keras.optimizers.SGD(rate, momentum=settings.momentum, nesterov=True, weight_decay=decay)
    else:
        optimizer = keras.optimizers.Adam(rate, weight_decay=decay)
    if decay:
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    if keras.config.dtype_policy().name == "mixed_float16":
        return keras.optimizers.LossScaleOptimizer(optimizer)
    return optimizer


def learning_rate_factor(rule: str, replicas: int) -> float:
    """Returns the factor of --learning_rate: 1 (fixed), the number of replicas (linear), or its square root."""
    return {"fixed": 1.0, "linear": float(replicas), "square_root": math.sqrt(replicas)}[rule]


class MovingAverage:
    """An exponential moving average of a network's weights, as a network of its own.

    Update t (from 0) is average += (1 - d) * (weight - average) with d = min(decay, (1 + t) / (10 + t)), so that the
    first weights are soon forgotten, as in tf.train.ExponentialMovingAverage. Statistics of batch norm, which are
    averages already, are copied.

    Args:
        source: network whose weights are averaged.
        network: network of the same architecture; its weights become those of `source`, then their average.
        decay: share of the average that an update keeps, 0 to 1.
    """

    def __init__(self, source: keras.Model, network: keras.Model, decay: float) -> None:
        self.source = source
        self.network = network
        self.decay = decay
        for average, weight in zip(network.weights, source.weights, strict=True):
            average.assign(weight)

    def update(self, updates: tf.Tensor) -> None:
        """Moves the average, in the cross-replica context.

        Args:
            updates: number of updates before this one, a scalar.
        """
        t = tf.cast(updates, tf.float32)
        kept = tf.minimum(self.decay, (1 + t) / (10 + t))
        extended = tf.distribute.get_strategy().extended
        for average, weight in zip(self.network.weights, self.source.weights, strict=True):
            extended.update(average.value, _approach, args=(weight.value, kept if weight.trainable else 0.0))


def _approach(average: tf.Variable, weight: tf.Tensor, kept: tf.Tensor) -> tf.Operation:
    return average.assign_add((1 - kept) * (weight - average))
