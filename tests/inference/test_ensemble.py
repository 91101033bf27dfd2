"""Ensembles of toy networks: mirror images put back, sides swapped back, averages and disagreement by hand."""

import numpy as np
import pytest
import tensorflow as tf

from kits_tf.config import IntensitySettings
from kits_tf.ct.labels import LATERALITY
from kits_tf.inference.ensemble import Ensemble

RNG = np.random.default_rng(5)
HU = RNG.integers(-200, 400, (2, 3, 4, 6)).astype(np.int16)
# Neither clipped nor scaled, so that a toy network sees the HU.
PLAIN = IntensitySettings(window_hu=(-10000.0, 10000.0), mean_hu=0.0, std_hu=1.0)


def by_side(image: tf.Tensor, training: bool) -> tf.Tensor:
    """Logits of a toy that finds 'right' in the half of small x and 'left' in the other, where it is bright."""
    assert not training
    bright = image[..., 0]
    half = tf.cast(tf.range(image.shape[3]) < image.shape[3] // 2, tf.float32)
    return tf.stack([0 * bright, bright * half, bright * (1 - half), 0 * bright], axis=-1)


def at_corner(image: tf.Tensor, training: bool) -> tf.Tensor:
    """What lies in the first voxel counts only: no mirror image gives the same."""
    corner = np.zeros(image.shape[1:4], np.float32)
    corner[0, 0, 0] = 1
    return image * corner[..., None] * np.array([1, 2, 3, 4], np.float32)


def test_a_mirror_image_swaps_the_sides_back() -> None:
    straight = Ensemble([(by_side, PLAIN)], LATERALITY)(HU).numpy()
    for axes in ("x", "zyx"):
        np.testing.assert_allclose(Ensemble([(by_side, PLAIN)], LATERALITY, axes)(HU).numpy(), straight, atol=1e-4)
    assert (straight[..., 1] != straight[..., 2]).any()


@pytest.mark.parametrize("axes", ["z", "y", "x", "zx", "zyx"])
def test_all_combinations_of_axes_are_averaged(axes: str) -> None:
    passes = Ensemble([(at_corner, PLAIN)], LATERALITY, axes)
    assert passes.num_passes == 2 ** len(axes) and passes.channels == 4
    expected = np.zeros((*HU.shape, 4))
    corners = np.ix_(*[(0, -1) if letter in axes else (0,) for letter in "zyx"])
    for batch in range(2):
        for z in corners[0].ravel():
            for y in corners[1].ravel():
                for x in corners[2].ravel():
                    factors = np.array([1, 3, 2, 4]) if x == -1 else np.array([1, 2, 3, 4])
                    expected[batch, z, y, x] = HU[batch, z, y, x] * factors / passes.num_passes
    np.testing.assert_allclose(passes(HU).numpy(), expected, atol=1e-3)


def test_networks_see_their_own_intensities_and_are_averaged() -> None:
    wider = IntensitySettings(window_hu=(-10000.0, 10000.0), mean_hu=100.0, std_hu=2.0)

    def same(image: tf.Tensor, training: bool) -> tf.Tensor:
        return tf.tile(image, [1, 1, 1, 1, 4])

    found = Ensemble([(same, PLAIN), (same, wider)], LATERALITY)(HU).numpy()
    expected = (HU + (HU - 100.0) / 2) / 2
    np.testing.assert_allclose(found, np.repeat(expected[..., None], 4, axis=-1), atol=1e-3)


def constant(logits: list[float]):
    return lambda image, training: tf.zeros_like(image) + tf.constant(logits)


def test_disagreement_is_the_mutual_information_of_label_and_pass() -> None:
    sure, opposite, unsure = [20.0, 0, 0, 0], [0, 20.0, 0, 0], [1.0, 1, 1, 1]

    def disagreement(*logits: list[float]) -> float:
        found = Ensemble([(constant(part), PLAIN) for part in logits], LATERALITY, disagreement=True)(HU).numpy()
        assert found.shape == (*HU.shape, 5)
        return float(found[0, 0, 0, 0, 4])

    assert disagreement(sure, opposite) == pytest.approx(np.log(2), abs=1e-5)
    assert disagreement(unsure, unsure) == pytest.approx(0, abs=1e-5)
    assert disagreement(sure, sure) == pytest.approx(0, abs=1e-5)
    mean = np.array([1 + 0.25, 0.25, 0.25, 0.25]) / 2
    assert disagreement(sure, unsure) == pytest.approx(-np.sum(mean * np.log(mean)) - np.log(4) / 2, abs=1e-5)
