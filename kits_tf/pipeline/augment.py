"""Random rotation, scale, flip and crop on the device: one warp for image and label.

Chance (`sample_warps`) is apart from effect (`warp`). A warp is an affine map from offsets in the patch to offsets
in the larger patch that was read; rotations are in mm, so they are rigid on voxels of any shape.
"""

import itertools
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from kits_tf.config import AugmentationSettings


class Warps(NamedTuple):
    """The spatial change of each example of a batch.

    Attributes:
        matrix: (batch, 3, 3) float32; takes a voxel offset (z, y, x) from the middle of the result to one from the
            middle of the source.
        shift: (batch, 3) float32 voxels, added to the source offset.
        mirrored: (batch,) bool, whether left and right change places.
    """

    matrix: tf.Tensor
    shift: tf.Tensor
    mirrored: tf.Tensor


def sample_warps(
    batch_size: tf.Tensor,
    settings: AugmentationSettings,
    patch_size: tuple[int, int, int],
    spacing_zyx_mm: tuple[float, float, float],
    seed: tf.Tensor,
) -> Warps:
    """Returns random warps; the same seed, (2,) int32, gives the same ones.

    Magnification is log-uniform, rotation angles and the shift are uniform.
    """
    seeds = tf.random.experimental.stateless_split(seed, 4)
    angle_limit = tf.constant(np.deg2rad(settings.rotation_zyx_degrees), tf.float32)
    angles = tf.random.stateless_uniform([batch_size, 3], seeds[0], -1.0, 1.0) * angle_limit
    low, high = np.log(settings.scale_range)
    scale = tf.exp(tf.random.stateless_uniform([batch_size, 1], seeds[1]) * (high - low) + low)
    flips = tf.random.stateless_uniform([batch_size, 3], seeds[2]) < tf.constant(settings.flip_zyx_probability)
    shift_limit = settings.crop_shift_fraction * tf.constant(patch_size, tf.float32)
    shift = tf.random.stateless_uniform([batch_size, 3], seeds[3], -1.0, 1.0) * shift_limit
    zoom = tf.where(flips, -1.0, 1.0) / scale
    spacing = tf.constant(spacing_zyx_mm, tf.float32)
    matrix = _rotations(angles) * (zoom * spacing)[:, None, :] / spacing[:, None]
    return Warps(matrix, shift, flips[:, 2])


def _rotations(angles: tf.Tensor) -> tf.Tensor:
    """Returns (batch, 3, 3) rotations about z, then y, then x; angles (batch, 3) in radians, axes (z, y, x)."""
    cos, sin = tf.cos(angles), tf.sin(angles)
    one, zero = tf.ones_like(cos[:, 0]), tf.zeros_like(cos[:, 0])

    def rows(*entries: tf.Tensor) -> tf.Tensor:
        return tf.reshape(tf.stack(entries, axis=1), [-1, 3, 3])

    about_z = rows(one, zero, zero, zero, cos[:, 0], -sin[:, 0], zero, sin[:, 0], cos[:, 0])
    about_y = rows(cos[:, 1], zero, -sin[:, 1], zero, one, zero, sin[:, 1], zero, cos[:, 1])
    about_x = rows(cos[:, 2], -sin[:, 2], zero, sin[:, 2], cos[:, 2], zero, zero, zero, one)
    return about_x @ about_y @ about_z


def read_size(
    settings: AugmentationSettings, patch_size: tuple[int, int, int], spacing_zyx_mm: tuple[float, float, float]
) -> tuple[int, int, int]:
    """Returns the voxels (z, y, x) to read so that no warp looks beyond them; patch_size if nothing is to change."""
    limits = np.deg2rad(settings.rotation_zyx_degrees)
    angles = np.array([*itertools.product(*[np.linspace(-limit, limit, 9) for limit in limits])], np.float32)
    spacing = np.array(spacing_zyx_mm)
    rotations = np.abs(_rotations(tf.constant(angles)).numpy()) * spacing / spacing[:, None]
    reach = (rotations @ (np.array(patch_size) - 1)).max(axis=0) / settings.scale_range[0]
    reach = reach + 2 * settings.crop_shift_fraction * np.array(patch_size)
    # Sizes stay even or odd as the patch is, so that both middles fall on the same kind of place.
    grown = np.array(patch_size) + 2 * np.ceil((reach - np.array(patch_size) + 1) / 2 - 1e-4).astype(int)
    z, y, x = grown.tolist()
    return z, y, x


def warp(
    hu: tf.Tensor, labels: tf.Tensor, warps: Warps, patch_size: tuple[int, int, int], mirrored_labels: tuple[int, ...]
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the warped patches: the image linear in space, the labels from the nearest voxel.

    Args:
        hu: (batch, z, y, x) of any number type.
        labels: the same shape, integers.
        warps: one for each example.
        patch_size: voxels of the result.
        mirrored_labels: the label that each label becomes in a mirrored example.

    Returns:
        hu (batch, *patch_size) float32 and labels (batch, *patch_size) int32. Beyond the source its border goes on.
    """
    batch, size = tf.shape(hu)[0], tf.shape(hu)[1:]
    position = _source_positions(warps, patch_size, size)
    flat_hu = tf.reshape(tf.cast(hu, tf.float32), [batch, -1])
    flat_labels = tf.reshape(tf.cast(labels, tf.int32), [batch, -1])
    base = [tf.floor(p) for p in position]
    fraction = [p - b for p, b in zip(position, base, strict=True)]
    image = tf.zeros_like(position[0])
    for corner in itertools.product((0, 1), repeat=3):
        weight = tf.ones_like(image)
        for offset, part in zip(corner, fraction, strict=True):
            weight *= part if offset else 1 - part
        index = _flat_index([b + o for b, o in zip(base, corner, strict=True)], size)
        image += weight * tf.gather(flat_hu, index, batch_dims=1)
    nearest = tf.gather(flat_labels, _flat_index([tf.floor(p + 0.5) for p in position], size), batch_dims=1)
    swapped = tf.gather(tf.constant(mirrored_labels, tf.int32), nearest)
    nearest = tf.where(warps.mirrored[:, None], swapped, nearest)
    shape = [batch, *patch_size]
    return tf.reshape(image, shape), tf.reshape(nearest, shape)


def _source_positions(warps: Warps, patch_size: tuple[int, int, int], size: tf.Tensor) -> list[tf.Tensor]:
    """Returns the source index along z, y and x of every voxel of the result, each (batch, voxels) float32."""
    axes = [tf.range(n, dtype=tf.float32) - (n - 1) / 2 for n in patch_size]
    offsets = tf.stack([tf.reshape(g, [-1]) for g in tf.meshgrid(*axes, indexing="ij")])
    middle = (tf.cast(size, tf.float32) - 1) / 2
    moved = warps.matrix @ offsets + (warps.shift + middle)[:, :, None]
    return tf.unstack(moved, num=3, axis=1)


def _flat_index(position: list[tf.Tensor], size: tf.Tensor) -> tf.Tensor:
    z, y, x = (tf.clip_by_value(tf.cast(p, tf.int32), 0, size[a] - 1) for a, p in enumerate(position))
    return (z * size[1] + y) * size[2] + x
