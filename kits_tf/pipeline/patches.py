"""A case -> one patch: its place, and no more of the case than its warp needs."""

import math
from collections.abc import Mapping

import tensorflow as tf

from kits_tf.config import PatchSettings
from kits_tf.ct.geometry import Spacing, Triple
from kits_tf.ct.volume import AIR_HU
from kits_tf.pipeline.augment import Augmentation, TrainingPatches, sample_augmentation
from kits_tf.pipeline.lookup import Source
from kits_tf.pipeline.recipe import PatchRecipe
from kits_tf.pipeline.warp import source_box, source_origin

# The label of every voxel where a case has no mask.
NO_LABEL = 255
_CASE_ID_BYTES = 32


def patch_seed(seed: int, epoch: tf.Tensor, case_id: tf.Tensor, patch_index: tf.Tensor) -> tf.Tensor:
    """Returns the seed of one patch, (2,) int32: where it lies and what happens to it follow from this alone.

    Args:
        seed: random seed of the run.
        epoch: () int64, from 0.
        case_id: () string.
        patch_index: () int32, index of the patch among this case's patches in this epoch.
    """
    case = tf.strings.to_hash_bucket_fast(case_id, 2**31 - 1)
    run = tf.stack([tf.constant(seed, tf.int32), tf.cast(epoch, tf.int32)])
    of_case = tf.random.experimental.stateless_fold_in(run, tf.cast(case, tf.int32))
    return tf.random.experimental.stateless_fold_in(of_case, patch_index)


def draw_patch(
    case: Mapping[str, tf.Tensor],
    seed: tf.Tensor,
    recipe: PatchRecipe,
    spacing_zyx_mm: Spacing,
    around: tf.Tensor | None = None,
) -> TrainingPatches:
    """Returns the training patch that belongs to a seed, with no more of the case than its warp needs.

    Args:
        case: case as parsed by CASE_SPEC.
        seed: (2,) int32, as `patch_seed` gives it.
        recipe: recipe of the patch.
        spacing_zyx_mm: voxel size of the records.
        around: voxel (3,) int32 to cut it around; by default one that is drawn, shifted, and moved into the scan.

    Returns:
        One example of a batch.
    """
    augmentation = sample_augmentation(_seeds(seed)[0], recipe, spacing_zyx_mm)
    if around is None:
        around = draw_place(case, seed, recipe.patches)
    size = recipe.patches.patch_size_zyx
    return cut_source(case, around, augmentation, size, recipe.warp.warp_kernel)


def draw_place(case: Mapping[str, tf.Tensor], seed: tf.Tensor, patches: PatchSettings) -> tf.Tensor:
    """Returns the voxel (3,) int32 that the training patch of a seed lies around: drawn, shifted, moved into the scan.

    Args:
        case: case as parsed by CASE_SPEC.
        seed: (2,) int32, as `patch_seed` gives it.
        patches: settings of the patches.
    """
    _, center_seed, shift_seed = _seeds(seed)
    shape, size = tf.shape(case["hu"]), patches.patch_size_zyx
    center = draw_center(case["class_voxels"], shape, patches.foreground_fraction, center_seed)
    most = patches.crop_shift_fraction * tf.constant(size, tf.float32)
    shift = tf.random.stateless_uniform([3], shift_seed, -1.0, 1.0, alg="philox") * most
    return move_inside(center + tf.cast(tf.round(shift), tf.int32), shape, size)


def cut_source(
    case: Mapping[str, tf.Tensor], center: tf.Tensor, augmentation: Augmentation, patch_size: Triple, kernel: str
) -> TrainingPatches:
    """Returns the patch around a voxel: one example of a batch for `augment.augment_batch`.

    Args:
        case: hu (z, y, x) int16, labels (z, y, x) uint8 or empty, case_id () string.
        center: voxel (3,) int32 that the patch lies around.
        augmentation: augmentation that the patch will undergo.
        patch_size: voxels (z, y, x) of the patch once it is augmented.
        kernel: interpolation of the image, "linear" or "cubic".
    """
    start, size = source_box(augmentation.warp, patch_size, kernel)
    hu, labels = cut_case(case, center + start, size)
    length = capacity(tf.reduce_prod(size), patch_size)
    flat_hu, flat_labels = _filled(hu, length), _filled(labels, length)
    origin = source_origin(augmentation.warp, start, patch_size)
    case_id = tf.io.decode_raw(case["case_id"], tf.uint8, fixed_length=_CASE_ID_BYTES)
    return TrainingPatches(Source(flat_hu, flat_labels, size, origin), augmentation, case_id)


def case_ids(patches: TrainingPatches) -> list[str]:
    """Returns the case of each patch of a batch, cut after 32 bytes."""
    return [bytes(row).rstrip(b"\0").decode(errors="replace") for row in patches.case_id.numpy()]


def draw_center(class_voxels: tf.Tensor, shape: tf.Tensor, foreground_fraction: float, seed: tf.Tensor) -> tf.Tensor:
    """Returns the voxel (z, y, x) int32 that a patch is cut around.

    With the chance `foreground_fraction` it is a voxel of a foreground class, each class that is present equally
    often; otherwise, or if there is no foreground, any voxel.

    Args:
        class_voxels: rows (class, z, y, x) int32.
        shape: (3,) int32, voxels of the case.
        foreground_fraction: 0..1.
        seed: (2,) integers.
    """
    chance = tf.random.stateless_uniform([3], seed)
    anywhere = tf.random.stateless_uniform([3], tf.random.experimental.stateless_fold_in(seed, 1))

    def foreground() -> tf.Tensor:
        present, _ = tf.unique(class_voxels[:, 0])
        chosen = present[_index(chance[1], tf.size(present))]
        rows = tf.boolean_mask(class_voxels[:, 1:], class_voxels[:, 0] == chosen)
        return rows[_index(chance[2], tf.shape(rows)[0])]

    in_foreground = (chance[0] < foreground_fraction) & (tf.shape(class_voxels)[0] > 0)
    return tf.cond(in_foreground, foreground, lambda: _index(anywhere, shape))


def move_inside(center: tf.Tensor, shape: tf.Tensor, size: Triple) -> tf.Tensor:
    """Returns the center moved, where it has to be, so that its patch lies within the scan, as all windows do.

    Otherwise patches around any voxel show much of the air beyond the border, and less of the body: of 40 voxels in
    100, cut around any of them, a tenth lies outside on average, and so along each axis.

    Args:
        center: voxel (z, y, x) int32.
        shape: (3,) int32, voxels of the case; where it is smaller than the patch, it lies in the patch's middle.
        size: voxels (z, y, x) of the patch before it is warped.
    """
    half, room = tf.constant(size) // 2, shape - tf.constant(size)
    start = tf.clip_by_value(center - half, 0, tf.maximum(room, 0))
    return half + tf.where(room < 0, -(-room // 2), start)


def cut_case(case: Mapping[str, tf.Tensor], start: tf.Tensor, size: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the box of a case: HU, air beyond the border, and labels, background beyond it.

    Args:
        case: hu (z, y, x) int16 and labels (z, y, x) uint8; without a mask labels are empty, and NO_LABEL is returned.
        start: first voxel (3,) int32 of the box, which may lie outside of the case.
        size: voxels (3,) int32 of the box.
    """
    hu = cut_box(case["hu"], start, size, AIR_HU)
    has_mask = tf.size(case["labels"]) > 0
    labels = tf.cond(
        has_mask,
        lambda: cut_box(case["labels"], start, size, 0),
        lambda: tf.fill(size, tf.constant(NO_LABEL, tf.uint8)),
    )
    return hu, labels


def cut_box(volume: tf.Tensor, start: tf.Tensor, size: tf.Tensor, outside: int) -> tf.Tensor:
    """Returns the box of a volume; beyond the border it holds a value.

    Args:
        volume: (z, y, x) of any type.
        start: first voxel (3,) int32 of the box.
        size: voxels (3,) int32 of the box.
        outside: value beyond the border.
    """
    low = tf.clip_by_value(start, 0, tf.shape(volume))
    high = tf.clip_by_value(start + size, low, tf.shape(volume))
    inside = tf.slice(volume, low, high - low)
    before = tf.clip_by_value(low - start, 0, size)
    padding = tf.stack([before, size - (high - low) - before], axis=1)
    return tf.pad(inside, padding, constant_values=tf.cast(outside, volume.dtype))


def capacity(voxels: tf.Tensor, patch_size: Triple) -> tf.Tensor:
    """Returns the least of 1, 1.5, 2, 3, 4, 6, 8, ... patches that holds a number of voxels.

    Each length that arrives at the device is compiled for once.
    """
    patch = math.prod(patch_size)
    lengths = [length for power in range(12) for length in (patch << power, 3 * (patch << power) // 2)]
    lengths = tf.constant([length for length in lengths if length <= tf.int32.max])
    fits = lengths >= voxels
    return tf.where(tf.reduce_any(fits), tf.reduce_min(tf.where(fits, lengths, tf.int32.max)), voxels)


def _seeds(seed: tf.Tensor) -> list[tf.Tensor]:
    """Returns the seeds of a patch's augmentation, of its center, and of its shift."""
    return tf.unstack(tf.random.experimental.stateless_split(seed, 3))


def _filled(box: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
    flat = tf.reshape(box, [-1])
    return tf.pad(flat, [[0, length - tf.size(flat)]])


def _index(uniform: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """Returns floor(uniform * size), kept below size where rounding would reach it."""
    return tf.minimum(tf.cast(uniform * tf.cast(size, tf.float32), tf.int32), size - 1)
