"""The 3-D U-Net as a Keras functional model.

Çiçek et al., "3D U-Net: learning dense volumetric segmentation from sparse annotation", MICCAI 2016.
"""

import functools
import math
from collections.abc import Callable, Sequence

import keras
import numpy as np
from keras import layers

from kits_tf.ct.geometry import Triple
from kits_tf.network.architecture import Architecture
from kits_tf.network.layers import BatchNormalization3D

# Of group norm, unless the filters are fewer or no multiple.
GROUPS = 8
ACTIVATIONS: dict[str, Callable[..., layers.Layer]] = {
    "relu": layers.ReLU,
    "leaky_relu": functools.partial(layers.LeakyReLU, negative_slope=0.01),
    "elu": layers.ELU,
    "silu": functools.partial(layers.Activation, "silu"),
}


def build_unet(
    architecture: Architecture,
    num_classes: int,
    synchronized: bool = False,
    class_shares: Sequence[float] | None = None,
) -> keras.Model:
    """Returns a network from (batch, z, y, x, 1) float to logits (batch, z, y, x, num_classes) float32.

    Any spatial size is taken that `architecture.total_stride()` divides.

    Args:
        architecture: what it is made of.
        num_classes: classes including background.
        synchronized: batch norm over all replicas rather than within each.
        class_shares: share of each class, not negative; the last bias starts at their logarithm, so that an untrained
            network finds each class so often. By default all alike.
    """
    parts = _Parts(architecture, synchronized)
    filters, strides, kernels = architecture.filters, architecture.strides(), architecture.kernels()
    image = x = keras.Input((None, None, None, 1), name="image")
    if architecture.residual:
        x = parts.convolution(x, filters[0], kernels[0], "stem")
    skips = []
    for level, blocks in enumerate(architecture.level_blocks()):
        name = "bottom" if level == architecture.levels - 1 else f"encoder{level}"
        step = (1, 1, 1) if level == 0 else strides[level - 1]
        x = parts.encode(x, filters[level], blocks, kernels[level], step, name)
        skips.append(x)
    convolutions = architecture.level_decoder_convolutions()
    for level in reversed(range(architecture.levels - 1)):
        name = f"decoder{level}"
        x = parts.decode(x, skips[level], filters[level], convolutions[level], kernels[level], strides[level], name)
    bias = keras.initializers.Constant(_log_shares(class_shares or [1.0] * num_classes))
    logits = layers.Conv3D(num_classes, 1, bias_initializer=bias, dtype="float32", name="logits")(x)
    return keras.Model(image, logits, name="unet3d")


def add_heads(network: keras.Model, architecture: Architecture) -> keras.Model:
    """Returns a model of the same layers, for training: it gives logits of each of `architecture.supervised_levels()`.

    The heads of the coarser levels are not in the network.
    """
    classes = network.output.shape[-1]
    outputs = [network.output]
    for level in architecture.supervised_levels()[1:]:
        head = layers.Conv3D(classes, 1, dtype="float32", name=f"head{level}")
        outputs.append(head(network.get_layer(f"decoder{level}_dropout").output))
    return keras.Model(network.input, outputs, name="supervised")


def _log_shares(shares: Sequence[float]) -> list[float]:
    """Returns logits whose softmax are the shares; one in a million stands for less."""
    found = np.maximum(shares, 1e-6 * np.sum(shares))
    return np.log(found / found.mean()).tolist()


class _Parts:
    """The layers that all levels are made of."""

    def __init__(self, architecture: Architecture, synchronized: bool) -> None:
        self.architecture = architecture
        self.synchronized = synchronized

    def encode(
        self, x: keras.KerasTensor, filters: int, blocks: int, kernel: Triple, step: Triple, name: str
    ) -> keras.KerasTensor:
        """Returns a level of the encoder, `step` voxels of the one before it for each of its own."""
        if self.architecture.downsampling == "pool" and max(step) > 1:
            x, step = layers.MaxPooling3D(step, name=f"{name}_pool")(x), (1, 1, 1)
        block = self.residual_block if self.architecture.residual else self.convolution
        for i in range(blocks):
            x = block(x, filters, kernel, f"{name}_{i + 1}", step if i == 0 else (1, 1, 1))
        return self.dropout(x, name)

    def decode(
        self,
        x: keras.KerasTensor,
        skip: keras.KerasTensor,
        filters: int,
        convolutions: int,
        kernel: Triple,
        step: Triple,
        name: str,
    ) -> keras.KerasTensor:
        """Returns a level of the decoder, from the one below it and the encoder's."""
        if self.architecture.upsampling == "transposed":
            x = layers.Conv3DTranspose(filters, step, strides=step, name=f"{name}_up")(x)
        else:  # the convolution first: it has fewer voxels there
            x = layers.Conv3D(filters, 1, name=f"{name}_up")(x)
            x = layers.UpSampling3D(step, name=f"{name}_nearest")(x)
        if self.architecture.attention:
            skip = self.gate(skip, x, filters, f"{name}_gate")
        x = layers.Concatenate(name=f"{name}_skip")([skip, x])
        for i in range(convolutions):
            x = self.convolution(x, filters, kernel, f"{name}_{i + 1}")
        return self.dropout(x, name)

    def convolution(
        self, x: keras.KerasTensor, filters: int, kernel: Triple, name: str, step: Triple = (1, 1, 1)
    ) -> keras.KerasTensor:
        """Returns a convolution, norm and activation."""
        return self.activation(self.normalized(x, filters, kernel, name, step), name)

    def residual_block(
        self, x: keras.KerasTensor, filters: int, kernel: Triple, name: str, step: Triple = (1, 1, 1)
    ) -> keras.KerasTensor:
        """Returns the activation of two convolutions plus what they were given: averaged and projected where needed.

        He et al. 2016, "Deep residual learning for image recognition", CVPR; the average is nnU-Net's.
        """
        found = self.convolution(x, filters, kernel, f"{name}a", step)
        found = self.normalized(found, filters, kernel, f"{name}b")
        if max(step) > 1:
            x = layers.AveragePooling3D(step, name=f"{name}_average")(x)
        if x.shape[-1] != filters:
            x = self.normalized(x, filters, (1, 1, 1), f"{name}_project")
        return self.activation(layers.Add(name=f"{name}_add")([found, x]), name)

    def gate(self, skip: keras.KerasTensor, signal: keras.KerasTensor, filters: int, name: str) -> keras.KerasTensor:
        """Returns the skip connection times a share between 0 and 1 of each voxel, which the coarser levels decide.

        Oktay et al. 2018, "Attention U-Net", MIDL, with the signal at the skip connection's resolution.
        """
        inner = max(filters // 2, 1)
        both = [layers.Conv3D(inner, 1, name=f"{name}_{of}")(x) for of, x in (("skip", skip), ("signal", signal))]
        share = layers.ReLU(name=f"{name}_relu")(layers.Add(name=f"{name}_add")(both))
        share = layers.Conv3D(1, 1, activation="sigmoid", name=f"{name}_share")(share)
        return layers.Multiply(name=f"{name}_times")([skip, share])

    def normalized(
        self, x: keras.KerasTensor, filters: int, kernel: Triple, name: str, step: Triple = (1, 1, 1)
    ) -> keras.KerasTensor:
        """Returns a convolution and norm; a norm has no use for a bias before it."""
        without = self.architecture.norm == "none"
        x = layers.Conv3D(filters, kernel, step, padding="same", use_bias=without, name=f"{name}_conv")(x)
        return x if without else self.norm(filters, f"{name}_norm")(x)

    def norm(self, filters: int, name: str) -> layers.Layer:
        """Returns the layer, which has its statistics in float32 under any precision."""
        if self.architecture.norm == "batch":
            momentum = self.architecture.norm_momentum
            return BatchNormalization3D(momentum=momentum, synchronized=self.synchronized, name=name)
        groups = filters if self.architecture.norm == "instance" else math.gcd(GROUPS, filters)
        return layers.GroupNormalization(groups, epsilon=1e-5, dtype="float32", name=name)

    def activation(self, x: keras.KerasTensor, name: str) -> keras.KerasTensor:
        """Returns the activation of a tensor."""
        kind = self.architecture.activation
        return ACTIVATIONS[kind](name=f"{name}_{kind}")(x)

    def dropout(self, x: keras.KerasTensor, name: str) -> keras.KerasTensor:
        """Returns the tensor with whole feature maps dropped in training."""
        return layers.SpatialDropout3D(self.architecture.dropout, name=f"{name}_dropout")(x)
