from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from kits_tf.network.unet.architecture import UNet

TINY = UNet(filters=(3, 4, 5))
IMAGE = tf.constant(np.random.default_rng(0).normal(2, 3, (1, 8, 8, 8, 1)), tf.float32)


@pytest.mark.parametrize("unet", [TINY, replace(TINY, residual=True, attention=True, downsampling="stride")])
def test_logits_are_the_same_without_batch_norms(unet: UNet) -> None:
    network, rng = unet.build(3, class_shares=(5, 2, 1)), np.random.default_rng(1)
    for variable in network.weights:
        if variable.ndim == 1:  # of norms, whose numbers are special at first, and biases
            variable.assign(rng.uniform(0.5, 2, variable.shape))
    folded = unet.folded(network)
    assert not [layer.name for layer in folded.layers if "norm" in layer.name]
    assert len(folded.layers) < len(network.layers)
    logits = network(IMAGE).numpy()
    np.testing.assert_allclose(folded(IMAGE), logits, rtol=1e-4, atol=1e-4 * logits.std())


def test_other_norms_stay() -> None:
    unet = replace(TINY, norm="instance")
    network = unet.build(3)
    assert unet.folded(network) is network
