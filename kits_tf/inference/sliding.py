"""A network over a volume of any size: overlapping windows, merged with Gaussian weights."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

# As in nnU-Net and MONAI: the standard deviation is an eighth of the window; no weight below a thousandth.
SIGMA_FRACTION = 0.125
SMALLEST_WEIGHT = 1e-3


def gaussian_weights(window: tuple[int, int, int]) -> NDArray[np.float32]:
    """Returns the (z, y, x) float32 weights of a window, 1 in its middle and SMALLEST_WEIGHT or more elsewhere."""
    profiles = []
    for size in window:
        offset = np.arange(size) - (size - 1) / 2
        profiles.append(np.exp(-0.5 * (offset / (SIGMA_FRACTION * size)) ** 2))
    product = np.einsum("z,y,x->zyx", *profiles)
    return np.maximum(product / product.max(), SMALLEST_WEIGHT).astype(np.float32)


def window_starts(size: tf.Tensor, window: int, overlap: float) -> tf.Tensor:
    """Returns the first index of each window along an axis, (n,) int32: evenly stepped, the last one at the end.

    Args:
        size: voxels along the axis, `window` or more.
        window: voxels of a window.
        overlap: share of a window that the next one covers again, 0 <= overlap < 1.
    """
    step = max(1, int(window * (1 - overlap)))
    count = (size - window + step - 1) // step + 1
    return tf.minimum(tf.range(count) * step, size - window)


def merge_windows(
    volume: tf.Tensor,
    network: Callable[[tf.Tensor], tf.Tensor],
    window: tuple[int, int, int],
    overlap: float,
    num_outputs: int,
    outside: float,
) -> tf.Tensor:
    """Returns the network's outputs over a whole volume: the weighted mean of all windows at each voxel.

    Args:
        volume: (z, y, x) of any dtype and size; a size below the window's is padded evenly.
        network: takes a window (1, *window) of the volume's dtype to (1, *window, num_outputs) float32.
        window: voxels of a window.
        overlap: share of a window that the next one covers again.
        num_outputs: channels of the result.
        outside: value of the padding.

    Returns:
        (z, y, x, num_outputs) float32. Works eagerly and in a graph.
    """
    size = tf.shape(volume)
    missing = tf.maximum(tf.constant(window) - size, 0)
    padding = tf.stack([missing // 2, missing - missing // 2], axis=1)
    padded = tf.pad(volume, padding, constant_values=tf.cast(outside, volume.dtype))
    starts = [window_starts(tf.shape(padded)[axis], window[axis], overlap) for axis in range(3)]
    weights = gaussian_weights(window)[..., None]

    def weighted(part: tf.Tensor) -> tf.Tensor:
        outputs = network(tf.ensure_shape(part, window)[None])[0]
        # The weights go along as one more channel, so that both are summed in the same order.
        return tf.concat([outputs * weights, weights], axis=-1)

    total = _sum_along(padded, 0, starts, window, num_outputs + 1, weighted)
    inside = tf.slice(total, tf.concat([padding[:, 0], [0]], 0), tf.concat([size, [num_outputs + 1]], 0))
    return inside[..., :num_outputs] / inside[..., num_outputs:]


def _sum_along(
    part: tf.Tensor,
    axis: int,
    starts: list[tf.Tensor],
    window: tuple[int, int, int],
    channels: int,
    compute: Callable[[tf.Tensor], tf.Tensor],
) -> tf.Tensor:
    """Returns the sum of compute(window) over all windows along this axis and those behind it.

    `part` has the window's size along the axes before `axis`. A finished row of windows is added to the sum of the
    axis before, so that the whole volume is touched once for each window along z only.
    """
    if axis == 3:
        return compute(part)
    shape = tf.concat([tf.shape(part), [channels]], 0)

    def add(index: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        start = starts[axis][index]
        rows = tf.range(start, start + window[axis])
        row = _sum_along(tf.gather(part, rows, axis=axis), axis + 1, starts, window, channels, compute)
        after = shape[axis] - start - window[axis]
        padding = [[start, after] if a == axis else [0, 0] for a in range(4)]
        return index + 1, total + tf.pad(row, padding)

    zeros = tf.zeros(shape)
    # One at a time: windows in parallel would multiply the network's memory.
    _, total = tf.while_loop(
        lambda index, _: index < tf.size(starts[axis]),
        add,
        (0, zeros),
        shape_invariants=(tf.TensorShape([]), tf.TensorShape([None, None, None, channels])),
        parallel_iterations=1,
    )
    return total
