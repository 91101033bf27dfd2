from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from kits_tf.network.receptive_field import receptive_field
from kits_tf.network.unet.architecture import UNet

TINY = UNet(filters=(2, 3), dropout=0.0, norm="none")
NETWORKS = [
    TINY,
    replace(TINY, filters=(2, 3, 4), blocks=(1,), decoder_convolutions=(1,)),
    replace(TINY, residual=True, blocks=(1,), downsampling="stride", attention=True),
    replace(TINY, kernels_z=(1, 3), strides_z=(1,)),
]


def test_dilated_and_upsampled_by_hand() -> None:
    image = keras.Input((None, None, None, 1))
    x = keras.layers.Conv3D(1, 3, dilation_rate=(1, 2, 4), padding="same")(image)
    assert receptive_field(keras.Model(image, x), (1, 1, 1)) == (3, 5, 9)
    x = keras.layers.UpSampling3D((1, 2, 2))(keras.layers.MaxPooling3D((1, 2, 2))(x))
    assert receptive_field(keras.Model(image, x), (1, 2, 2)) == (3, 6, 10)


def test_by_hand() -> None:
    assert receptive_field(UNet(filters=(2,), blocks=(1,)).build(2), (1, 1, 1)) == (3, 3, 3)
    assert receptive_field(UNet(filters=(2,), blocks=(3,)).build(2), (1, 1, 1)) == (7, 7, 7)
    # The decoder's two convolutions look at 5 voxels, which come from 3 coarser ones. Two convolutions there make 7 of
    # these, which were pooled from 14 voxels; the encoder's two convolutions make 18 of them.
    assert receptive_field(TINY.build(2), (2, 2, 2)) == (18, 18, 18)


@pytest.mark.parametrize("unet", NETWORKS)
def test_is_where_the_gradient_is(unet: UNet) -> None:
    network = unet.build(2)
    for variable in network.weights:
        variable.assign(tf.abs(variable) + 0.05)  # nothing cancels
    stride, image = unet.total_stride(), tf.ones((1, 48, 48, 48, 1))
    widest = [0, 0, 0]
    for offset in range(max(stride)):
        z, y, x = (24 + offset % step for step in stride)
        with tf.GradientTape() as tape:
            tape.watch(image)
            voxel = network(image)[0, z, y, x, 0]
        seen = tape.gradient(voxel, image).numpy()[0, ..., 0] > 0
        for axis in range(3):
            along = np.flatnonzero(seen.any(axis=tuple({0, 1, 2} - {axis})))
            assert along[0] > 0 and along[-1] < 47  # the edge cuts nothing off
            widest[axis] = max(widest[axis], along[-1] - along[0] + 1)
    assert receptive_field(network, stride) == tuple(widest)
