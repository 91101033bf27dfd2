from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from kits_tf.base.errors import InputError
from kits_tf.network.cost import trace_cost
from kits_tf.network.unet.architecture import UNet

TINY = UNet(filters=(2, 3, 4), norm="instance", deep_supervision=True, dropout=0.0)
IMAGE = tf.constant(np.random.default_rng(0).normal(size=(1, 8, 8, 8, 1)), tf.float32)
NETWORKS = [
    TINY,
    replace(TINY, filters=(2,)),
    replace(TINY, blocks=(0, 1, 1), decoder_convolutions=(1, 2)),
    replace(TINY, residual=True, attention=True, downsampling="stride", deep_supervision=False),
]


def outputs_and_gradients(model: keras.Model, variables: list[keras.Variable]) -> tuple[list, list]:
    @tf.function
    def compute(image: tf.Tensor) -> tuple[list, list]:
        with tf.GradientTape() as tape:
            outputs = keras.tree.flatten(model(image, training=True))
            loss = tf.add_n([tf.reduce_mean(tf.square(output[..., 0] - 1)) for output in outputs])
        return outputs, tape.gradient(loss, variables)

    return compute(IMAGE)


@pytest.mark.parametrize("unet", NETWORKS)
def test_outputs_and_gradients_are_the_same(unet: UNet) -> None:
    plain = unet.with_heads(unet.build(3))
    again = unet.rematerialized(plain)
    variables = plain.trainable_variables
    assert {id(variable) for variable in again.trainable_variables} == {id(variable) for variable in variables}
    np.testing.assert_array_equal(keras.tree.flatten(again(IMAGE))[0], keras.tree.flatten(plain(IMAGE))[0])
    for ours, theirs in zip(
        outputs_and_gradients(again, variables), outputs_and_gradients(plain, variables), strict=True
    ):
        for value, wanted in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(value, wanted, atol=1e-6)


def test_gradients_are_of_the_feature_maps_that_dropout_left() -> None:
    unet = replace(TINY, filters=(16, 16), dropout=0.5, norm="none", activation="leaky_relu", deep_supervision=False)
    plain = unet.with_heads(unet.build(2))
    kernels = [plain.get_layer(name).kernel for name in ("decoder0_up", "bottom_2_conv")]
    _, (of_up, of_level) = outputs_and_gradients(unet.rematerialized(plain), kernels)
    # The gradient of what follows the bottom is of what was dropped at first, the bottom's of what is dropped again.
    dropped = (of_up.numpy() == 0).all(axis=(0, 1, 2, 3))
    assert 0 < dropped.sum() < 16
    np.testing.assert_array_equal((of_level.numpy() == 0).all(axis=(0, 1, 2, 3)), dropped)


def test_takes_less_memory_and_one_more_pass() -> None:
    unet = replace(TINY, filters=(8, 16, 32), deep_supervision=False)
    plain = unet.with_heads(unet.build(3))
    costs = []
    for model in (plain, unet.rematerialized(plain)):
        costs.append(trace_cost(lambda x, m=model: gradients(m, x), tf.TensorSpec((1, 32, 32, 32, 1))))
    inference = trace_cost(plain, tf.TensorSpec((1, 32, 32, 32, 1)))
    head = 2 * 32**3 * 8 * 3  # stands after the last level
    of_image = 2 * 32**3 * 27 * 8  # a gradient that nobody needs
    assert costs[1].flops == costs[0].flops + inference.flops - head + of_image
    assert costs[1].peak_bytes < 0.8 * costs[0].peak_bytes


def gradients(model: keras.Model, image: tf.Tensor) -> list:
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(model(image, training=True)))
    return tape.gradient(loss, model.trainable_variables)


def test_batch_norm_is_refused() -> None:
    batch = replace(TINY, norm="batch")
    with pytest.raises(InputError, match="--rematerialize: expected --norm=instance or none"):
        batch.check_training((8, 8, 8), rematerialize=True)
    batch.check_training((8, 8, 8), rematerialize=False)
    TINY.check_training((8, 8, 8), rematerialize=True)
