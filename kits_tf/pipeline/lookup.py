"""The effect of a warp: each voxel of the patch is looked up where it comes from, once, image and label together.

Only plain operations that have GPU kernels for their types.
"""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import tensorflow as tf

from kits_tf.ct.geometry import Triple
from kits_tf.pipeline.warp import SUPPORT, Warp, spline_matrix
from kits_tf.pipeline.xla import compiled


class Source(NamedTuple):
    """The box of a scan that a patch is looked up in.

    Attributes:
        hu: (n,) int16, the box in C order; what comes after it is padding.
        labels: (n,) uint8, the labels of the same box, padded to the same length.
        size: (3,) int32, voxels (z, y, x) of the box.
        origin: (3,) float32, where voxel (0, 0, 0) of the patch lies in the box.
    """

    hu: tf.Tensor
    labels: tf.Tensor
    size: tf.Tensor
    origin: tf.Tensor


def look_up(
    source: Source, warp: Warp, patch_size: Triple, kernel: str, mirrored_labels: Sequence[int]
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns a warped patch: the image interpolated, each label that of the nearest voxel.

    Args:
        source: box that `warp.source_box` gives, or a larger one around it.
        warp: warp of the patch.
        patch_size: voxels (z, y, x) of the result.
        kernel: "linear", or "cubic": Keys 1981, "Cubic convolution interpolation for digital image processing", IEEE
            Trans. ASSP 29(6), with a = -1/2, which needs no more of the scan than four voxels along each axis.
        mirrored_labels: label that each label becomes in a mirror image of left and right.

    Returns:
        hu `patch_size` float32 and labels `patch_size` uint8.
    """
    # By the warp's kind, EXACT to BENT; settings that bend nothing leave no control points.
    functions: list[Callable] = [_unmoved, _within_planes, _anywhere]
    if warp.bend.shape[1]:
        functions.append(_bent)
    branches = [functools.partial(function, source, warp, patch_size, kernel) for function in functions]
    hu, labels = tf.switch_case(warp.kind, branches)
    return hu, tf.cond(warp.mirrored > 0, lambda: _swap(tuple(mirrored_labels))(labels), lambda: labels)


def cubic_weights(fraction: tf.Tensor) -> list[tf.Tensor]:
    """Returns Keys' weights, a = -1/2, of the neighbors -1, 0, 1 and 2 of a place `fraction` behind neighbor 0."""
    t = fraction
    return [
        ((-t + 2) * t - 1) * t / 2,
        ((3 * t - 5) * t * t + 2) / 2,
        ((-3 * t + 4) * t + 1) * t / 2,
        (t - 1) * t * t / 2,
    ]


def _unmoved(source: Source, warp: Warp, patch_size: Triple, kernel: str) -> tuple[tf.Tensor, tf.Tensor]:
    del kernel  # every voxel is one of the scan's
    voxels = tf.reduce_prod(patch_size)

    def turned(flat: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
        patch = tf.reshape(tf.cast(flat[:voxels], dtype), patch_size)
        for axis in range(3):
            mirror = functools.partial(_mirror(axis), patch)
            patch = tf.cond(warp.matrix[axis, axis] < 0, mirror, functools.partial(tf.identity, patch))
        return patch

    return turned(source.hu, tf.float32), turned(source.labels, tf.uint8)


def _within_planes(source: Source, warp: Warp, patch_size: Triple, kernel: str) -> tuple[tf.Tensor, tf.Tensor]:
    """One table of places and weights serves every plane."""
    planes = tf.round(source.origin[0] + warp.matrix[0, 0] * tf.range(patch_size[0], dtype=tf.float32))
    positions = [axis[0] for axis in _positions(source, warp.matrix, (1, *patch_size[1:]))[1:]]
    starts, weights = zip(*[_taps(p, kernel) for p in positions], strict=True)
    nearest = [_nearest(p) for p in positions]
    table = tuple(_flat_index((tf.zeros([]), *at), source.size) for at in (starts, nearest))
    rows, row = tf.unstack(tf.cast(source.size[1:], tf.int64))  # voxels along y and along x
    plane_starts = tf.cast(planes, tf.int64) * rows * row
    return _plane_loop(kernel)(source, plane_starts, table, weights)


def _anywhere(source: Source, warp: Warp, patch_size: Triple, kernel: str) -> tuple[tf.Tensor, tf.Tensor]:
    return _volume_loop(patch_size, kernel)(source, warp.matrix, None)


def _bent(source: Source, warp: Warp, patch_size: Triple, kernel: str) -> tuple[tf.Tensor, tf.Tensor]:
    field = warp.bend
    for size in patch_size:  # each turn takes the first axis of space and puts it last
        field = tf.tensordot(field, spline_matrix(size, field.shape[1]), [[1], [1]])
    return _volume_loop(patch_size, kernel)(source, warp.matrix, field)


@functools.cache
def _plane_loop(kernel: str) -> Callable:
    def run(
        source: Source,
        plane_starts: tf.Tensor,
        table: tuple[tf.Tensor, tf.Tensor],
        weights: tuple[Sequence[tf.Tensor], ...],
    ) -> tuple[tf.Tensor, tf.Tensor]:
        first, nearest = (plane_starts[:, None, None] + entries for entries in table)
        strides = tf.cast(source.size[2], tf.int64), 1
        return _interpolate(source.hu, first, list(zip(weights, strides, strict=True))), _pick(source.labels, nearest)

    return compiled(run)


@functools.cache
def _volume_loop(patch_size: Triple, kernel: str) -> Callable:
    def run(source: Source, matrix: tf.Tensor, bend: tf.Tensor | None) -> tuple[tf.Tensor, tf.Tensor]:
        _, rows, row = tf.unstack(tf.cast(source.size, tf.int64))
        positions = _positions(source, matrix, patch_size)
        if bend is not None:
            positions = [position + shift for position, shift in zip(positions, tf.unstack(bend), strict=True)]
        starts, weights = zip(*[_taps(p, kernel) for p in positions], strict=True)
        first = _flat_index(starts, source.size)
        nearest = _flat_index([_nearest(p) for p in positions], source.size)
        strides = rows * row, row, 1
        return _interpolate(source.hu, first, list(zip(weights, strides, strict=True))), _pick(source.labels, nearest)

    return compiled(run)


@functools.cache
def _mirror(axis: int) -> Callable:
    return compiled(functools.partial(tf.reverse, axis=[axis]))


@functools.cache
def _swap(mirrored_labels: tuple[int, ...]) -> Callable:
    def run(labels: tf.Tensor) -> tf.Tensor:
        swapped = labels
        for label, mirror in enumerate(mirrored_labels):
            if mirror != label:
                swapped = tf.where(labels == label, tf.cast(mirror, tf.uint8), swapped)
        return swapped

    return compiled(run)


def _positions(source: Source, matrix: tf.Tensor, patch_size: Triple) -> list[tf.Tensor]:
    """Returns where in the source each voxel of the patch lies along z, y and x, unbent: three (z, y, x) float32."""
    axes = [tf.range(size, dtype=tf.float32) for size in patch_size]
    index = axes[0][:, None, None], axes[1][:, None], axes[2]
    return [source.origin[axis] + sum(matrix[axis, i] * index[i] for i in range(3)) for axis in range(3)]


def _taps(position: tf.Tensor, kernel: str) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """Returns the first neighbor that counts along an axis, float32, and the weights of it and those after it."""
    below = tf.floor(position)
    t = position - below
    weights = [1 - t, t] if kernel == "linear" else cubic_weights(t)
    return below - SUPPORT[kernel][0], weights


def _nearest(position: tf.Tensor) -> tf.Tensor:
    return tf.floor(position + 0.5)


def _flat_index(place: Sequence[tf.Tensor], size: tf.Tensor) -> tf.Tensor:
    """Returns the index in C order, int64, of whole float32 z, y and x; z * rows + y must stay below 2^24.

    int64, because a GPU leaves arithmetic with int32 to the processor.
    """
    z, y, x = place
    row_number = tf.cast(z * tf.cast(size[1], tf.float32) + y, tf.int64)  # one conversion is dear, a product is not
    return row_number * tf.cast(size[2], tf.int64) + tf.cast(x, tf.int64)


def _interpolate(
    values: tf.Tensor, first: tf.Tensor, axes: Sequence[tuple[Sequence[tf.Tensor], tf.Tensor | int]]
) -> tf.Tensor:
    """Returns weighted sums of the neighbors of each place, which form a grid: for axes z, y and x

        sum_i wz[i] * (sum_j wy[j] * (sum_k wx[k] * values[first + i * sz + j * sy + k]))

    Each call sums over the first axis and leaves what stands in the brackets to the next.

    Args:
        values: (n,) of any type.
        first: flat index, int64, of the first neighbor of each place.
        axes: weights of the neighbors along an axis, first neighbor first, and the axis' stride in `values`; no axis
            is left for the values themselves.
    """
    if not axes:
        return tf.gather(tf.cast(values, tf.float32), first)  # int16 has no GPU kernel
    (weights, stride), *inner_axes = axes
    return tf.add_n([w * _interpolate(values, first + i * stride, inner_axes) for i, w in enumerate(weights)])


def _pick(labels: tf.Tensor, index: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.gather(tf.cast(labels, tf.float32), index), tf.uint8)  # uint8 has no GPU kernel
