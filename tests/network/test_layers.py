"""Layers of our own beside Keras'."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kits_tf.network.layers import BatchNormalization3D

SHAPE = (2, 4, 3, 5, 6)


def _pair() -> tuple[BatchNormalization3D, keras.layers.BatchNormalization]:
    """Returns our layer and Keras', with the same weights, none of them as they start."""
    pair = [kind(momentum=0.9) for kind in (BatchNormalization3D, keras.layers.BatchNormalization)]
    rng = np.random.default_rng(5)
    weights = [rng.uniform(0.5, 2, SHAPE[-1]).astype(np.float32) for _ in range(4)]
    for layer in pair:
        layer.build((None, None, None, None, SHAPE[-1]))
        layer.set_weights(weights)
    return pair[0], pair[1]


def _volume(seed: int = 0) -> tf.Tensor:
    return tf.constant(np.random.default_rng(seed).normal(3, 2, SHAPE), tf.float32)


@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_and_its_gradients_are_keras(training: bool) -> None:
    x, upstream = _volume(), _volume(1)
    found = []
    for layer in _pair():
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, training=training)
        wanted = [x, *(variable.value for variable in layer.trainable_variables)]
        found.append([y, *tape.gradient(y, wanted, output_gradients=upstream)])
    for ours, keras_own in zip(*found, strict=True):
        np.testing.assert_allclose(ours, keras_own, rtol=1e-4, atol=1e-4)


def test_moving_statistics_are_kept_as_keras_keeps_them() -> None:
    ours, keras_own = _pair()
    before = ours.get_weights()
    for layer in (ours, keras_own):
        layer(_volume(), training=True)
    for now, wanted in zip(ours.get_weights(), keras_own.get_weights(), strict=True):
        np.testing.assert_allclose(now, wanted, rtol=1e-5)
    voxels = _volume().numpy().reshape(-1, SHAPE[-1])
    np.testing.assert_allclose(ours.moving_variance, 0.9 * before[3] + 0.1 * voxels.var(0), rtol=1e-5)


def test_a_frozen_layer_uses_its_moving_statistics_and_keeps_them() -> None:
    ours, keras_own = _pair()
    ours.trainable = keras_own.trainable = False
    before = [w.copy() for w in ours.get_weights()]
    np.testing.assert_allclose(
        ours(_volume(), training=True), keras_own(_volume(), training=True), rtol=1e-4, atol=1e-5
    )
    for now, then in zip(ours.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_a_large_mean_does_not_spoil_the_variance() -> None:
    layer = BatchNormalization3D()
    x = _volume() / 2 + 1000.0
    y = layer(x, training=True).numpy().reshape(-1, SHAPE[-1])
    np.testing.assert_allclose(y.mean(0), 0, atol=1e-2)
    np.testing.assert_allclose(y.std(0), 1, rtol=1e-2)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision_stays_and_has_its_statistics_in_float32(precision: str) -> None:
    layer = BatchNormalization3D(momentum=0.0)
    x = tf.cast(_volume(), precision)
    y = layer(x, training=True)
    voxels = tf.cast(x, tf.float32).numpy().reshape(-1, SHAPE[-1])
    assert y.dtype == precision and layer.gamma.dtype == "float32"
    np.testing.assert_allclose(layer.moving_mean, voxels.mean(0), rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance, voxels.var(0), rtol=1e-4)
    wanted = (voxels - voxels.mean(0)) / np.sqrt(voxels.var(0) + layer.epsilon)
    np.testing.assert_allclose(tf.cast(y, tf.float32).numpy().reshape(-1, SHAPE[-1]), wanted, rtol=0.02, atol=0.02)
    synchronized = BatchNormalization3D(synchronized=True)(x, training=True)
    assert synchronized.dtype == precision
    np.testing.assert_allclose(tf.cast(synchronized, tf.float32), tf.cast(y, tf.float32), atol=0.05)
