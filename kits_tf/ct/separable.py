"""Separable interpolation of a volume: one matrix for each of z, y and x, slab by slab, in TensorFlow.

Memory beyond input and output is bounded however long the scan is.
"""

import functools
from collections.abc import Callable

import tensorflow as tf

from kits_tf.ct.kernels import interpolation_matrix

# Numbers in a slab of float32, 16 MB; more where its planes would share most of their rows with the next.
_SLAB = 1 << 22
# Rows whose weight is below this add less than 0.01 HU.
_SMALLEST_WEIGHT = 1e-6
# Rows of a matrix that are multiplied at a time, without most of their zeros.
_BAND = 16
_MANY = 1 << 30
# Of planes of a volume, which gives as many planes.
PlaneFunction = Callable[[tf.Tensor], tf.Tensor]
_Slab = Callable[..., tuple]


def axis_matrices(size: tf.Tensor, shape: tf.Tensor, kernel: str) -> list[tf.Tensor]:
    """Returns the (out, in) float32 matrices that take z, y and x of a volume of a size to a shape, both (3,) int32."""
    return [_matrix(kernel)(size[axis], shape[axis]) for axis in range(3)]


@functools.cache
def _matrix(kernel: str) -> Callable:
    # A graph of its own, so that it is traced once for all axes.
    scalar = tf.TensorSpec([], tf.int32)
    return tf.function(
        functools.partial(interpolation_matrix, kernel=kernel), input_signature=[scalar, scalar], autograph=False
    )


def interpolate(
    volume: tf.Tensor,
    matrices: list[tf.Tensor],
    prepare: PlaneFunction,
    channels: int | tf.Tensor,
    finish: PlaneFunction,
    dtype: tf.DType,
    rank: int = 3,
) -> tf.Tensor:
    """Returns the volume interpolated along z, y and x.

    Args:
        volume: (z, y, x, ...) of any dtype.
        matrices: (out, in) float32 for z, y and x.
        prepare: takes rows (k, y, x, ...) of `volume` to (channels, k, y, x) float32.
        channels: of what `prepare` returns.
        finish: takes interpolated planes (channels, n, out y, out x) float32 to (n, out y, out x, ...) of `dtype`.
        dtype: of the result.
        rank: of the result.
    """
    along_z, along_y, along_x = matrices
    bands_y, bands_x = _bands(along_y), _bands(along_x)
    size, out_size = tf.shape(volume), [tf.shape(columns)[0] * _BAND for columns, _ in (bands_y, bands_x)]
    plane_size = channels * tf.maximum(size[1] * size[2], out_size[0] * out_size[1])

    def in_plane(rows: tf.Tensor) -> tf.Tensor:
        return _along_last_but_one(_along_last_but_one(rows, *bands_y), *bands_x)

    def z_first() -> tf.Tensor:
        slab = _merged_slab(volume, along_z, prepare, lambda planes: finish(in_plane(planes)))
        return _slab_by_slab(slab, (), along_z, plane_size, dtype, rank)

    def z_last() -> tf.Tensor:
        slab = _spread_slab(volume, along_z, lambda rows: in_plane(prepare(rows)), finish)
        return _slab_by_slab(slab, (tf.zeros([channels, 0, *out_size]), 0), along_z, plane_size, dtype, rank)

    # The fewer planes are left for the other axes, the less there is to do.
    planes = tf.cond(tf.shape(along_z)[0] < tf.shape(along_z)[1], z_first, z_last)
    return planes[:, : tf.shape(along_y)[0], : tf.shape(along_x)[0]]


def _merged_slab(volume: tf.Tensor, along_z: tf.Tensor, prepare: PlaneFunction, after: PlaneFunction) -> _Slab:
    """Returns the function for `_slab_by_slab` of fewer planes, interpolated along z between those of the volume.

    Args:
        volume: as of `interpolate`.
        along_z: (out, in) float32.
        prepare: as of `interpolate`; elementwise, so that y and z of its rows may change places.
        after: takes interpolated planes (channels, n, y, x) float32 to those to return.
    """
    first_row, last_row = reach(along_z)
    y_first = [1, 0, *range(2, len(volume.shape))]

    def slab(start: tf.Tensor, stop: tf.Tensor) -> tuple[tf.Tensor]:
        low, high = tf.reduce_min(first_row[start:stop]), tf.reduce_max(last_row[start:stop])
        # A product for each y: all the voxels of a plane would be too wide for the processor's cache.
        rows = prepare(tf.transpose(volume[low:high], y_first))
        planes = tf.matmul(along_z[start:stop, low:high], rows)
        return (after(tf.transpose(planes, [0, 2, 1, 3])),)

    return slab


def _spread_slab(volume: tf.Tensor, along_z: tf.Tensor, before: PlaneFunction, finish: PlaneFunction) -> _Slab:
    """Returns the function for `_slab_by_slab` of planes interpolated along z between those that `before` made.

    Its state: rows that `before` made for the last slab (channels, k, out y, out x), and the first one's index.

    Args:
        volume: as of `interpolate`.
        along_z: (out, in) float32.
        before: takes rows (k, y, x, ...) of `volume` to (channels, k, out y, out x) float32.
        finish: as of `interpolate`.
    """
    first_row, last_row = reach(along_z)

    def slab(start: tf.Tensor, stop: tf.Tensor, kept: tf.Tensor, kept_from: tf.Tensor) -> tuple:
        # Rows that this or a later plane needs, up to the last that this or an earlier one needs: both only ever rise.
        low, high = tf.reduce_min(first_row[start:]), tf.reduce_max(last_row[:stop])
        fresh = before(volume[tf.maximum(low, kept_from + tf.shape(kept)[1]) : high])
        rows = tf.concat([kept[:, low - kept_from :], fresh], axis=1)
        channels, count, y, x = tf.unstack(tf.shape(rows))
        planes = tf.matmul(along_z[start:stop, low:high], tf.reshape(rows, [channels, count, y * x]))
        return finish(tf.reshape(planes, [channels, stop - start, y, x])), rows, low

    return slab


def _slab_by_slab(
    slab: _Slab, state: tuple, along_z: tf.Tensor, plane_size: tf.Tensor, dtype: tf.DType, rank: int
) -> tf.Tensor:
    """Returns the planes of all slabs; one slab after the other, as in parallel they would all be in memory.

    Args:
        slab: takes the slab's first plane, its last plane + 1 and the state to its planes (n, y, x, ...) of `dtype`
            and the next state.
        state: of the first slab; tensors, axis 1 of which may change its length.
        along_z: (out, in) float32, from which the number of planes in a slab follows; the last may have fewer.
        plane_size: numbers in a plane.
        dtype: of the result.
        rank: of the result.
    """
    planes, depth = tf.shape(along_z)[0], tf.shape(along_z)[1]
    first_row, last_row = reach(along_z)
    # At least half as many planes as share a row, which is read or copied once more with every slab.
    shared = tf.reduce_max(last_row - first_row) * planes // depth
    step = tf.maximum(_SLAB // (plane_size * (depth // planes + 1)), shared // 2 + 1)
    count = (planes + step - 1) // step

    def body(index: tf.Tensor, done: tf.TensorArray, *state: tf.Tensor) -> tuple:
        result, *after = slab(index * step, tf.minimum((index + 1) * step, planes), *state)
        return index + 1, done.write(index, result), *after

    slabs = tf.TensorArray(dtype, count, infer_shape=False, element_shape=[None] * rank)
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
    start, stop = reach(matrix)
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
