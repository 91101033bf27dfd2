"""Against mean field written out pair by pair."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from kits_tf.inference.crf import Crf

SPACING = (2.0, 1.0, 0.8)


def softmax(logits: np.ndarray) -> np.ndarray:
    exponent = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponent / exponent.sum(axis=-1, keepdims=True)


def brute_force(logits: np.ndarray, hu: np.ndarray, crf: Crf) -> np.ndarray:
    places = list(np.ndindex(hu.shape))
    refined = logits
    for _ in range(crf.iterations):
        shares, message = softmax(refined), np.zeros_like(logits)
        for one in places:
            total = 0.0
            for other in places:
                steps = np.subtract(other, one)
                if one == other or np.abs(steps).max() > crf.radius:
                    continue
                mm2, hu2 = ((steps * SPACING) ** 2).sum(), float(hu[other] - hu[one]) ** 2
                term = crf.appearance_weight * np.exp(-mm2 / 2 / crf.appearance_mm**2 - hu2 / 2 / crf.appearance_hu**2)
                term += crf.smoothness_weight * np.exp(-mm2 / 2 / crf.smoothness_mm**2)
                message[one] += term * shares[other]
                total += term
            message[one] /= total
        refined = logits + (crf.appearance_weight + crf.smoothness_weight) * message
    return refined


@pytest.mark.parametrize("radius", [1, 2])
def test_equals_mean_field_pair_by_pair(radius: int) -> None:
    rng = np.random.default_rng(radius)
    logits, hu = rng.normal(size=(3, 4, 5, 3)), rng.integers(-50, 150, (3, 4, 5))
    crf = Crf(spacing_zyx_mm=SPACING, iterations=3, radius=radius)
    found = crf.refine(tf.constant(logits[None], tf.float32), tf.constant(hu[None], tf.int16))[0]
    np.testing.assert_allclose(found, brute_force(logits, hu, crf), atol=1e-5)


def test_a_lone_voxel_follows_its_tissue_and_an_edge_stays() -> None:
    """Left half 30 HU, right half 150; the logits say so but for one voxel, and at the edge."""
    hu = np.full((1, 5, 5, 10), 30, np.int16)
    hu[..., 5:] = 150
    logits = np.zeros((1, 5, 5, 10, 2), np.float32)
    logits[..., :5, 0] = logits[..., 5:, 1] = 1.0
    logits[0, 2, 2, 2] = [0.0, 0.5]
    found = tf.argmax(Crf(spacing_zyx_mm=(1.0, 1.0, 1.0)).refine(tf.constant(logits), tf.constant(hu)), axis=-1).numpy()
    assert (found == (hu > 100)).all()


def test_every_window_of_a_batch_is_on_its_own() -> None:
    rng = np.random.default_rng(0)
    logits = tf.constant(rng.normal(size=(3, 4, 4, 4, 3)), tf.float32)
    hu = tf.constant(rng.integers(0, 100, (3, 4, 4, 4)), tf.int16)
    crf = Crf(spacing_zyx_mm=SPACING)
    one_by_one = tf.concat([crf.refine(logits[i : i + 1], hu[i : i + 1]) for i in range(3)], axis=0)
    np.testing.assert_allclose(crf.refine(logits, hu), one_by_one, atol=1e-6)
    assert [sorted(itertools.chain(crf._offsets(), [(-z, -y, -x) for z, y, x in crf._offsets()]))] == [
        sorted(set(itertools.product((-1, 0, 1), repeat=3)) - {(0, 0, 0)})
    ]
