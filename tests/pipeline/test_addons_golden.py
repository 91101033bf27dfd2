"""Our functions beside what tensorflow-addons made of the same inputs: tests_addons/freeze.py writes the file.

`make test-addons` runs the same tests on what tensorflow-addons makes of other inputs.
"""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from kits_tf.ct.preprocess import resample
from kits_tf.pipeline.appearance import blur, gaussian_kernel
from kits_tf.pipeline.lookup import Source, look_up
from kits_tf.pipeline.warp import AFFINE, EXACT, IN_PLANE, Warp, rotation_matrix, source_box, source_origin

GOLDEN = Path(__file__).parent.parent / "golden" / "addons.npz"
Findings = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def findings() -> Findings:
    with np.load(GOLDEN) as stored:
        return dict(stored)


def check_look_up(findings: Findings, which: str, matrices: np.ndarray, kind: int) -> None:
    """Checks warps of the patch in the middle of the volume, cut from the box that each of them needs."""
    images, labels = findings[f"{which}_image"], findings[f"{which}_labels"]
    assert len(images) == len(labels) == len(matrices)
    same = []
    for matrix, expected_image, expected_labels in zip(matrices, images, labels, strict=True):
        patch_size = expected_image.shape
        warp = Warp(tf.constant(kind), tf.constant(matrix, tf.float32), tf.zeros([3, 0, 0, 0]), mirrored=tf.constant(0))
        start, size = source_box(warp, patch_size, "linear")
        low = np.array(findings["hu"].shape) // 2 + start.numpy()
        high = low + size.numpy()
        assert (low >= 0).all() and (high <= findings["hu"].shape).all()
        box = tuple(map(slice, low, high))
        cut = [tf.constant(findings[name][box].ravel()) for name in ("hu", "labels")]
        source = Source(*cut, size, source_origin(warp, start, patch_size))
        hu, found = look_up(source, warp, patch_size, "linear", (0, 1, 2, 3))
        np.testing.assert_allclose(hu, expected_image, rtol=0, atol=0.02)  # neighbors differ by up to 2000 HU
        same.append(found.numpy() == expected_labels)
    assert np.mean(same) > 0.999  # halves may round either way


def in_plane(matrices: np.ndarray) -> np.ndarray:
    """Returns (n, 2, 2) matrices, axes (y, x), as (n, 3, 3) ones that leave z as it is."""
    full = np.tile(np.eye(3), (len(matrices), 1, 1))
    full[:, 1:, 1:] = matrices
    return full


@pytest.mark.parametrize("kind", [IN_PLANE, AFFINE])
def test_rotations_are_addons_rotate(findings: Findings, kind: int) -> None:
    # As displayed, y downward, tensorflow-addons turns counterclockwise and we turn clockwise.
    radians = -np.deg2rad(findings["degrees"])
    check_look_up(findings, "rotated", np.stack([rotation_matrix(tf.constant([r, 0, 0])) for r in radians]), kind)


@pytest.mark.parametrize("kind", [EXACT, IN_PLANE, AFFINE])
def test_flips_are_addons_transform(findings: Findings, kind: int) -> None:
    check_look_up(findings, "flips", in_plane(findings["flips"]), kind)


@pytest.mark.parametrize("kind", [IN_PLANE, AFFINE])
def test_scales_and_what_is_mixed_are_addons_transform(findings: Findings, kind: int) -> None:
    check_look_up(findings, "mixed", in_plane(findings["mixed"]), kind)


def test_blur_is_addons_gaussian_filter(findings: Findings) -> None:
    assert len(findings["blurred"]) == len(findings["sigmas"])
    for sigma, blurred in zip(findings["sigmas"], findings["blurred"], strict=True):
        ours = blur(tf.constant(findings["sharp"]), gaussian_kernel(sigma, sigma))
        np.testing.assert_allclose(ours, blurred, rtol=0, atol=1e-5)


@pytest.mark.parametrize("which", ["finer", "coarser", "finer_and_coarser"])
def test_linear_resampling_is_addons_transform(findings: Findings, which: str) -> None:
    expected = findings[f"resampled_{which}"]
    found = resample(tf.constant(findings["scan"]), expected.shape, "linear").numpy()
    np.testing.assert_allclose(found.astype(np.float32), expected, rtol=0, atol=0.51)  # rounded to int16


def test_the_loss_is_addons_focal_loss(findings: Findings) -> None:
    from kits_tf.network.losses.cross_entropy import (
        WeightedCrossEntropy,  # Keras 3, which is not where tensorflow-addons is
    )

    logits = np.stack([np.zeros_like(findings["logits"]), findings["logits"]], axis=-1)
    for (alpha, gamma), expected in zip(findings["alphas_and_gammas"], findings["losses"], strict=True):
        losses = WeightedCrossEntropy([1 - alpha, alpha], float(gamma)).call(findings["classes"], logits)
        np.testing.assert_allclose(losses, expected, rtol=1e-5, atol=1e-6)
