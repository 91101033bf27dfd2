import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from scipy import ndimage
from tensorflow.python.framework import kernels

from kits_tf.config import AugmentationSettings
from kits_tf.pipeline import augment
from kits_tf.pipeline.augment import Warps

SIZE = (8, 10, 12)
SPACING = (3.0, 1.0, 1.5)
MIRRORED = (0, 2, 1, 3)
RNG = np.random.default_rng(0)
HU = RNG.integers(-1000, 1000, (3, *SIZE)).astype(np.int16)
LABELS = RNG.integers(0, 4, (3, *SIZE)).astype(np.uint8)
OFF = AugmentationSettings(
    rotation_zyx_degrees=(0.0, 0.0, 0.0),
    scale_range=(1.0, 1.0),
    flip_zyx_probability=(0.0, 0.0, 0.0),
    crop_shift_fraction=0.0,
)


def fixed(matrix: np.ndarray, shift: tuple = (0, 0, 0), mirrored: bool = False, batch: int = 3) -> Warps:
    return Warps(
        tf.constant(np.broadcast_to(matrix, (batch, 3, 3)), tf.float32),
        tf.constant(np.broadcast_to(shift, (batch, 3)), tf.float32),
        tf.constant([mirrored] * batch),
    )


def warp(warps: Warps, size: tuple = SIZE) -> tuple[np.ndarray, np.ndarray]:
    image, labels = augment.warp(HU, LABELS, warps, size, MIRRORED)
    return image.numpy(), labels.numpy()


def test_nothing_to_do_changes_nothing() -> None:
    image, labels = warp(augment.sample_warps(3, OFF, SIZE, SPACING, (1, 2)))
    np.testing.assert_array_equal(image, HU)
    np.testing.assert_array_equal(labels, LABELS)


def test_flips_are_exact_and_a_mirror_swaps_sides() -> None:
    always = AugmentationSettings(
        rotation_zyx_degrees=(0.0, 0.0, 0.0),
        scale_range=(1.0, 1.0),
        flip_zyx_probability=(0.0, 0.0, 1.0),
        crop_shift_fraction=0.0,
    )
    image, labels = warp(augment.sample_warps(3, always, SIZE, SPACING, (1, 2)))
    np.testing.assert_array_equal(image, HU[..., ::-1])
    np.testing.assert_array_equal(labels, np.array(MIRRORED)[LABELS[..., ::-1]])
    image, labels = warp(fixed(np.diag([-1, -1, 1])))
    np.testing.assert_array_equal(image, HU[:, ::-1, ::-1])
    np.testing.assert_array_equal(labels, LABELS[:, ::-1, ::-1])


def test_a_quarter_turn_is_an_exact_permutation() -> None:
    hu = RNG.integers(-1000, 1000, (1, 4, 9, 9)).astype(np.int16)
    turn = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]])
    image, _ = augment.warp(hu, np.zeros_like(hu), fixed(turn, batch=1), (4, 9, 9), MIRRORED)
    np.testing.assert_array_equal(image[0], np.rot90(hu[0], -1, axes=(1, 2)))


def test_a_crop_is_an_exact_slice() -> None:
    image, labels = warp(fixed(np.eye(3), shift=(1, -1, 2)), size=(4, 6, 6))
    np.testing.assert_array_equal(image, HU[:, 3:7, 1:7, 5:11])
    np.testing.assert_array_equal(labels, LABELS[:, 3:7, 1:7, 5:11])


def test_equals_scipys_affine_transform() -> None:
    strong = AugmentationSettings(rotation_zyx_degrees=(30.0, 20.0, 10.0), scale_range=(0.7, 1.4))
    warps = augment.sample_warps(3, strong, SIZE, SPACING, (5, 6))
    image, labels = warp(warps)
    middle = (np.array(SIZE) - 1) / 2
    for i in range(3):
        matrix, shift = warps.matrix[i].numpy().astype(float), warps.shift[i].numpy().astype(float)
        offset = middle + shift - matrix @ middle
        expected = ndimage.affine_transform(HU[i].astype(float), matrix, offset, order=1, mode="nearest")
        np.testing.assert_allclose(image[i], expected, atol=0.02)
        nearest = ndimage.affine_transform(LABELS[i], matrix, offset, order=0, mode="nearest")
        nearest = np.array(MIRRORED)[nearest] if warps.mirrored[i] else nearest
        assert (labels[i] == nearest).mean() > 0.999  # halves may round either way


def test_rotations_are_rigid_in_millimeters() -> None:
    turning = AugmentationSettings(rotation_zyx_degrees=(40.0, 30.0, 20.0), scale_range=(1.0, 1.0))
    spacing = np.diag(SPACING)
    for matrix in augment.sample_warps(20, turning, SIZE, SPACING, (7, 8)).matrix.numpy().astype(float):
        in_mm = spacing @ matrix @ np.linalg.inv(spacing)
        np.testing.assert_allclose(in_mm @ in_mm.T, np.eye(3), atol=1e-5)


def test_scale_stays_in_its_range_and_magnifies_above_one() -> None:
    scaling = AugmentationSettings(
        rotation_zyx_degrees=(0.0, 0.0, 0.0), scale_range=(0.5, 2.0), flip_zyx_probability=(0.0, 0.0, 0.0)
    )
    steps = augment.sample_warps(400, scaling, SIZE, SPACING, (7, 8)).matrix.numpy()[:, 0, 0]
    assert 0.5 <= steps.min() < 0.55 and 1.8 < steps.max() <= 2.0
    assert abs((steps < 1).mean() - 0.5) < 0.1


@pytest.mark.parametrize(
    "change",
    [
        {"rotation_zyx_degrees": (9.0, 0.0, 0.0)},
        {"scale_range": (0.8, 0.9)},
        {"flip_zyx_probability": (1.0, 0.0, 0.0)},
        {"crop_shift_fraction": 0.3},
    ],
)
def test_every_option_changes_the_output(change: dict) -> None:
    settings = AugmentationSettings(**{**vars(OFF), **change})
    image, _ = warp(augment.sample_warps(3, settings, SIZE, SPACING, (1, 2)))
    assert (image != HU).any()


def test_a_batch_equals_its_examples_and_a_seed_repeats() -> None:
    warps = augment.sample_warps(3, AugmentationSettings(), SIZE, SPACING, (1, 2))
    image, labels = warp(warps)
    for i in range(3):
        one = Warps(*[part[i : i + 1] for part in warps])
        alone = augment.warp(HU[i : i + 1], LABELS[i : i + 1], one, SIZE, MIRRORED)
        # On some processors a matrix product of one example rounds otherwise than that of a batch.
        np.testing.assert_allclose(alone[0][0], image[i], rtol=0, atol=0.01)
        np.testing.assert_array_equal(alone[1][0], labels[i])
    again = augment.sample_warps(3, AugmentationSettings(), SIZE, SPACING, (1, 2))
    other = augment.sample_warps(3, AugmentationSettings(), SIZE, SPACING, (1, 3))
    np.testing.assert_array_equal(warps.matrix, again.matrix)
    assert (warps.matrix.numpy() != other.matrix.numpy()).any()


@given(
    st.tuples(*[st.floats(0, 90)] * 3), st.floats(0.5, 1.0), st.floats(0, 0.5), st.integers(0, 2**31 - 1),
    st.tuples(*[st.floats(0.5, 5)] * 3),
)  # fmt: skip
@hypothesis_settings(max_examples=30)
def test_no_warp_looks_beyond_what_was_read(
    rotation: tuple, scale: float, shift: float, seed: int, spacing: tuple
) -> None:
    settings = AugmentationSettings(rotation_zyx_degrees=rotation, scale_range=(scale, 1.2), crop_shift_fraction=shift)
    read = np.array(augment.read_size(settings, SIZE, spacing))
    warps = augment.sample_warps(200, settings, SIZE, spacing, (seed, 1))
    reach = (np.abs(warps.matrix) @ ((np.array(SIZE) - 1) / 2) + np.abs(warps.shift)).max(axis=0)
    assert (reach <= (read - 1) / 2 * 1.02 + 0.5).all()  # angles between those that read_size tries


def test_reads_no_more_than_the_patch_when_nothing_is_to_change() -> None:
    assert augment.read_size(OFF, SIZE, SPACING) == SIZE


def test_every_op_has_a_gpu_kernel() -> None:
    @tf.function(input_signature=[tf.TensorSpec([2, *SIZE], tf.int16), tf.TensorSpec([2, *SIZE], tf.uint8)])
    def step(hu: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        warps = augment.sample_warps(tf.shape(hu)[0], AugmentationSettings(), SIZE, SPACING, tf.constant([1, 2]))
        return augment.warp(hu, labels, warps, SIZE, MIRRORED)

    for operation in {op.type for op in step.get_concrete_function().graph.get_operations()}:
        if operation in ("Placeholder", "Const", "Identity", "NoOp", "StatelessRandomGetAlg"):
            continue
        devices = {kernel.device_type for kernel in kernels.get_registered_kernels_for_op(operation).kernel}
        assert devices & {"GPU", "DEFAULT"}, f"{operation} runs only on {devices}"
