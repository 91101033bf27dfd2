"""What voxels are: windowing, resampling to the training grid and back, in TensorFlow.

Written once: eager in convert, and traced into the exported graph. Interpolation along one axis is a small matrix
(`kernels`); three of them resample a volume. The work goes slab by slab, so that memory beyond input and output is
bounded however long the scan is.
"""

from collections.abc import Callable

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from kits_tf.ct.kernels import interpolation_matrix

# Logits come back to the scan's grid by this kernel: docs/geometry.md has the measurement.
RESTORE_KERNEL = "linear"
# Numbers in a slab of float32: of the result 64 MB, of the input 32 MB.
_SLAB_OUT, _SLAB_IN = 1 << 24, 1 << 23
# Rows whose weight is below this add less than 0.01 HU.
_SMALLEST_WEIGHT = 1e-6


def as_tensor(array: NDArray) -> tf.Tensor:
    """Returns an array as a tensor, sharing its memory where that is aligned, as `volume` reads it.

    tf.constant would hold two copies of it for a while (TensorFlow 2.21).
    """
    tf.config.list_logical_devices()  # starts the runtime: before that, Identity would copy too
    return tf.raw_ops.Identity(input=np.ascontiguousarray(array))


def normalize(hu: tf.Tensor, window_hu: tuple[float, float], mean_hu: float, std_hu: float) -> tf.Tensor:
    """Returns (clip(hu, window) - mean) / std as float32, any shape."""
    clipped = tf.clip_by_value(tf.cast(hu, tf.float32), window_hu[0], window_hu[1])
    return (clipped - mean_hu) * (1 / std_hu)  # a division would be this in a graph, and other bits when run eagerly


@tf.function(reduce_retracing=True)
def resample(hu: tf.Tensor, shape: tf.Tensor, kernel: str) -> tf.Tensor:
    """Returns a scan on another grid over the same box in space.

    Args:
        hu: (z, y, x) int16 HU.
        shape: (3,) int32, the size to return.
        kernel: one of `kernels.KERNELS`. The cubic ones may overshoot at edges.

    Returns:
        `shape` int16 HU, rounded half to even and kept within int16.
    """

    def to_hounsfield(planes: tf.Tensor) -> tf.Tensor:
        return tf.cast(tf.clip_by_value(tf.round(planes[0]), -32768, 32767), tf.int16)

    matrices = _matrices(tf.shape(hu), shape, kernel)
    return _apply(hu, matrices, lambda rows: tf.cast(rows, tf.float32)[None], 1, to_hounsfield, tf.int16)


@tf.function(reduce_retracing=True)
def resample_labels(labels: tf.Tensor, shape: tf.Tensor, kernel: str, num_classes: int) -> tf.Tensor:
    """Returns a mask on another grid: every class is resampled as an image of zeros and ones, the largest wins.

    Args:
        labels: (z, y, x) uint8, values below num_classes.
        shape: (3,) int32, the size to return.
        kernel: as in `resample`.
        num_classes: classes including background; of two that tie, the lower label wins unless rounding decides.

    Returns:
        `shape` uint8.
    """
    foreground = tf.range(1, num_classes)[:, None, None, None]

    def shares(rows: tf.Tensor) -> tf.Tensor:
        return tf.cast(tf.cast(rows, tf.int32) == foreground, tf.float32)

    def decide(planes: tf.Tensor) -> tf.Tensor:
        return _largest(tf.concat([1 - tf.reduce_sum(planes, axis=0, keepdims=True), planes], axis=0))

    # Rows of the matrices sum to 1, so background need not be resampled, and only a box holds anything else.
    box = _foreground_box(labels)
    places, matrices = [], []
    for axis, matrix in enumerate(_matrices(tf.shape(labels), shape, kernel)):
        low, high = box[axis]
        # Elsewhere no class reaches one half: along each of the other two axes weights add up to less than 2.2.
        first, last = _span(tf.reduce_sum(tf.abs(matrix[:, low:high]), axis=1) > 0.1)
        places.append((first, shape[axis] - last))
        matrices.append(matrix[first:last, low:high])
    (z0, z1), (y0, y1), (x0, x1) = box
    inside = _apply(labels[z0:z1, y0:y1, x0:x1], matrices, shares, num_classes - 1, decide, tf.uint8)
    return tf.pad(inside, places)


@tf.function(reduce_retracing=True)
def restore(logits: tf.Tensor, shape: tf.Tensor) -> tf.Tensor:
    """Returns labels on the grid that `resample` came from: logits by RESTORE_KERNEL, then the largest.

    Args:
        logits: (z, y, x, classes) float.
        shape: (3,) int32, the size to return.

    Returns:
        `shape` uint8.
    """

    def by_class(rows: tf.Tensor) -> tf.Tensor:
        return tf.transpose(tf.cast(rows, tf.float32), [3, 0, 1, 2])

    matrices = _matrices(tf.shape(logits), shape, RESTORE_KERNEL)
    return _apply(logits, matrices, by_class, tf.shape(logits)[3], _largest, tf.uint8)


def _matrices(size: tf.Tensor, shape: tf.Tensor, kernel: str) -> list[tf.Tensor]:
    return [interpolation_matrix(size[axis], shape[axis], kernel) for axis in range(3)]


def _apply(
    volume: tf.Tensor,
    matrices: list[tf.Tensor],
    prepare: Callable[[tf.Tensor], tf.Tensor],
    channels: int | tf.Tensor,
    finish: Callable[[tf.Tensor], tf.Tensor],
    dtype: tf.DType,
) -> tf.Tensor:
    """Returns the volume interpolated along z, y and x.

    Args:
        volume: (z, y, x, ...) of any dtype.
        matrices: (out, in) float32 for z, y and x.
        prepare: takes rows (k, y, x, ...) of `volume` to (channels, k, y, x) float32.
        channels: of what `prepare` returns.
        finish: takes interpolated planes (channels, n, out y, out x) float32 to (n, out y, out x) of `dtype`.
        dtype: of the result.
    """
    along_z, along_y, along_x = matrices
    planes, height, width = (tf.shape(matrix)[0] for matrix in matrices)
    in_size = tf.shape(volume)[1] * tf.shape(volume)[2]
    step_out = tf.maximum(1, _SLAB_OUT // (channels * height * width))
    step_in = tf.maximum(1, _SLAB_IN // (channels * tf.maximum(in_size, height * width)))

    def in_plane(rows: tf.Tensor) -> tf.Tensor:
        rows = tf.matmul(along_y, prepare(rows))
        count = tf.shape(rows)[1]
        flat = tf.matmul(tf.reshape(rows, [-1, tf.shape(rows)[3]]), along_x, transpose_b=True)
        return tf.reshape(flat, [channels, count, height * width])

    def slab(start: tf.Tensor) -> tf.Tensor:
        weights = along_z[start : start + step_out]
        low, high = _span(tf.reduce_any(tf.abs(weights) > _SMALLEST_WEIGHT, axis=0))

        def add(row: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            stop = tf.minimum(row + step_in, high)
            return stop, total + tf.matmul(weights[:, row:stop], in_plane(volume[row:stop]))

        zeros = tf.zeros([channels, tf.shape(weights)[0], height * width])
        # One slab after the other: in parallel they would all be in memory.
        _, total = tf.while_loop(lambda row, _: row < high, add, (low, zeros), parallel_iterations=1)
        return finish(tf.reshape(total, [channels, -1, height, width]))

    count = (planes + step_out - 1) // step_out
    slabs = tf.TensorArray(dtype, count, infer_shape=False, element_shape=[None, None, None])
    _, slabs = tf.while_loop(
        lambda index, _: index < count,
        lambda index, done: (index + 1, done.write(index, slab(index * step_out))),
        (0, slabs),
        parallel_iterations=1,
    )
    return slabs.concat()


def _foreground_box(labels: tf.Tensor) -> list[tuple[tf.Tensor, tf.Tensor]]:
    """Returns start and stop along z, y and x of the smallest box that holds every label but 0."""
    highest = tf.reduce_max(labels, axis=2)
    z0, z1 = _span(tf.reduce_any(highest > 0, axis=1))
    y0, y1 = _span(tf.reduce_any(highest > 0, axis=0))
    return [(z0, z1), (y0, y1), _span(tf.reduce_any(labels[z0:z1, y0:y1] > 0, axis=(0, 1)))]


def _span(mask: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the start and stop of the part of a (n,) bool mask that holds every True; (0, 1) if there is none."""
    found = tf.cast(tf.where(mask)[:, 0], tf.int32)
    nothing = tf.size(found) == 0
    return (tf.where(nothing, 0, tf.reduce_min(found)), tf.where(nothing, 1, tf.reduce_max(found) + 1))


def _largest(planes: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.argmax(planes, axis=0, output_type=tf.int32), tf.uint8)
