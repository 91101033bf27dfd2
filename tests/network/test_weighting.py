import numpy as np
import pytest

from kits_tf.config import LossSettings
from kits_tf.network.weighting import class_balance, class_weights

NAMES = LossSettings.__dataclass_fields__["class_weighting"].metadata["choices"]


def test_weights_by_hand() -> None:
    counts = (900, 90, 10)
    # Frequencies 0.9, 0.09, 0.01: 1 / (3 f).
    np.testing.assert_allclose(class_weights(counts, "inverse"), (1 / 2.7, 1 / 0.27, 1 / 0.03))
    np.testing.assert_allclose(class_weights(counts, "none"), (1, 1, 1))
    root = np.array([0.9, 0.09, 0.01]) ** -0.5
    np.testing.assert_allclose(class_weights(counts, "square_root"), root / np.sqrt([0.9, 0.09, 0.01]).sum())


def test_shares_are_what_is_left_of_the_weights() -> None:
    counts = np.array((900, 90, 10))
    assert class_balance(counts, "inverse", 0.0).weights == class_weights(counts, "inverse")
    np.testing.assert_allclose(class_balance(counts, "inverse", 0.0).shares, (1000 / 3,) * 3)
    np.testing.assert_allclose(class_balance(counts, "inverse", 1.0).shares, (900, 90, 10))


@pytest.mark.parametrize("weighting", NAMES)
def test_mean_weight_over_the_voxels_is_one_and_absent_classes_have_none(weighting: str) -> None:
    counts = np.array([123456, 777, 0, 31])
    weights = np.array(class_weights(counts, weighting))
    assert (counts * weights).sum() / counts.sum() == pytest.approx(1)
    assert weights[2] == 0 and (np.diff(weights[[0, 1, 3]]) >= 0).all()


def test_without_voxels_there_are_no_weights() -> None:
    with pytest.raises(ValueError, match="voxels: expected at least one voxel"):
        class_weights((0, 0), "inverse")
