"""Separable interpolation of a volume: one matrix for each of z, y and x, slab by slab, in TensorFlow.

Memory beyond input and output is bounded however long the scan is. A plane is a slice of the volume along z; rows and
columns are those of matrices.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import tensorflow as tf

from kits_tf.ct.kernels import interpolation_matrix

# Numbers in a slab of float32, 16 MB; more where its planes would share most of their input planes with the next slab.
_SLAB = 1 << 22
# Samples whose weight is below this add less than 0.01 HU.
_SMALLEST_WEIGHT = 1e-6
# Rows of a matrix that are multiplied at a time, without most of their zeros.
_BAND = 16
# Greater than the number of any column.
_NO_COLUMN = 1 << 30
# A function from planes of a volume to as many planes.
PlaneFunction = Callable[[tf.Tensor], tf.Tensor]
_Slab = Callable[..., tuple]


@dataclass(frozen=True, kw_only=True)
class PlaneSteps:
    """What is done to the planes of a volume before and after they are interpolated.

    Attributes:
        prepare: function from planes (k, y, x, ...) of the volume to (channels, k, y, x) float32; elementwise, so that
            y and z may change places.
        channels: number of channels that `prepare` returns.
        finish: function from interpolated planes (channels, n, out y, out x) float32 to (n, out y, out x, ...) of
            `dtype`.
        dtype: type of the result.
        rank: number of axes of the result.
    """

    prepare: PlaneFunction
    channels: int | tf.Tensor
    finish: PlaneFunction
    dtype: tf.DType
    rank: int = 3


def axis_matrices(size: tf.Tensor, shape: tf.Tensor, kernel: str) -> list[tf.Tensor]:
    """Returns the (out, in) float32 matrices from a size to a shape, both (3,) int32, along z, y and x."""
    return [_matrix(kernel)(size[axis], shape[axis]) for axis in range(3)]


@functools.cache
def _matrix(kernel: str) -> Callable:
    # A graph for each kernel, kept: it is traced once for all axes and sizes, which takes longer than running it, and a
    # kernel is a name in Python, which the signature of a common graph could not hold.
    scalar = tf.TensorSpec([], tf.int32)
    return tf.function(
        functools.partial(interpolation_matrix, kernel=kernel), input_signature=[scalar, scalar], autograph=False
    )


def interpolate(volume: tf.Tensor, matrices: list[tf.Tensor], steps: PlaneSteps) -> tf.Tensor:
    """Returns the volume interpolated along z, y and x.

    Args:
        volume: (z, y, x, ...) of any dtype.
        matrices: (out, in) float32 for z, y and x.
        steps: functions around the interpolation; type and rank of the result.
    """
    along_z, along_y, along_x = matrices
    bands_y, bands_x = _bands(along_y), _bands(along_x)
    size, out_size = tf.shape(volume), [tf.shape(columns)[0] * _BAND for columns, _ in (bands_y, bands_x)]
    plane_size = steps.channels * tf.maximum(size[1] * size[2], out_size[0] * out_size[1])

    def in_plane(planes: tf.Tensor) -> tf.Tensor:
        return _along_last_but_one(_along_last_but_one(planes, *bands_y), *bands_x)

    def z_first() -> tf.Tensor:
        slab = _merged_slab(volume, along_z, steps.prepare, lambda planes: steps.finish(in_plane(planes)))
        return _slab_by_slab(slab, (), along_z, plane_size, steps)

    def z_last() -> tf.Tensor:
        slab = _spread_slab(volume, along_z, lambda planes: in_plane(steps.prepare(planes)), steps.finish)
        return _slab_by_slab(slab, (tf.zeros([steps.channels, 0, *out_size]), 0), along_z, plane_size, steps)

    # The fewer planes are left for the other axes, the less there is to do.
    planes = tf.cond(tf.shape(along_z)[0] < tf.shape(along_z)[1], z_first, z_last)
    return planes[:, : tf.shape(along_y)[0], : tf.shape(along_x)[0]]


def _merged_slab(volume: tf.Tensor, along_z: tf.Tensor, prepare: PlaneFunction, after: PlaneFunction) -> _Slab:
    """Returns the function for `_slab_by_slab` of fewer planes, interpolated along z between those of the volume.

    Args:
        volume: (z, y, x, ...) of any dtype.
        along_z: (out, in) float32.
        prepare: `PlaneSteps.prepare`.
        after: function from interpolated planes (channels, n, y, x) float32 to the planes to return.
    """
    first_plane, end_plane = reach(along_z)
    y_first = [1, 0, *range(2, len(volume.shape))]

    def slab(start: tf.Tensor, stop: tf.Tensor) -> tuple[tf.Tensor]:
        low, high = tf.reduce_min(first_plane[start:stop]), tf.reduce_max(end_plane[start:stop])
        # A product for each y: all the voxels of a plane would be too wide for the processor's cache.
        prepared = prepare(tf.transpose(volume[low:high], y_first))
        planes = tf.matmul(along_z[start:stop, low:high], prepared)
        return (after(tf.transpose(planes, [0, 2, 1, 3])),)

    return slab


def _spread_slab(volume: tf.Tensor, along_z: tf.Tensor, before: PlaneFunction, finish: PlaneFunction) -> _Slab:
    """Returns the function for `_slab_by_slab` of planes interpolated along z between those that `before` made.

    Its state: the planes that `before` made for the last slab (channels, k, out y, out x), and the first one's index.

    Args:
        volume: (z, y, x, ...) of any dtype.
        along_z: (out, in) float32.
        before: function from planes (k, y, x, ...) of the volume to (channels, k, out y, out x) float32.
        finish: `PlaneSteps.finish`.
    """
    first_plane, end_plane = reach(along_z)

    def slab(start: tf.Tensor, stop: tf.Tensor, kept: tf.Tensor, kept_from: tf.Tensor) -> tuple:
        # From the first that this or a later slab needs to the last that this or an earlier one needs: both only rise.
        low, high = tf.reduce_min(first_plane[start:]), tf.reduce_max(end_plane[:stop])
        fresh = before(volume[tf.maximum(low, kept_from + tf.shape(kept)[1]) : high])
        prepared = tf.concat([kept[:, low - kept_from :], fresh], axis=1)
        channels, count, y, x = tf.unstack(tf.shape(prepared))
        planes = tf.matmul(along_z[start:stop, low:high], tf.reshape(prepared, [channels, count, y * x]))
        return finish(tf.reshape(planes, [channels, stop - start, y, x])), prepared, low

    return slab


def _slab_by_slab(slab: _Slab, state: tuple, along_z: tf.Tensor, plane_size: tf.Tensor, steps: PlaneSteps) -> tf.Tensor:
    """Returns the planes of all slabs; one slab after the other, as in parallel they would all be in memory.

    Args:
        slab: function from the slab's first plane, its last plane + 1 and the state to its planes (n, y, x, ...) and
            the next state.
        state: state for the first slab; tensors, axis 1 of which may change its length.
        along_z: (out, in) float32, from which the number of planes in a slab follows; the last may have fewer.
        plane_size: numbers in a plane.
        steps: type and rank of the result.
    """
    planes, depth = tf.shape(along_z)[0], tf.shape(along_z)[1]
    first_plane, end_plane = reach(along_z)
    # At least half as many planes as share an input plane, which is read or copied once more with every slab.
    shared = tf.reduce_max(end_plane - first_plane) * planes // depth
    step = tf.maximum(_SLAB // (plane_size * (depth // planes + 1)), shared // 2 + 1)
    count = (planes + step - 1) // step

    def body(index: tf.Tensor, done: tf.TensorArray, *state: tf.Tensor) -> tuple:
        result, *after = slab(index * step, tf.minimum((index + 1) * step, planes), *state)
        return index + 1, done.write(index, result), *after

    slabs = tf.TensorArray(steps.dtype, count, infer_shape=False, element_shape=[None] * steps.rank)
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


def reach(matrix: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns where the columns that matter start and stop in each row of an (n, m) matrix, (n,) int32 each.

    An output sample depends on the input near it, so most products with a whole row would be with zeros. For a row in
    which none matters they are m and 0.
    """
    columns = tf.range(tf.shape(matrix)[1])
    matters = tf.abs(matrix) > _SMALLEST_WEIGHT
    start = tf.reduce_min(tf.where(matters, columns, tf.shape(matrix)[1]), axis=1)
    return start, tf.reduce_max(tf.where(matters, columns + 1, 0), axis=1)


def _bands(matrix: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the rows of an (n, m) matrix in bands of _BAND, as rows of a band need the same few columns.

    Returns:
        columns: (bands, k) int32, the columns that matter to some row of the band; k is that of the widest band.
        weights: (bands, _BAND, k) float32; rows beyond n are 0.
    """
    start, stop = reach(matrix)
    rows, size = tf.shape(matrix)[0], tf.shape(matrix)[1]
    bands = (rows + _BAND - 1) // _BAND
    padding = [[0, bands * _BAND - rows]]
    starts = tf.reduce_min(tf.reshape(tf.pad(start, padding, constant_values=_NO_COLUMN), [bands, _BAND]), axis=1)
    stops = tf.reduce_max(tf.reshape(tf.pad(stop, padding), [bands, _BAND]), axis=1)
    width = tf.reduce_max(stops - starts)
    columns = tf.minimum(starts, size - width)[:, None] + tf.range(width)
    banded = tf.reshape(tf.pad(matrix, [*padding, [0, 0]]), [bands, _BAND, size])
    return columns, tf.gather(banded, columns, axis=2, batch_dims=1)


def _along_last_but_one(planes: tf.Tensor, columns: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Returns planes (c, k, m, b) times an (n, m) matrix in `_bands`: (c, k, b, n), n filled with 0 to whole bands."""
    products = tf.matmul(tf.gather(planes, columns, axis=2), weights, transpose_a=True, transpose_b=True)
    c, k, bands, b, band = tf.unstack(tf.shape(products))
    return tf.reshape(tf.transpose(products, [0, 1, 3, 2, 4]), [c, k, b, bands * band])
