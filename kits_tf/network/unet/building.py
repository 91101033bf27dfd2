"""The 3-D U-Net as a Keras functional model.

Çiçek et al., "3D U-Net: learning dense volumetric segmentation from sparse annotation", MICCAI 2016.

Names of layers are a contract with files of weights, with `folding` and with `rematerialization`; nothing outside of
this package may know them. A layer's name begins with that of its level (`Level.name`), or is "image", "stem_..." or
"logits"; LEVEL_dropout ends a level, NAME_conv is a convolution without a bias where NAME_norm follows it, and headN
predicts classes from decoderN while training.
"""

import functools
from collections.abc import Callable, Sequence

import keras
import numpy as np
from keras import layers

from kits_tf.ct.geometry import Triple
from kits_tf.network.layers import BatchNormalization3D
from kits_tf.network.unet.structure import Level, UNetStructure

ACTIVATIONS: dict[str, Callable[..., layers.Layer]] = {
    "relu": layers.ReLU,
    "leaky_relu": functools.partial(layers.LeakyReLU, negative_slope=0.01),
}
_ONE: Triple = (1, 1, 1)


def build_unet(
    structure: UNetStructure,
    num_classes: int,
    synchronized: bool = False,
    class_shares: Sequence[float] | None = None,
) -> keras.Model:
    """Returns a network from (batch, z, y, x, 1) float to logits (batch, z, y, x, num_classes) float32.

    Any spatial size is taken that the product of all strides divides.

    Args:
        structure: numbers of the network.
        num_classes: number of classes, background included.
        synchronized: whether batch norm is over all replicas rather than within each.
        class_shares: share of each class, not negative; the last bias starts at their logarithm, so that an untrained
            network predicts them. Equal shares by default.
    """
    parts = _Parts(structure, synchronized)
    image = x = keras.Input((None, None, None, 1), name="image")
    encoder = structure.encoder_levels()
    if structure.residual:
        x = parts.convolution(x, encoder[0].filters, encoder[0].kernel, "stem")
    skips = []
    for level in encoder:
        x = parts.encode(x, level)
        skips.append(x)
    for level, skip in zip(structure.decoder_levels(), skips[-2::-1], strict=True):
        x = parts.decode(x, skip, level)
    bias = keras.initializers.Constant(_log_shares(class_shares or [1.0] * num_classes))
    logits = layers.Conv3D(num_classes, 1, bias_initializer=bias, dtype="float32", name="logits")(x)
    return keras.Model(image, logits, name="unet3d")


def add_heads(network: keras.Model, structure: UNetStructure) -> keras.Model:
    """Returns a model of the same layers, for training, with logits of each of `structure.supervised_levels()`.

    The heads of the coarser levels are not in the network.
    """
    classes = network.output.shape[-1]
    outputs = [network.output]
    for level in structure.supervised_levels()[1:]:
        head = layers.Conv3D(classes, 1, dtype="float32", name=f"head{level}")
        outputs.append(head(network.get_layer(f"decoder{level}_dropout").output))
    return keras.Model(network.input, outputs, name="supervised")


def part_of(layer_name: str) -> str:
    """Returns the level that a layer belongs to; the stem belongs to the finest one."""
    start = layer_name.partition("_")[0]
    return "encoder0" if start == "stem" else start


def _log_shares(shares: Sequence[float]) -> list[float]:
    """Returns logits whose softmax are the shares; one in a million stands for less."""
    bounded = np.maximum(shares, 1e-6 * np.sum(shares))
    return np.log(bounded / bounded.mean()).tolist()


class _Parts:
    """The layers that all levels consist of.

    Args:
        structure: numbers of the network.
        synchronized: whether batch norm is over all replicas.
    """

    def __init__(self, structure: UNetStructure, synchronized: bool) -> None:
        self.structure = structure
        self.synchronized = synchronized

    def encode(self, x: keras.KerasTensor, level: Level) -> keras.KerasTensor:
        """Returns a level of the encoder, from the one before it."""
        step = level.stride
        if self.structure.downsampling == "pool" and max(step) > 1:
            x, step = layers.MaxPooling3D(step, name=f"{level.name}_pool")(x), _ONE
        block = self.residual_block if self.structure.residual else self.convolution
        for i in range(level.blocks):
            x = block(x, level.filters, level.kernel, f"{level.name}_{i + 1}", step if i == 0 else _ONE)
        return self.dropout(x, level)

    def decode(self, x: keras.KerasTensor, skip: keras.KerasTensor, level: Level) -> keras.KerasTensor:
        """Returns a level of the decoder, from the one below it and the encoder's."""
        up = layers.Conv3DTranspose(level.filters, level.stride, strides=level.stride, name=f"{level.name}_up")
        x = up(x)
        if self.structure.attention:
            skip = self.gate(skip, x, level.filters, f"{level.name}_gate")
        x = layers.Concatenate(name=f"{level.name}_skip")([skip, x])
        for i in range(level.blocks):
            x = self.convolution(x, level.filters, level.kernel, f"{level.name}_{i + 1}")
        return self.dropout(x, level)

    def convolution(
        self, x: keras.KerasTensor, filters: int, kernel: Triple, name: str, step: Triple = _ONE
    ) -> keras.KerasTensor:
        """Returns a convolution, norm and activation."""
        return self.activation(self.normalized(x, filters, kernel, name, step), name)

    def residual_block(
        self, x: keras.KerasTensor, filters: int, kernel: Triple, name: str, step: Triple = _ONE
    ) -> keras.KerasTensor:
        """Returns the activation of two convolutions plus their input, averaged and projected where sizes differ.

        He et al. 2016, "Deep residual learning for image recognition", CVPR; the average is nnU-Net's.
        """
        convolved = self.convolution(x, filters, kernel, f"{name}a", step)
        convolved = self.normalized(convolved, filters, kernel, f"{name}b")
        if max(step) > 1:
            x = layers.AveragePooling3D(step, name=f"{name}_average")(x)
        if x.shape[-1] != filters:
            x = self.normalized(x, filters, _ONE, f"{name}_project")
        return self.activation(layers.Add(name=f"{name}_add")([convolved, x]), name)

    def gate(self, skip: keras.KerasTensor, signal: keras.KerasTensor, filters: int, name: str) -> keras.KerasTensor:
        """Returns the skip connection times a share between 0 and 1 of each voxel, which the coarser levels decide.

        Oktay et al. 2018, "Attention U-Net", MIDL, with the signal at the skip connection's resolution.
        """
        inner = max(filters // 2, 1)
        both = [layers.Conv3D(inner, 1, name=f"{name}_{kind}")(x) for kind, x in (("skip", skip), ("signal", signal))]
        share = layers.ReLU(name=f"{name}_relu")(layers.Add(name=f"{name}_add")(both))
        share = layers.Conv3D(1, 1, activation="sigmoid", name=f"{name}_share")(share)
        return layers.Multiply(name=f"{name}_times")([skip, share])

    def normalized(
        self, x: keras.KerasTensor, filters: int, kernel: Triple, name: str, step: Triple = _ONE
    ) -> keras.KerasTensor:
        """Returns a convolution and norm; a norm has no use for a bias before it."""
        has_norm = self.structure.norm != "none"
        x = layers.Conv3D(filters, kernel, step, padding="same", use_bias=not has_norm, name=f"{name}_conv")(x)
        return self.norm(filters, f"{name}_norm")(x) if has_norm else x

    def norm(self, filters: int, name: str) -> layers.Layer:
        """Returns the layer, which has its statistics in float32 under any precision."""
        if self.structure.norm == "batch":
            momentum = self.structure.norm_momentum
            return BatchNormalization3D(momentum=momentum, synchronized=self.synchronized, name=name)
        return layers.GroupNormalization(filters, epsilon=1e-5, dtype="float32", name=name)

    def activation(self, x: keras.KerasTensor, name: str) -> keras.KerasTensor:
        """Returns the activation of a tensor."""
        kind = self.structure.activation
        return ACTIVATIONS[kind](name=f"{name}_{kind}")(x)

    def dropout(self, x: keras.KerasTensor, level: Level) -> keras.KerasTensor:
        """Returns the end of a level; the bottom's has whole feature maps dropped in training.

        The end of the contracting path is where Ronneberger et al. 2015, "U-Net", MICCAI, drop. After every level it
        takes more from a network of few filters than it gives: docs/results.md.
        """
        rate = self.structure.dropout if level.is_bottom else 0.0
        return layers.SpatialDropout3D(rate, name=f"{level.name}_dropout")(x)
