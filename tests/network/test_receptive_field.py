from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from kits_tf.network.architecture import Architecture
from kits_tf.network.receptive_field import receptive_field
from kits_tf.network.unet import build_unet

TINY = Architecture(filters=(2, 3), dropout=0.0, activation="elu", norm="none")
NETWORKS = [
    TINY,
    replace(TINY, filters=(2, 3, 4), blocks=(1,), decoder_convolutions=(1,)),
    replace(TINY, residual=True, blocks=(1,), downsampling="stride", attention=True),
    replace(TINY, kernels_z=(1, 3), strides_z=(1,), upsampling="nearest"),
]


def test_by_hand() -> None:
    assert receptive_field(build_unet(Architecture(filters=(2,), blocks=(1,)), 2), (1, 1, 1)) == (3, 3, 3)
    assert receptive_field(build_unet(Architecture(filters=(2,), blocks=(3,)), 2), (1, 1, 1)) == (7, 7, 7)
    # The decoder's two convolutions look at 5 voxels, which come from 3 coarser ones. Two convolutions there make 7 of
    # these, which were pooled from 14 voxels; the encoder's two convolutions make 18 of them.
    assert receptive_field(build_unet(TINY, 2), (2, 2, 2)) == (18, 18, 18)


@pytest.mark.parametrize("made_of", NETWORKS)
def test_is_where_the_gradient_is(made_of: Architecture) -> None:
    network = build_unet(made_of, 2)
    for variable in network.weights:
        variable.assign(tf.abs(variable) + 0.05)  # nothing cancels
    stride, image = made_of.total_stride(), tf.ones((1, 48, 48, 48, 1))
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
