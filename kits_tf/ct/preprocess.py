"""What is done to voxels: windowing, resampling to the training grid and back, in TensorFlow.

The same functions run eagerly in convert and are traced into the exported graph.
"""

import functools
from collections.abc import Callable

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from kits_tf.config import IntensitySettings
from kits_tf.ct.separable import PlaneSteps, axis_matrices, interpolate, reach

# Logits come back to the scan's grid by this kernel: docs/geometry.md has the measurement.
RESTORE_KERNEL = "linear"
# Scans come back to their own grid by this kernel.
IMAGE_RESTORE_KERNEL = "cubic"


def as_tensor(array: NDArray) -> tf.Tensor:
    """Returns an array as a tensor, sharing its memory where that is aligned, as `volume` reads it.

    tf.constant would hold two copies of it for a while (TensorFlow 2.21).
    """
    tf.config.list_logical_devices()  # starts the runtime: before that, Identity would copy too
    return tf.raw_ops.Identity(input=np.ascontiguousarray(array))


def normalize(hu: tf.Tensor, intensity: IntensitySettings) -> tf.Tensor:
    """Returns (clip(hu, window) - mean) / std as float32, any shape."""
    clipped = tf.clip_by_value(tf.cast(hu, tf.float32), *intensity.window_hu)
    # A graph turns a division into this product; eagerly a division would have other last bits.
    return (clipped - intensity.mean_hu) * (1 / intensity.std_hu)


def resample(hu: tf.Tensor, shape: tf.Tensor, kernel: str) -> tf.Tensor:
    """Returns a scan on another grid over the same box in space.

    Args:
        hu: (z, y, x) int16 HU.
        shape: (3,) int32, the size to return.
        kernel: one of `kernels.KERNELS`. The cubic ones may overshoot at edges.

    Returns:
        `shape` int16 HU, rounded half to even and kept within int16.
    """
    return _resample(kernel)(hu, tf.convert_to_tensor(shape, tf.int32))


def resample_box(hu: tf.Tensor, shape: tf.Tensor, start: tf.Tensor, size: tf.Tensor, kernel: str) -> tf.Tensor:
    """Returns a box of a scan on another grid, without the rest of that scan.

    Args:
        hu: (z, y, x) int16 HU.
        shape: (3,) int32, size of the whole scan on the other grid.
        start: (3,) int32, first voxel of the box on that grid.
        size: (3,) int32, size of the box.
        kernel: one of `kernels.KERNELS`.

    Returns:
        `size` int16 HU, this part of `resample(hu, shape, kernel)`.
    """
    return _resample_box(kernel)(hu, *(tf.convert_to_tensor(part, tf.int32) for part in (shape, start, size)))


def resample_labels(labels: tf.Tensor, shape: tf.Tensor, kernel: str, num_classes: int) -> tf.Tensor:
    """Returns a mask on another grid: every class is resampled as an image of zeros and ones, the largest wins.

    Args:
        labels: (z, y, x) uint8, values below num_classes.
        shape: (3,) int32, the size to return.
        kernel: one of `kernels.KERNELS`.
        num_classes: classes including background; of two that tie, the lower label wins unless rounding decides.

    Returns:
        `shape` uint8.
    """
    return _resample_labels(kernel, num_classes)(labels, tf.convert_to_tensor(shape, tf.int32))


def restoring_matrices(
    grid_shape: tf.Tensor, shape: tf.Tensor, start: tf.Tensor, size: tf.Tensor
) -> tuple[list[tf.Tensor], list[list[tf.Tensor]]]:
    """Returns the matrices that take logits of a box on the training grid back to the scan's grid, by RESTORE_KERNEL.

    Args:
        grid_shape: (3,) int32, size of the training grid.
        shape: (3,) int32, size of the scan.
        start: (3,) int32, first voxel of the box.
        size: (3,) int32, size of the box.

    Returns:
        matrices: (out, in) float32 for z, y and x, for `separable.interpolate`.
        places: numbers of voxels of the scan before and after those that each matrix gives, for z, y and x.
    """
    matrices, places = [], []
    for axis, matrix in enumerate(axis_matrices(grid_shape, shape, RESTORE_KERNEL)):
        columns = matrix[:, start[axis] : start[axis] + size[axis]]
        # Rows sum to 1: those whose larger part lies in the box belong to it, and the largest logit stays the largest.
        first, last = _span(tf.reduce_sum(columns, axis=1) >= 0.5)
        matrices.append(columns[first:last])
        places.append([first, shape[axis] - last])
    return matrices, places


def by_channel(planes: tf.Tensor) -> tf.Tensor:
    """Returns planes (k, y, x, channels) as (channels, k, y, x) float32."""
    return tf.transpose(tf.cast(planes, tf.float32), [3, 0, 1, 2])


def largest(planes: tf.Tensor) -> tf.Tensor:
    """Returns the label (...) uint8 of the largest of logits (classes, ...)."""
    return tf.cast(tf.argmax(planes, axis=0, output_type=tf.int32), tf.uint8)


def _traced_once(dtype: tf.DType, triples: int = 1) -> Callable:
    """Returns a decorator that traces a function of a volume and some (3,) int32 tensors once, for any sizes."""
    triple = tf.TensorSpec([3], tf.int32)
    return tf.function(input_signature=[tf.TensorSpec([None] * 3, dtype), *[triple] * triples], autograph=False)


# Functions are kept per kernel, so that a kernel is traced once for all volumes: tracing takes a second or two.
@functools.cache
def _resample(kernel: str) -> Callable:
    @_traced_once(tf.int16)
    def run(hu: tf.Tensor, shape: tf.Tensor) -> tf.Tensor:
        return _interpolate_hu(hu, axis_matrices(tf.shape(hu), shape, kernel))

    return run


@functools.cache
def _resample_box(kernel: str) -> Callable:
    @_traced_once(tf.int16, triples=3)
    def run(hu: tf.Tensor, shape: tf.Tensor, start: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
        matrices, spans = [], []
        for axis, matrix in enumerate(axis_matrices(tf.shape(hu), shape, kernel)):
            rows = matrix[start[axis] : start[axis] + size[axis]]
            first, last = reach(rows)
            spans.append((tf.reduce_min(first), tf.reduce_max(last)))
            matrices.append(rows[:, spans[-1][0] : spans[-1][1]])
        (z0, z1), (y0, y1), (x0, x1) = spans
        return _interpolate_hu(hu[z0:z1, y0:y1, x0:x1], matrices)

    return run


def _interpolate_hu(hu: tf.Tensor, matrices: list[tf.Tensor]) -> tf.Tensor:
    def to_hounsfield(planes: tf.Tensor) -> tf.Tensor:
        return tf.cast(tf.clip_by_value(tf.round(planes[0]), -32768, 32767), tf.int16)

    steps = PlaneSteps(
        prepare=lambda planes: tf.cast(planes, tf.float32)[None], channels=1, finish=to_hounsfield, dtype=tf.int16
    )
    return interpolate(hu, matrices, steps)


@functools.cache
def _resample_labels(kernel: str, num_classes: int) -> Callable:
    foreground = np.arange(1, num_classes)[:, None, None, None]

    def shares(planes: tf.Tensor) -> tf.Tensor:
        return tf.cast(tf.cast(planes, tf.int32) == foreground, tf.float32)

    def decide(planes: tf.Tensor) -> tf.Tensor:
        return largest(tf.concat([1 - tf.reduce_sum(planes, axis=0, keepdims=True), planes], axis=0))

    @_traced_once(tf.uint8)
    def run(labels: tf.Tensor, shape: tf.Tensor) -> tf.Tensor:
        # Rows of the matrices sum to 1, so background need not be resampled, and only a box holds anything else.
        box = _foreground_box(labels)
        places, matrices = [], []
        for axis, matrix in enumerate(axis_matrices(tf.shape(labels), shape, kernel)):
            low, high = box[axis]
            # Elsewhere no class reaches one half: along each of the other two axes weights add up to less than 2.2.
            first, last = _span(tf.reduce_sum(tf.abs(matrix[:, low:high]), axis=1) > 0.1)
            places.append((first, shape[axis] - last))
            matrices.append(matrix[first:last, low:high])
        (z0, z1), (y0, y1), (x0, x1) = box
        steps = PlaneSteps(prepare=shares, channels=num_classes - 1, finish=decide, dtype=tf.uint8)
        inside = interpolate(labels[z0:z1, y0:y1, x0:x1], matrices, steps)
        return tf.pad(inside, places)

    return run


def _foreground_box(labels: tf.Tensor) -> list[tuple[tf.Tensor, tf.Tensor]]:
    """Returns start and stop along z, y and x of the smallest box that holds every label but 0."""
    highest = tf.reduce_max(labels, axis=2)
    z0, z1 = _span(tf.reduce_any(highest > 0, axis=1))
    y0, y1 = _span(tf.reduce_any(highest > 0, axis=0))
    return [(z0, z1), (y0, y1), _span(tf.reduce_any(labels[z0:z1, y0:y1] > 0, axis=(0, 1)))]


def _span(mask: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the start and stop of the part of a (n,) bool mask that holds every True; (0, 1) if there is none."""
    indices = tf.cast(tf.where(mask)[:, 0], tf.int32)
    is_empty = tf.size(indices) == 0
    return (tf.where(is_empty, 0, tf.reduce_min(indices)), tf.where(is_empty, 1, tf.reduce_max(indices) + 1))
