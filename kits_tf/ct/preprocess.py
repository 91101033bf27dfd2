"""What voxels are: windowing, resampling to the training grid and back, in TensorFlow.

Written once: eager in convert, and traced into the exported graph. Interpolation along one axis is a small
matrix; z is interpolated with the few rows that matter, y and x by matrix product, one output plane at a time,
so memory beyond input and output stays at a few dozen planes however long the scan is.

Voxel centers: output index i of n lies at input index (i + 0.5) * m / n - 0.5 (`Grid.resampled`). Beyond the
border the input is mirrored about its outer face, as scipy.ndimage's mode "reflect" does.
"""

from collections.abc import Callable

import tensorflow as tf

KERNELS = ("nearest", "linear", "cubic")
# The prefilter of a cubic spline falls by 0.268 a voxel: beyond 16 voxels its weights are below 1e-9.
_CUBIC_REACH = 16


def normalize(hu: tf.Tensor, window_hu: tuple[float, float], mean_hu: float, std_hu: float) -> tf.Tensor:
    """Returns (clip(hu, window) - mean) / std as float32, any shape."""
    clipped = tf.clip_by_value(tf.cast(hu, tf.float32), window_hu[0], window_hu[1])
    return (clipped - mean_hu) / std_hu


@tf.function(reduce_retracing=True)
def resample(hu: tf.Tensor, shape: tf.Tensor, kernel: str) -> tf.Tensor:
    """Returns a scan on another grid over the same box in space.

    Args:
        hu: (z, y, x) int16 HU.
        shape: (3,) int32, the size to return.
        kernel: "nearest", "linear", or "cubic" (the interpolating cubic B-spline of scipy.ndimage.zoom with
            order=3, mode="reflect", grid_mode=True). Cubic may overshoot at edges.

    Returns:
        `shape` int16 HU, rounded half to even and kept within int16.
    """

    def to_hounsfield(plane: tf.Tensor) -> tf.Tensor:
        return tf.cast(tf.clip_by_value(tf.round(plane[..., 0]), -32768, 32767), tf.int16)

    return _map_planes(hu, shape, kernel, lambda rows: tf.cast(rows, tf.float32)[..., None], to_hounsfield, tf.int16)


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

    def foreground(rows: tf.Tensor) -> tf.Tensor:
        return tf.one_hot(tf.cast(rows, tf.int32) - 1, num_classes - 1)

    def decide(plane: tf.Tensor) -> tf.Tensor:
        background = 1 - tf.reduce_sum(plane, axis=-1, keepdims=True)
        return _decide(tf.concat([background, plane], axis=-1))

    # Rows of the matrices sum to 1, so background need not be resampled, and columns without foreground add nothing.
    box = (_span(tf.reduce_any(labels > 0, axis=(0, 2))), _span(tf.reduce_any(labels > 0, axis=(0, 1))))
    return _map_planes(labels, shape, kernel, foreground, decide, tf.uint8, box)


def _span(mask: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the start and stop of the part of a (n,) bool mask that holds every True; (0, 1) if there is none."""
    found = tf.cast(tf.where(mask)[:, 0], tf.int32)
    nothing = tf.size(found) == 0
    return (tf.where(nothing, 0, tf.reduce_min(found)), tf.where(nothing, 1, tf.reduce_max(found) + 1))


@tf.function(reduce_retracing=True)
def restore(logits: tf.Tensor, shape: tf.Tensor) -> tf.Tensor:
    """Returns labels on the grid that `resample` came from: logits linear in space, then the largest.

    Args:
        logits: (z, y, x, classes) float.
        shape: (3,) int32, the size to return.

    Returns:
        `shape` uint8.
    """
    return _map_planes(logits, shape, "linear", lambda rows: tf.cast(rows, tf.float32), _decide, tf.uint8)


def interpolation_matrix(in_size: tf.Tensor, out_size: tf.Tensor, kernel: str) -> tf.Tensor:
    """Returns the (out_size, in_size) float32 matrix that interpolates along one axis; its rows sum to 1."""
    if kernel not in KERNELS:
        raise ValueError(f"kernel: expected one of {KERNELS}, received: {kernel!r}")
    position = _positions(in_size, out_size)
    if kernel == "nearest":
        nearest = tf.minimum(tf.cast(tf.floor(position + 0.5), tf.int32), in_size - 1)
        return tf.one_hot(nearest, in_size)
    base = tf.floor(position)
    fraction = position - base
    if kernel == "linear":
        taps = {0: 1 - fraction, 1: fraction}
    else:
        taps = {k - 1: weight for k, weight in enumerate(_cubic_b_spline(fraction))}
    matrix = tf.add_n(
        [
            weight[:, None] * tf.one_hot(_mirror(tf.cast(base, tf.int32) + offset, in_size), in_size, dtype=tf.float64)
            for offset, weight in taps.items()
        ]
    )
    if kernel == "cubic":
        matrix = _prefiltered(matrix, in_size)
    return tf.cast(matrix, tf.float32)


def _positions(in_size: tf.Tensor, out_size: tf.Tensor) -> tf.Tensor:
    ratio = tf.cast(in_size, tf.float64) / tf.cast(out_size, tf.float64)
    return (tf.cast(tf.range(out_size), tf.float64) + 0.5) * ratio - 0.5


def _mirror(index: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    folded = tf.math.floormod(index, 2 * size)
    return tf.where(folded < size, folded, 2 * size - 1 - folded)


def _cubic_b_spline(t: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
    """Returns the cubic B-spline at distances 1 + t, t, 1 - t and 2 - t (Unser 1999, IEEE Sig. Proc. Mag. 16(6))."""
    return (1 - t) ** 3 / 6, (4 - 6 * t**2 + 3 * t**3) / 6, (4 - 6 * (1 - t) ** 2 + 3 * (1 - t) ** 3) / 6, t**3 / 6


def _prefiltered(matrix: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """Returns the matrix times the inverse of the spline's values at the samples, so that it interpolates."""
    side = tf.fill([size], tf.constant(1 / 6, tf.float64))
    at_ends = tf.one_hot(0, size, dtype=tf.float64) + tf.one_hot(size - 1, size, dtype=tf.float64)
    middle = 4 / 6 + at_ends / 6  # the mirror image of the first and last sample
    # The system is symmetric, so the transposed right side serves.
    solved = tf.linalg.tridiagonal_solve(tf.stack([side, middle, side]), tf.transpose(matrix), partial_pivoting=False)
    return tf.transpose(solved)


def _map_planes(
    volume: tf.Tensor,
    shape: tf.Tensor,
    kernel: str,
    prepare: Callable[[tf.Tensor], tf.Tensor],
    finish: Callable[[tf.Tensor], tf.Tensor],
    dtype: tf.DType,
    box: tuple[tuple[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]] | None = None,
) -> tf.Tensor:
    """Returns finish(interpolated plane) for every output plane.

    Args:
        volume: (z, y, x, ...) of any dtype.
        shape: (3,) int32 to return.
        kernel: one of KERNELS.
        prepare: takes a few rows (k, y, x, ...) of `volume` to (k, y, x, channels) float32.
        finish: takes a plane (y, x, channels) float32 to (y, x) of `dtype`.
        dtype: of the result.
        box: start and stop along y and along x outside which `prepare` gives zeros; None if it may not.
    """
    size = tf.shape(volume)
    along_z, along_y, along_x = (interpolation_matrix(size[a], shape[a], kernel) for a in range(3))
    if box is not None:
        (low_y, high_y), (low_x, high_x) = box
        volume = volume[:, low_y:high_y, low_x:high_x]
        along_y, along_x = along_y[:, low_y:high_y], along_x[:, low_x:high_x]
    reach = tf.minimum(2 * _CUBIC_REACH if kernel == "cubic" else 2, size[0])
    first = tf.cast(tf.floor(_positions(size[0], shape[0])), tf.int32) + 1 - reach // 2
    first = tf.clip_by_value(first, 0, size[0] - reach)

    def plane(index: tf.Tensor) -> tf.Tensor:
        start = first[index]
        rows = prepare(volume[start : start + reach])
        merged = tf.einsum("k,kyxc->yxc", along_z[index, start : start + reach], rows)
        merged = tf.einsum("Yy,yxc->Yxc", along_y, merged)
        return finish(tf.einsum("Xx,Yxc->YXc", along_x, merged))

    return tf.map_fn(plane, tf.range(shape[0]), fn_output_signature=dtype)


def _decide(plane: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.argmax(plane, axis=-1, output_type=tf.int32), tf.uint8)
