"""Chance in space: how a patch is rotated, magnified, mirrored and bent, and which box of the scan that needs.

`lookup` is the effect. Rotations and magnifications are in mm, so they are rigid on voxels of any shape.
"""

import math
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from kits_tf.config import WarpSettings
from kits_tf.ct.geometry import Spacing, Triple

# Kinds of warps, by the work that they need: voxels only change places, move within their planes, move anywhere, or are
# bent too.
EXACT = 0
IN_PLANE = 1
AFFINE = 2
BENT = 3

# Neighbors along an axis, before and after the place looked up, that a kernel weighs.
SUPPORT = {"linear": (0, 1), "cubic": (1, 2)}

# Positions are float32; this many voxels is more than their error.
_SLACK = 1e-3


class Warp(NamedTuple):
    """Where the voxels of a patch come from: from offset `matrix @ offset + bend` of the source's middle.

    Offsets are voxels (z, y, x) from the middle of the patch.

    Attributes:
        kind: int32, EXACT to BENT.
        matrix: (3, 3) float32.
        bend: (3, gz, gy, gx) float32 voxels, displacements of the control points of cubic B-splines; (3, 0, 0, 0) if
            the settings bend nothing.
        mirrored: int32, 1 if left and right change places, otherwise 0. (Keras cannot hand bool to several replicas.)
    """

    kind: tf.Tensor
    matrix: tf.Tensor
    bend: tf.Tensor
    mirrored: tf.Tensor


def sample_warp(seed: tf.Tensor, settings: WarpSettings, patch_size: Triple, spacing_zyx_mm: Spacing) -> Warp:
    """Returns the warp that belongs to a seed.

    Magnifications are log-uniform in their range; angles, either way, and displacements are uniform.

    Args:
        seed: (2,) int32.
        settings: chances and ranges.
        patch_size: voxels (z, y, x) of the patch.
        spacing_zyx_mm: voxel size of the records.
    """
    seeds = tf.unstack(tf.random.experimental.stateless_split(seed, 6))
    chances = tf.random.stateless_uniform([4], seeds[0], alg="philox")

    def symmetric(shape: list[int], which: int) -> tf.Tensor:
        return tf.random.stateless_uniform(shape, seeds[which], -1.0, 1.0, alg="philox")

    def magnification(size: int, bounds: tuple[float, float], which: int) -> tf.Tensor:
        low, high = np.log(bounds)
        return tf.exp(tf.random.stateless_uniform([size], seeds[which], alg="philox") * (high - low) + low)

    probabilities = [
        settings.rotation_probability,
        settings.scale_probability,
        settings.axis_scale_probability,
        settings.elastic_probability,
    ]
    rotated, scaled, axes_scaled, bent = tf.unstack(chances < tf.constant(probabilities, tf.float32))
    angles = symmetric([3], 1) * tf.constant(np.deg2rad(settings.rotation_zyx_degrees), tf.float32)
    angles = tf.where(rotated, angles, 0.0)
    scale = tf.where(scaled, magnification(1, settings.scale_range, 2), 1.0)
    scale *= tf.where(axes_scaled, magnification(3, settings.axis_scale_range, 3), 1.0)
    flips = tf.random.stateless_uniform([3], seeds[4], alg="philox") < tf.constant(
        settings.flip_zyx_probability, tf.float32
    )
    zoom = tf.where(flips, -1.0, 1.0) / scale
    spacing = tf.constant(spacing_zyx_mm, tf.float32)
    matrix = rotation_matrix(angles) * (zoom * spacing) / spacing[:, None]
    most = (settings.elastic_mm / spacing)[:, None, None, None]
    bend = tf.where(bent, symmetric([3, *_control_points(settings, patch_size, spacing_zyx_mm)], 5) * most, 0.0)
    return Warp(_kind(matrix, bent), matrix, bend, tf.cast(flips[2], tf.int32))


def rotation_matrix(angles: tf.Tensor) -> tf.Tensor:
    """Returns the (3, 3) rotation about z, then y, then x; angles (3,) in radians, axes (z, y, x)."""
    cos, sin = tf.unstack(tf.cos(angles)), tf.unstack(tf.sin(angles))
    about_z = [[1.0, 0.0, 0.0], [0.0, cos[0], -sin[0]], [0.0, sin[0], cos[0]]]
    about_y = [[cos[1], 0.0, -sin[1]], [0.0, 1.0, 0.0], [sin[1], 0.0, cos[1]]]
    about_x = [[cos[2], -sin[2], 0.0], [sin[2], cos[2], 0.0], [0.0, 0.0, 1.0]]
    return tf.stack(about_x) @ tf.stack(about_y) @ tf.stack(about_z)


def source_box(warp: Warp, patch_size: Triple, kernel: str) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the box that a warped patch looks into, as small as it may be.

    Args:
        warp: warp of the patch.
        patch_size: voxels (z, y, x) of the result.
        kernel: interpolation of the image, "linear" or "cubic".

    Returns:
        start and size, (3,) int32 voxels. The start counts from the voxel that the patch is cut around, which is voxel
        size // 2 of a patch that is not warped.
    """
    reach = tf.linalg.matvec(tf.abs(warp.matrix), _half(patch_size)) + _most_bend(warp.bend)
    middle = _middle(patch_size)
    between = warp.kind > tf.constant([IN_PLANE, EXACT, EXACT])
    before, after = SUPPORT[kernel]
    low = tf.where(between, tf.floor(middle - reach - _SLACK) - before, tf.round(middle - reach))
    high = tf.where(between, tf.floor(middle + reach + _SLACK) + after, tf.round(middle + reach))
    return tf.cast(low, tf.int32), tf.cast(high - low, tf.int32) + 1


def source_origin(warp: Warp, start: tf.Tensor, patch_size: Triple) -> tf.Tensor:
    """Returns where voxel (0, 0, 0) of a warped patch lies in the box that starts at `start`: (3,) float32."""
    return _middle(patch_size) - tf.cast(start, tf.float32) - tf.linalg.matvec(warp.matrix, _half(patch_size))


def spline_matrix(size: int, points: int) -> NDArray[np.float32]:
    """Returns the (size, points) matrix from control points to voxels: cubic B-splines, rows that sum to 1.

    The first voxel lies at the second control point, the last voxel at the last but one.
    """
    position = np.linspace(1, points - 2, size)
    distance = np.abs(position[:, None] - np.arange(points))
    inner = 2 / 3 - distance**2 + distance**3 / 2
    outer = np.maximum(2 - distance, 0) ** 3 / 6
    return np.where(distance < 1, inner, outer).astype(np.float32)


def _control_points(settings: WarpSettings, patch_size: Triple, spacing_zyx_mm: Spacing) -> Triple:
    if settings.elastic_probability == 0 or settings.elastic_mm == 0:
        return 0, 0, 0
    extents = (size * mm for size, mm in zip(patch_size, spacing_zyx_mm, strict=True))
    z, y, x = (max(1, math.floor(extent / settings.elastic_spacing_mm)) + 3 for extent in extents)
    return z, y, x


def _kind(matrix: tf.Tensor, bent: tf.Tensor) -> tf.Tensor:
    off_plane = tf.abs(tf.stack([matrix[0, 1], matrix[0, 2], matrix[1, 0], matrix[2, 0], tf.abs(matrix[0, 0]) - 1]))
    affine = tf.where(tf.reduce_any(off_plane > 0), AFFINE, IN_PLANE)
    unmoved = tf.reduce_all(tf.abs(matrix) == tf.eye(3))
    return tf.where(bent, BENT, tf.where(unmoved, EXACT, affine))


def _most_bend(bend: tf.Tensor) -> tf.Tensor:
    """Returns the most that any voxel is displaced along each axis: no more than a control point, as rows sum to 1."""
    return tf.reduce_max(tf.abs(tf.pad(tf.reshape(bend, [3, -1]), [[0, 0], [0, 1]])), axis=1)


def _half(patch_size: Triple) -> tf.Tensor:
    """Returns how far the first voxel of a patch is from its middle along each axis."""
    return tf.constant([(n - 1) / 2 for n in patch_size], tf.float32)


def _middle(patch_size: Triple) -> tf.Tensor:
    """Returns the middle of a patch, counted from its voxel size // 2: 0, or -1/2 where the size is even."""
    return tf.constant([(n - 1) / 2 - n // 2 for n in patch_size], tf.float32)
