import keras
import numpy as np
import pytest
import tensorflow as tf

from kits_tf.network.losses import WeightedCrossEntropy, class_weights

RNG = np.random.default_rng(0)


def test_weights_by_hand() -> None:
    # Frequencies 0.9, 0.09, 0.01: 1 / (3 f).
    np.testing.assert_allclose(class_weights((900, 90, 10), "inverse"), (1 / 2.7, 1 / 0.27, 1 / 0.03))
    np.testing.assert_allclose(class_weights((900, 90, 10), "none"), (1, 1, 1))
    root = np.array([0.9, 0.09, 0.01]) ** -0.5
    np.testing.assert_allclose(class_weights((900, 90, 10), "square_root"), root / np.sqrt([0.9, 0.09, 0.01]).sum())
    np.testing.assert_allclose(class_weights((50, 0, 50), "inverse"), (1, 0, 1))
    with pytest.raises(ValueError, match="class_voxels: expected at least one voxel"):
        class_weights((0, 0), "inverse")


@pytest.mark.parametrize("weighting", ["inverse", "square_root", "none"])
def test_mean_weight_over_the_voxels_is_one(weighting: str) -> None:
    counts = np.array([123456, 777, 31, 5])
    assert (counts * class_weights(tuple(counts), weighting)).sum() / counts.sum() == pytest.approx(1)


def test_loss_by_hand() -> None:
    logits = np.log([[[[[0.5, 0.25, 0.25]], [[0.1, 0.8, 0.1]]]]])
    labels = np.array([[[[0], [2]]]])
    loss = WeightedCrossEntropy((1.0, 5.0, 3.0))(labels, logits)
    assert float(loss) == pytest.approx((1.0 * -np.log(0.5) + 3.0 * -np.log(0.1)) / 2, rel=1e-6)


def test_equal_weights_are_keras_cross_entropy() -> None:
    logits = RNG.normal(size=(2, 3, 4, 5, 4)).astype(np.float32) * 20
    labels = RNG.integers(0, 4, (2, 3, 4, 5))
    ours = WeightedCrossEntropy((1, 1, 1, 1))(labels, logits)
    assert float(ours) == pytest.approx(
        float(keras.losses.SparseCategoricalCrossentropy(from_logits=True)(labels, logits)), rel=1e-5
    )


def test_focal_loss_by_hand() -> None:
    logits = np.log([[[[[0.5, 0.5], [0.9, 0.1]]]]]).astype(np.float32)
    loss = WeightedCrossEntropy((1.0, 3.0), focal_gamma=2.0)(np.array([[[[0, 1]]]]), logits)
    expected = (0.5**2 * -np.log(0.5) + 3.0 * 0.9**2 * -np.log(0.1)) / 2
    assert float(loss) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_gradient_is_the_numerical_one_and_extreme_logits_are_finite(gamma: float) -> None:
    loss, labels = WeightedCrossEntropy((0.5, 2.0), gamma), np.array([[[[0], [1]]]])
    logits = tf.Variable(RNG.normal(size=(1, 1, 2, 1, 2)).astype(np.float32))
    with tf.GradientTape() as tape:
        value = loss(labels, logits)
    gradient = tape.gradient(value, logits).numpy()
    for index in np.ndindex(tuple(logits.shape)):
        step = np.zeros(logits.shape, np.float32)
        step[index] = 1e-2
        numerical = (float(loss(labels, logits + step)) - float(loss(labels, logits - step))) / 2e-2
        assert gradient[index] == pytest.approx(numerical, abs=1e-3)
    assert np.isfinite(float(loss(labels, np.array([[[[[1e4, -1e4]], [[1e4, -1e4]]]]], np.float16))))


def test_serializes() -> None:
    loss = WeightedCrossEntropy((1, 2, 3), focal_gamma=1.5)
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert again.class_weights == (1.0, 2.0, 3.0) and again.focal_gamma == 1.5
