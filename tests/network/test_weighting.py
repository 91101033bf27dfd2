import numpy as np
import pytest

from kits_tf.config import LossSettings
from kits_tf.network.weighting import class_weights

NAMES = LossSettings.__dataclass_fields__["class_weighting"].metadata["choices"]


def test_weights_by_hand() -> None:
    counts = [(900, 90, 10)]
    # Frequencies 0.9, 0.09, 0.01: 1 / (3 f).
    np.testing.assert_allclose(class_weights(counts, "inverse"), (1 / 2.7, 1 / 0.27, 1 / 0.03))
    np.testing.assert_allclose(class_weights(counts, "none"), (1, 1, 1))
    root = np.array([0.9, 0.09, 0.01]) ** -0.5
    np.testing.assert_allclose(class_weights(counts, "square_root"), root / np.sqrt([0.9, 0.09, 0.01]).sum())


def test_median_frequency_looks_at_the_cases_that_have_a_class() -> None:
    # Shares: 150 of 200 voxels; 50 of 200; but 30 of 100 in the one case that has it.
    weights = np.array([200 / 130, 200 / 40, 100 / 30])
    expected = weights * 200 / (weights * [130, 40, 30]).sum()
    np.testing.assert_allclose(class_weights([(80, 20, 0), (50, 20, 30)], "median_frequency"), expected)


def test_effective_number_by_hand_and_at_its_ends() -> None:
    counts = [(3, 1)]
    raw = np.array([1 / (1 + 0.5 + 0.25), 1])  # the paper's sum of powers
    np.testing.assert_allclose(class_weights(counts, "effective_number", 0.5), raw * 4 / (raw * [3, 1]).sum())
    many = [(9 * 10**8, 10**6, 10**4)]
    np.testing.assert_allclose(class_weights(many, "effective_number", 0.0), class_weights(many, "none"))
    near = class_weights(many, "effective_number", 1 - 1e-13)
    np.testing.assert_allclose(near, class_weights(many, "inverse"), rtol=1e-3)


@pytest.mark.parametrize("weighting", NAMES)
def test_mean_weight_over_the_voxels_is_one_and_absent_classes_have_none(weighting: str) -> None:
    counts = np.array([[123456, 777, 0, 31], [1000, 0, 0, 5]])
    weights = np.array(class_weights(counts, weighting, 0.999))
    assert (counts.sum(axis=0) * weights).sum() / counts.sum() == pytest.approx(1)
    assert weights[2] == 0 and (np.diff(weights[[0, 1, 3]]) >= 0).all()


def test_without_voxels_there_are_no_weights() -> None:
    with pytest.raises(ValueError, match="case_voxels: expected at least one voxel"):
        class_weights([(0, 0)], "inverse")
    with pytest.raises(ValueError, match="weighting: expected one of those above, received: cubic"):
        class_weights([(1, 1)], "cubic")
