"""Interpolation along one axis, as a matrix.

Voxel centers lie as `Grid.resampled` has them. Beyond the border the input is mirrored about its outer face, as
scipy.ndimage's mode "reflect" does.
"""

import functools
from collections.abc import Callable

import tensorflow as tf

# A function (in_size, out_size) -> (out_size, in_size) float64 matrix.
Kernel = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def interpolation_matrix(in_size: tf.Tensor, out_size: tf.Tensor, kernel: str) -> tf.Tensor:
    """Returns the (out_size, in_size) float32 matrix that interpolates along one axis; its rows sum to 1.

    Args:
        in_size: int32 scalar, number of input samples.
        out_size: int32 scalar, number of output samples.
        kernel: one of KERNELS:
            "nearest": the nearest sample; of two equally near ones the later one.
            "linear": a line between the two neighbors.
            "cubic": the cubic B-spline through the samples; scipy.ndimage.zoom with order=3, mode="reflect" and
                grid_mode=True.
            "linear_fit", "cubic_fit": where there are fewer output than input samples, those whose "linear" or "cubic"
                interpolation is closest to that of the input, in the sense of least squares (Unser, Aldroubi, Eden
                1993, IEEE Trans. Image Processing 2(3)): interpolation's own anti-aliasing. Otherwise the same as
                "linear" and "cubic".

    Raises:
        ValueError: there is no such kernel.
    """
    if kernel not in KERNELS:
        raise ValueError(f"kernel: expected one of {tuple(KERNELS)}, got {kernel!r}")
    return tf.cast(KERNELS[kernel](in_size, out_size), tf.float32)


def _nearest(in_size: tf.Tensor, out_size: tf.Tensor) -> tf.Tensor:
    nearest = tf.cast(tf.floor(_positions(in_size, out_size) + 0.5), tf.int32)
    return tf.one_hot(tf.minimum(nearest, in_size - 1), in_size, dtype=tf.float64)


def _linear(in_size: tf.Tensor, out_size: tf.Tensor) -> tf.Tensor:
    position = _positions(in_size, out_size)
    fraction = position - tf.floor(position)
    return _taps(position, {0: 1 - fraction, 1: fraction}, in_size)


def _cubic(in_size: tf.Tensor, out_size: tf.Tensor) -> tf.Tensor:
    position = _positions(in_size, out_size)
    t = position - tf.floor(position)
    # The cubic B-spline at distances 1 + t, t, 1 - t and 2 - t (Unser 1999, IEEE Signal Processing Magazine 16(6)).
    values = (
        (1 - t) ** 3 / 6,
        (4 - 6 * t**2 + 3 * t**3) / 6,
        (4 - 6 * (1 - t) ** 2 + 3 * (1 - t) ** 3) / 6,
        t**3 / 6,
    )
    splines = _taps(position, {k - 1: value for k, value in enumerate(values)}, in_size)
    # Samples are the splines' values at the centers, 1/6, 4/6, 1/6, with the mirror image of the first and last one.
    # That system is symmetric, so the transposed right side serves.
    side = tf.fill([in_size], tf.constant(1 / 6, tf.float64))
    ends = tf.one_hot(0, in_size, dtype=tf.float64) + tf.one_hot(in_size - 1, in_size, dtype=tf.float64)
    diagonals = tf.stack([side, 4 / 6 + ends / 6, side])
    return tf.transpose(tf.linalg.tridiagonal_solve(diagonals, tf.transpose(splines), partial_pivoting=False))


def _fit(interpolate: Kernel, in_size: tf.Tensor, out_size: tf.Tensor) -> tf.Tensor:
    def solve() -> tf.Tensor:
        # Compared at twice as many positions as there are samples. At the samples alone, a ratio just above 1 would put
        # some of the output samples where no input sees them, and they would amplify noise.
        num_positions = 2 * in_size
        back = interpolate(out_size, num_positions)
        normal = tf.linalg.cholesky(tf.matmul(back, back, transpose_a=True))
        return tf.linalg.cholesky_solve(normal, tf.matmul(back, interpolate(in_size, num_positions), transpose_a=True))

    return tf.cond(out_size < in_size, solve, lambda: interpolate(in_size, out_size))


def _positions(in_size: tf.Tensor, out_size: tf.Tensor) -> tf.Tensor:
    ratio = tf.cast(in_size, tf.float64) / tf.cast(out_size, tf.float64)
    return (tf.cast(tf.range(out_size), tf.float64) + 0.5) * ratio - 0.5


def _taps(position: tf.Tensor, weights: dict[int, tf.Tensor], in_size: tf.Tensor) -> tf.Tensor:
    """Returns the matrix whose row i has weights[k][i] at input index floor(position[i]) + k, mirrored at borders."""
    base = tf.cast(tf.floor(position), tf.int32)
    columns = []
    for offset, weight in weights.items():
        folded = tf.math.floormod(base + offset, 2 * in_size)
        index = tf.where(folded < in_size, folded, 2 * in_size - 1 - folded)
        columns.append(weight[:, None] * tf.one_hot(index, in_size, dtype=tf.float64))
    return tf.add_n(columns)


KERNELS: dict[str, Kernel] = {
    "nearest": _nearest,
    "linear": _linear,
    "cubic": _cubic,
    "linear_fit": functools.partial(_fit, _linear),
    "cubic_fit": functools.partial(_fit, _cubic),
}
