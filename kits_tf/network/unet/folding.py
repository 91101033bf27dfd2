"""Batch norm as part of the convolutions, for inference."""

from dataclasses import replace

import keras
import numpy as np
from numpy.typing import NDArray

from kits_tf.network.unet.building import build_unet
from kits_tf.network.unet.structure import UNetStructure


def fold_batch_norm(network: keras.Model, structure: UNetStructure) -> keras.Model:
    """Returns a network that gives the same logits in inference, without batch norms.

    A batch norm multiplies each feature map by gamma / sqrt(variance + epsilon) and adds what is left; so can the
    kernel and the bias of the convolution before it. Other norms depend on the image: a network of those is returned
    as it is.
    """
    if structure.norm != "batch":
        return network
    folded = build_unet(replace(structure, norm="none"), network.output.shape[-1])
    for layer in folded.layers:
        if layer.weights:
            layer.set_weights(_folded_weights(network, layer.name))
    return folded


def _folded_weights(network: keras.Model, name: str) -> list[NDArray[np.float32]]:
    """Returns the weights of a layer, and of the norm behind it if there is one."""
    weights = network.get_layer(name).get_weights()
    if not name.endswith("_conv"):
        return weights
    norm = network.get_layer(f"{name.removesuffix('_conv')}_norm")
    gamma, beta, mean, variance = norm.get_weights()
    scale = gamma / np.sqrt(variance + norm.epsilon)
    (kernel,) = weights
    return [kernel * scale, beta - mean * scale]
