"""The rules of `ct.geometry` in TensorFlow, so that a graph can take a scan in any axis order.

The rules are `geometry.orientation` and `geometry.resampled_shape`; tests compare each pair, on all 48 axis codes and
at halves.
"""

import numpy as np
import tensorflow as tf

from kits_tf.ct.geometry import CANONICAL_WORLD_AXES, PERMUTATIONS, Spacing

_PERMUTATIONS = np.array(PERMUTATIONS, np.int32)


def orientation(affine: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Returns how stored axes (i, j, k) become (z, y, x), from a (4, 4) float affine.

    Returns:
        permutation: (3,) int32, the stored axis that becomes each axis.
        flips: (3,) bool, whether it is reversed on the way.
        spacing_mm: (3,) of the affine's dtype, voxel sizes (z, y, x).
    """
    axes = affine[:3, :3]
    sizes = tf.sqrt(tf.reduce_sum(axes**2, axis=0))
    cosines = tf.gather(axes / sizes, CANONICAL_WORLD_AXES)  # rows: world axes of z, y, x
    along = tf.stack([tf.add_n([tf.abs(cosines[a, p[a]]) for a in range(3)]) for p in PERMUTATIONS])
    permutation = tf.gather(_PERMUTATIONS, tf.argmax(along, output_type=tf.int32))
    chosen = tf.linalg.diag_part(tf.gather(cosines, permutation, axis=1))
    return permutation, chosen > 0, tf.gather(sizes, permutation)


def resampled_shape(shape: tf.Tensor, spacing_mm: tf.Tensor, new_spacing_mm: Spacing) -> tf.Tensor:
    """Returns `geometry.resampled_shape`, (3,) int32; shape is (3,) int32, spacing_mm (3,) float64."""
    size = tf.cast(shape, tf.float64) * spacing_mm / tf.constant(new_spacing_mm, tf.float64)
    return tf.maximum(1, tf.cast(tf.round(size), tf.int32))


def reorient(array: tf.Tensor, permutation: tf.Tensor, flips: tf.Tensor) -> tf.Tensor:
    """Returns a stored (i, j, k) array as (z, y, x)."""
    return _flip(tf.transpose(array, permutation), flips)


def undo_reorient(array: tf.Tensor, permutation: tf.Tensor, flips: tf.Tensor) -> tf.Tensor:
    """Returns a (z, y, x, ...) array in stored order (i, j, k, ...); the exact inverse of `reorient`."""
    others = tf.range(3, array.shape.rank)
    return tf.transpose(_flip(array, flips), tf.concat([tf.math.invert_permutation(permutation), others], axis=0))


def _flip(array: tf.Tensor, flips: tf.Tensor) -> tf.Tensor:
    # Not tf.reverse: which axes to flip is known only when the graph runs. GPUs reverse 16 bits as float16 only.
    bits = tf.bitcast(array, tf.float16) if array.dtype.size == 2 else array
    reversed_bits = tf.raw_ops.Reverse(tensor=bits, dims=tf.pad(flips, [[0, array.shape.rank - 3]]))
    return tf.bitcast(reversed_bits, array.dtype)
