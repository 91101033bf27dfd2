import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from kits_tf.base import devices
from kits_tf.base.errors import InputError
from kits_tf.config import OptimizationSettings
from kits_tf.training.optimizer import MovingAverage, Schedule, learning_rate_factor, make_optimizer


def rates(schedule: keras.optimizers.schedules.LearningRateSchedule, steps: int) -> list[float]:
    return [float(schedule(tf.constant(step, tf.int64))) for step in range(steps)]


def test_schedules_by_hand() -> None:
    assert rates(Schedule(0.5, "constant", 4), 6) == [0.5] * 6
    assert rates(Schedule(1.0, "constant", 6, 4), 6) == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    half = 0.5**0.9
    assert rates(Schedule(2.0, "polynomial", 6, 2), 8) == pytest.approx(
        [1, 2, 2, 2 * 0.75**0.9, 2 * half, 2 * 0.25**0.9, 0, 0]
    )
    assert rates(Schedule(2.0, "cosine", 4), 6) == pytest.approx([2, 1 + math.sqrt(0.5), 1, 1 - math.sqrt(0.5), 0, 0])


@pytest.mark.parametrize("warmup", [0, 5])
def test_schedules_are_those_of_keras(warmup: int) -> None:
    schedules = keras.optimizers.schedules
    cosine = schedules.CosineDecay(0.1, 20)
    polynomial = schedules.PolynomialDecay(0.1, 20, end_learning_rate=0, power=0.9)
    for decay, theirs in (("cosine", cosine), ("polynomial", polynomial)):
        ours = rates(Schedule(0.1, decay, 20 + warmup, warmup), 30)
        assert ours[warmup:] == pytest.approx(rates(theirs, 30 - warmup), abs=1e-8)


def test_a_schedule_is_saved_and_loaded() -> None:
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(Schedule(0.1, "cosine", 9, 3)))
    assert rates(again, 12) == rates(Schedule(0.1, "cosine", 9, 3), 12)


def after(settings: OptimizationSettings, gradients: list[float], replicas: int = 1) -> tuple[float, float]:
    """Returns a kernel and a bias, which start at 1, after steps with these gradients."""
    kernel, bias = (keras.Variable(1.0, name=name) for name in ("kernel", "bias"))
    optimizer = make_optimizer(settings, 2, replicas)
    for gradient in gradients:
        optimizer.apply([tf.constant(gradient)] * 2, [kernel, bias])
    return float(kernel), float(bias)


def test_optimizers_by_hand() -> None:
    # Adam's first step is the learning rate long, whatever the gradient.
    assert after(OptimizationSettings(learning_rate=0.1), [0.3]) == pytest.approx((0.9, 0.9), rel=1e-5)
    decayed = after(OptimizationSettings(learning_rate=0.1, weight_decay=0.5), [0.3])
    assert decayed == pytest.approx((1 - 0.1 * 0.5 - 0.1, 0.9), rel=1e-5)
    # Nesterov: v = m v - r g, w += m v - r g.
    sgd = OptimizationSettings(optimizer="sgd", learning_rate=0.1, momentum=0.9, learning_rate_schedule="constant")
    v1, v2 = -0.1 * 0.3, 0.9 * -0.1 * 0.3 - 0.1 * 0.2
    assert after(sgd, [0.3, 0.2])[0] == pytest.approx(1 + 0.9 * v1 - 0.03 + 0.9 * v2 - 0.02)


def test_the_learning_rate_follows_schedule_and_replicas() -> None:
    settings = OptimizationSettings(
        optimizer="sgd",
        momentum=0.0,
        learning_rate=0.1,
        learning_rate_schedule="constant",
        learning_rate_rule="square_root",
        epochs=4,
        warmup_epochs=1,
    )
    # Two steps an epoch, of which the first epoch warms up: 0.1, 0.2, 0.2 for four replicas.
    assert after(settings, [1.0], 4)[0] == pytest.approx(0.9)
    assert after(settings, [1.0, 1.0, 1.0], 4)[0] == pytest.approx(0.5)
    assert [learning_rate_factor(rule, 9) for rule in ("fixed", "linear", "square_root")] == [1, 9, 3]
    with pytest.raises(InputError, match="--warmup_epochs: expected fewer than --epochs=4, got 4"):
        OptimizationSettings(epochs=4, warmup_epochs=4)


def test_half_precision_scales_its_loss() -> None:
    with devices.layers_in("mixed_float16"):
        optimizer = make_optimizer(OptimizationSettings(optimizer="sgd", momentum=0.0, learning_rate=0.5), 1)
    kernel = keras.Variable(1.0)
    optimizer.build([kernel])
    scale = float(optimizer.scale_loss(1.0))
    assert scale > 1000
    optimizer.apply([tf.constant(0.5 * scale)], [kernel])
    assert float(kernel) == pytest.approx(0.75)
    optimizer.apply([tf.constant(np.inf)], [kernel])  # is left out, and the scale is halved
    assert float(kernel) == pytest.approx(0.75) and float(optimizer.scale_loss(1.0)) == scale / 2
    assert float(optimizer.iterations) == 1


def test_the_moving_average_by_hand() -> None:
    source, average = (keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)]) for _ in range(2))
    source.set_weights([np.array([[10.0]]), np.zeros(1)])
    moving = MovingAverage(source, average, 0.2)
    assert average.get_weights()[0] == 10
    source.set_weights([np.array([[20.0]]), np.ones(1)])
    moving.update(tf.constant(0))  # d = min(0.2, 1/10)
    assert average.get_weights() == [pytest.approx(19), pytest.approx(0.9)]
    moving.update(tf.constant(100))  # d = min(0.2, 101/110)
    assert average.get_weights() == [pytest.approx(19.8), pytest.approx(0.98)]


def test_the_moving_average_copies_statistics() -> None:
    source, average = (keras.Sequential([keras.Input((1,)), keras.layers.BatchNormalization()]) for _ in range(2))
    moving = MovingAverage(source, average, 0.999)
    source.set_weights([np.array([value]) for value in (2.0, 3.0, 4.0, 5.0)])  # gamma, beta, mean, variance
    moving.update(tf.constant(10**6))
    assert [float(weight[0]) for weight in average.get_weights()] == pytest.approx([1.001, 0.003, 4, 5], rel=1e-4)
