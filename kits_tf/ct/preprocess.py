"""What voxels are: windowing, resampling to the training grid and back, in TensorFlow.

Written once: eager in convert, and traced into the exported graph. Interpolation along one axis is a small matrix
(`kernels`); three of them resample a volume. The work goes slab by slab, so that memory beyond input and output is
bounded however long the scan is.
"""

import functools
from collections.abc import Callable

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from kits_tf.ct.kernels import interpolation_matrix

# Logits come back to the scan's grid by this kernel: docs/geometry.md has the measurement.
RESTORE_KERNEL = "linear"
# And so do scans.
IMAGE_RESTORE_KERNEL = "cubic"
# Numbers in a slab of float32: 16 MB.
_SLAB = 1 << 22
# Rows whose weight is below this add less than 0.01 HU.
_SMALLEST_WEIGHT = 1e-6
# Rows of a matrix that are multiplied at a time, without most of their zeros.
_BAND = 16
_MANY = 1 << 30
# Of planes of a volume, which gives as many planes.
_PlaneFunction = Callable[[tf.Tensor], tf.Tensor]


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
    return _resample_labels(kernel, num_classes)(labels, tf.convert_to_tensor(shape, tf.int32))


def restore(logits: tf.Tensor, shape: tf.Tensor) -> tf.Tensor:
    """Returns labels on the grid that `resample` came from: logits by RESTORE_KERNEL, then the largest.

    Args:
        logits: (z, y, x, classes) float.
        shape: (3,) int32, the size to return.

    Returns:
        `shape` uint8.
    """
    logits = tf.convert_to_tensor(logits)
    return _restore(logits.dtype)(logits, tf.convert_to_tensor(shape, tf.int32))


def _traced_once(dtype: tf.DType, rank: int = 3) -> Callable:
    """Returns the decorator of a function of a volume of a type and a size (3,): one graph for all sizes."""
    return tf.function(
        input_signature=[tf.TensorSpec([None] * rank, dtype), tf.TensorSpec([3], tf.int32)], autograph=False
    )


@functools.cache
def _resample(kernel: str) -> Callable:
    def to_hounsfield(planes: tf.Tensor) -> tf.Tensor:
        return tf.cast(tf.clip_by_value(tf.round(planes[0]), -32768, 32767), tf.int16)

    @_traced_once(tf.int16)
    def run(hu: tf.Tensor, shape: tf.Tensor) -> tf.Tensor:
        matrices = _matrices(tf.shape(hu), shape, kernel)
        return _apply(hu, matrices, lambda rows: tf.cast(rows, tf.float32)[None], 1, to_hounsfield, tf.int16)

    return run


@functools.cache
def _resample_labels(kernel: str, num_classes: int) -> Callable:
    foreground = np.arange(1, num_classes)[:, None, None, None]

    def shares(rows: tf.Tensor) -> tf.Tensor:
        return tf.cast(tf.cast(rows, tf.int32) == foreground, tf.float32)

    def decide(planes: tf.Tensor) -> tf.Tensor:
        return _largest(tf.concat([1 - tf.reduce_sum(planes, axis=0, keepdims=True), planes], axis=0))

    @_traced_once(tf.uint8)
    def run(labels: tf.Tensor, shape: tf.Tensor) -> tf.Tensor:
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

    return run


@functools.cache
def _restore(dtype: tf.DType) -> Callable:
    def by_class(rows: tf.Tensor) -> tf.Tensor:
        return tf.transpose(tf.cast(rows, tf.float32), [3, 0, 1, 2])

    @_traced_once(dtype, rank=4)
    def run(logits: tf.Tensor, shape: tf.Tensor) -> tf.Tensor:
        matrices = _matrices(tf.shape(logits), shape, RESTORE_KERNEL)
        return _apply(logits, matrices, by_class, tf.shape(logits)[3], _largest, tf.uint8)

    return run


def _matrices(size: tf.Tensor, shape: tf.Tensor, kernel: str) -> list[tf.Tensor]:
    return [_matrix(kernel)(size[axis], shape[axis]) for axis in range(3)]


@functools.cache
def _matrix(kernel: str) -> Callable:
    # A graph of its own, so that it is traced once for all axes.
    scalar = tf.TensorSpec([], tf.int32)
    return tf.function(
        functools.partial(interpolation_matrix, kernel=kernel), input_signature=[scalar, scalar], autograph=False
    )


def _apply(
    volume: tf.Tensor,
    matrices: list[tf.Tensor],
    prepare: _PlaneFunction,
    channels: int | tf.Tensor,
    finish: _PlaneFunction,
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
    bands_y, bands_x = _bands(along_y), _bands(along_x)

    def in_plane(rows: tf.Tensor) -> tf.Tensor:
        return _along_last_but_one(_along_last_but_one(rows, *bands_y), *bands_x)

    def z_first() -> tf.Tensor:
        return _merged(volume, along_z, prepare, channels, lambda planes: finish(in_plane(planes)), dtype)

    def z_last() -> tf.Tensor:
        return _spread(volume, along_z, lambda rows: in_plane(prepare(rows)), channels, finish, dtype)

    # The fewer planes are left for the other axes, the less there is to do.
    planes = tf.cond(tf.shape(along_z)[0] < tf.shape(along_z)[1], z_first, z_last)
    return planes[:, : tf.shape(along_y)[0], : tf.shape(along_x)[0]]


def _merged(
    volume: tf.Tensor,
    along_z: tf.Tensor,
    prepare: _PlaneFunction,
    channels: int | tf.Tensor,
    after: _PlaneFunction,
    dtype: tf.DType,
) -> tf.Tensor:
    """Returns `after` of fewer planes, interpolated along z between those of the volume.

    Args:
        volume: as of `_apply`.
        along_z: (out, in) float32.
        prepare: as of `_apply`; elementwise, so that y and z of its rows may change places.
        channels: of what `prepare` returns.
        after: takes interpolated planes (channels, n, y, x) float32 to (n, out y, out x) of `dtype`.
        dtype: of the result.
    """
    first_row, last_row = _reach(along_z)
    y_first = [1, 0, *range(2, len(volume.shape))]

    def slab(start: tf.Tensor, stop: tf.Tensor) -> tuple[tf.Tensor]:
        low, high = tf.reduce_min(first_row[start:stop]), tf.reduce_max(last_row[start:stop])
        # A product for each y: all the voxels of a plane would be too wide for the processor's cache.
        rows = prepare(tf.transpose(volume[low:high], y_first))
        planes = tf.matmul(along_z[start:stop, low:high], rows)
        return (after(tf.transpose(planes, [0, 2, 1, 3])),)

    size = tf.shape(volume)
    step = tf.maximum(_slab_planes(along_z, channels * size[1] * size[2]), _sharing_planes(along_z) + 1)
    return _slab_by_slab(slab, (), tf.shape(along_z)[0], step, dtype)


def _spread(
    volume: tf.Tensor,
    along_z: tf.Tensor,
    before: _PlaneFunction,
    channels: int | tf.Tensor,
    finish: _PlaneFunction,
    dtype: tf.DType,
) -> tf.Tensor:
    """Returns `finish` of at least as many planes, interpolated along z between those that `before` made.

    Args:
        volume: as of `_apply`.
        along_z: (out, in) float32.
        before: takes rows (k, y, x, ...) of `volume` to (channels, k, out y, out x) float32.
        channels: of what `before` returns.
        finish: as of `_apply`.
        dtype: of the result.
    """
    first_row, last_row = _reach(along_z)
    size = tf.shape(before(volume[:0]))[2:]
    row_size = size[0] * size[1]

    def slab(start: tf.Tensor, stop: tf.Tensor, kept: tf.Tensor, kept_from: tf.Tensor) -> tuple:
        # Rows that this or a later plane needs, up to the last that this or an earlier one needs: both only ever rise.
        low, high = tf.reduce_min(first_row[start:]), tf.reduce_max(last_row[:stop])
        fresh = before(volume[tf.maximum(low, kept_from + tf.shape(kept)[1]) : high])
        rows = tf.concat([kept[:, low - kept_from :], tf.reshape(fresh, [channels, -1, row_size])], axis=1)
        planes = tf.matmul(along_z[start:stop, low:high], rows)
        return finish(tf.reshape(planes, [channels, -1, size[0], size[1]])), rows, low

    nothing = tf.zeros([channels, 0, row_size])
    plane_size = tf.maximum(tf.shape(volume)[1] * tf.shape(volume)[2], row_size)
    step = tf.maximum(_slab_planes(along_z, channels * plane_size), _sharing_planes(along_z) // 2 + 1)
    return _slab_by_slab(slab, (nothing, 0), tf.shape(along_z)[0], step, dtype)


def _slab_planes(along_z: tf.Tensor, plane_size: tf.Tensor) -> tf.Tensor:
    """Returns how many planes of an (out, in) matrix, with the rows they stand for, fill _SLAB."""
    planes, depth = tf.shape(along_z)[0], tf.shape(along_z)[1]
    return _SLAB // (plane_size * (depth // planes + 1))


def _sharing_planes(along_z: tf.Tensor) -> tf.Tensor:
    """Returns how many planes of an (out, in) matrix share a row: with every slab it is read or copied once more."""
    first_row, last_row = _reach(along_z)
    return tf.reduce_max(last_row - first_row) * tf.shape(along_z)[0] // tf.shape(along_z)[1]


def _slab_by_slab(
    slab: Callable[..., tuple], state: tuple, planes: tf.Tensor, step: tf.Tensor, dtype: tf.DType
) -> tf.Tensor:
    """Returns the planes of all slabs; one slab after the other, as in parallel they would all be in memory.

    Args:
        slab: takes the slab's first plane, its last plane + 1 and the state to its planes (n, out y, out x) of `dtype`
            and the next state.
        state: of the first slab; tensors, axis 1 of which may change its length.
        planes: of all slabs.
        step: planes of a slab; the last may have fewer.
        dtype: of the result.
    """
    count = (planes + step - 1) // step

    def body(index: tf.Tensor, done: tf.TensorArray, *state: tf.Tensor) -> tuple:
        result, *after = slab(index * step, tf.minimum((index + 1) * step, planes), *state)
        return index + 1, done.write(index, result), *after

    slabs = tf.TensorArray(dtype, count, infer_shape=False, element_shape=[None, None, None])
    state = tuple(tf.convert_to_tensor(part) for part in state)
    shapes = [tf.TensorShape([None] * part.shape.rank) for part in state]
    _, slabs, *_ = tf.while_loop(
        lambda index, *_: index < count,
        body,
        (0, slabs, *state),
        shape_invariants=(tf.TensorShape([]), tf.TensorShape(None), *shapes),
        parallel_iterations=1,
    )
    return slabs.concat()


def _reach(matrix: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns for each row of an (n, m) matrix where the columns that matter start and stop, (n,) int32; (m, 0): none.

    An output sample depends on the input near it, so most products with a whole row would be with zeros.
    """
    columns = tf.range(tf.shape(matrix)[1])
    matters = tf.abs(matrix) > _SMALLEST_WEIGHT
    start = tf.reduce_min(tf.where(matters, columns, tf.shape(matrix)[1]), axis=1)
    return start, tf.reduce_max(tf.where(matters, columns + 1, 0), axis=1)


def _bands(matrix: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the rows of an (n, m) matrix in bands of _BAND, as rows of a band need the same few columns.

    Returns:
        columns: (bands, k) int32, those that matter to some row of the band, and more where others need more.
        weights: (bands, _BAND, k) float32; rows beyond n are 0.
    """
    start, stop = _reach(matrix)
    rows, size = tf.shape(matrix)[0], tf.shape(matrix)[1]
    bands = (rows + _BAND - 1) // _BAND
    padding = [[0, bands * _BAND - rows]]
    starts = tf.reduce_min(tf.reshape(tf.pad(start, padding, constant_values=_MANY), [bands, _BAND]), axis=1)
    stops = tf.reduce_max(tf.reshape(tf.pad(stop, padding), [bands, _BAND]), axis=1)
    width = tf.reduce_max(stops - starts)
    columns = tf.minimum(starts, size - width)[:, None] + tf.range(width)
    banded = tf.reshape(tf.pad(matrix, [*padding, [0, 0]]), [bands, _BAND, size])
    return columns, tf.gather(banded, columns, axis=2, batch_dims=1)


def _along_last_but_one(rows: tf.Tensor, columns: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Returns (c, k, m, b) rows times an (n, m) matrix in `_bands`: (c, k, b, n), n filled up to whole bands with 0."""
    products = tf.matmul(tf.gather(rows, columns, axis=2), weights, transpose_a=True, transpose_b=True)
    c, k, bands, b, band = tf.unstack(tf.shape(products))
    return tf.reshape(tf.transpose(products, [0, 1, 3, 2, 4]), [c, k, b, bands * band])


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
