"""The 3-D U-Net as a Keras functional model: batch norm, dropout, skip connections.

Çiçek et al., "3D U-Net: learning dense volumetric segmentation from sparse annotation", MICCAI 2016.
"""

import keras
from keras import layers

from kits_tf.config import NetworkSettings, format_value
from kits_tf.errors import InputError


def build_unet(settings: NetworkSettings, num_classes: int, synchronized: bool = False) -> keras.Model:
    """Returns a network from (batch, z, y, x, 1) float to logits (batch, z, y, x, num_classes) float32.

    Any spatial size is taken that `stride(settings)` divides. Each level has two 3 x 3 x 3 convolutions with batch
    norm and ReLU, then spatial dropout; levels are joined by max pooling down and transposed convolution up.

    Args:
        settings: filters of each level, dropout, momentum of batch norm.
        num_classes: classes including background.
        synchronized: batch norm over all replicas rather than within each.
    """

    def block(x: keras.KerasTensor, filters: int, name: str) -> keras.KerasTensor:
        for i in (1, 2):
            x = layers.Conv3D(filters, 3, padding="same", use_bias=False, name=f"{name}_conv{i}")(x)
            # float32: half-precision sums over a whole patch lose small values.
            x = layers.BatchNormalization(
                momentum=settings.norm_momentum, synchronized=synchronized, dtype="float32", name=f"{name}_norm{i}"
            )(x)
            x = layers.ReLU(name=f"{name}_relu{i}")(x)
        return layers.SpatialDropout3D(settings.dropout, name=f"{name}_dropout")(x)

    image = x = keras.Input((None, None, None, 1), name="image")
    skips = []
    for level, filters in enumerate(settings.filters[:-1]):
        x = block(x, filters, f"encoder{level}")
        skips.append(x)
        x = layers.MaxPooling3D(2, name=f"encoder{level}_pool")(x)
    x = block(x, settings.filters[-1], "bottom")
    for level in reversed(range(len(skips))):
        x = layers.Conv3DTranspose(settings.filters[level], 2, strides=2, name=f"decoder{level}_up")(x)
        x = layers.Concatenate(name=f"decoder{level}_skip")([skips[level], x])
        x = block(x, settings.filters[level], f"decoder{level}")
    logits = layers.Conv3D(num_classes, 1, dtype="float32", name="logits")(x)
    return keras.Model(image, logits, name="unet3d")


def stride(settings: NetworkSettings) -> int:
    """Returns the number that must divide every spatial size."""
    return 2 ** (len(settings.filters) - 1)


def check_patch_size(patch_size: tuple[int, int, int], settings: NetworkSettings) -> None:
    """Raises InputError if the network cannot take the patch."""
    step = stride(settings)
    if any(n % step for n in patch_size):
        levels = f"{len(settings.filters)} levels of --filters"
        raise InputError(f"--patch_size_zyx: expected multiples of {step} for {levels}, got {format_value(patch_size)}")
