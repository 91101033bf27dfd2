"""How far a network sees."""

import keras
from keras import layers

from kits_tf.ct.geometry import Triple

Interval = tuple[int, int]


def receptive_field(network: keras.Model, total_stride: Triple) -> Triple:
    """Returns the most voxels of an image, (z, y, x), that one voxel of the output depends on.

    Norms count as voxel by voxel, though their statistics are of all voxels.

    Args:
        network: functional model from an image to logits.
        total_stride: total stride of its architecture (z, y, x); fields repeat with it.
    """
    z, y, x = (max(_width(network, axis, voxel) for voxel in range(total_stride[axis])) for axis in range(3))
    return z, y, x


def _width(network: keras.Model, axis: int, voxel: int) -> int:
    first, last = _field(network, axis, voxel)
    return last - first + 1


def _field(network: keras.Model, axis: int, voxel: int) -> Interval:
    """Returns the first and the last voxel of the image that an output voxel depends on, as if it had no edge."""
    needed = {id(network.output): (voxel, voxel)}
    for layer in reversed(network.layers):
        interval = needed.get(id(layer.output))
        if interval is None or isinstance(layer, layers.InputLayer):
            continue
        first, last = _of_input(layer, axis, interval)
        for tensor in keras.tree.flatten(layer.input):
            other = needed.get(id(tensor), (first, last))
            needed[id(tensor)] = (min(first, other[0]), max(last, other[1]))
    return needed[id(network.input)]


def _of_input(layer: layers.Layer, axis: int, interval: Interval) -> Interval:
    """Returns the voxels of a layer's input that an interval of its output depends on."""
    first, last = interval
    if isinstance(layer, layers.Conv3DTranspose):  # kernel and stride are equal in this project
        return first // layer.strides[axis], last // layer.strides[axis]
    if isinstance(layer, layers.UpSampling3D):
        return first // layer.size[axis], last // layer.size[axis]
    kernel, stride = (values[axis] for values in _down(layer))
    before = max(kernel - stride, 0) // 2  # "same" padding of sizes that the stride divides
    return first * stride - before, last * stride - before + kernel - 1


def _down(layer: layers.Layer) -> tuple[Triple, Triple]:
    """Returns kernel and stride of a layer; 1 for one that works voxel by voxel."""
    if isinstance(layer, layers.Conv3D):
        z, y, x = ((size - 1) * step + 1 for size, step in zip(layer.kernel_size, layer.dilation_rate, strict=True))
        return (z, y, x), layer.strides
    if isinstance(layer, (layers.MaxPooling3D, layers.AveragePooling3D)):
        return layer.pool_size, layer.strides
    return (1, 1, 1), (1, 1, 1)
