import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from kits_tf.ct.hu_statistics import HuStatistics, hu_counts, hu_statistics, pooled_mean_std

VALUES = hnp.arrays(np.int16, hnp.array_shapes(min_dims=1, max_dims=3, max_side=9))


def by_numpy(values: np.ndarray) -> HuStatistics:
    exact = values.astype(np.float64)
    low, median, high = (int(np.percentile(values, share, method="inverted_cdf")) for share in (0.5, 50, 99.5))
    return HuStatistics(
        voxels=values.size,
        mean=exact.mean(),
        std=exact.std(),
        lowest=int(values.min()),
        percentile_0_5=low,
        median=median,
        percentile_99_5=high,
        highest=int(values.max()),
    )


def assert_same(found: HuStatistics, expected: HuStatistics) -> None:
    for name, value in vars(expected).items():
        assert getattr(found, name) == pytest.approx(value, rel=1e-9, abs=1e-9), name


@given(VALUES)
def test_statistics_are_numpys(values: np.ndarray) -> None:
    assert_same(hu_statistics(values), by_numpy(values))


@given(VALUES, st.integers(-32769, 32767))
def test_above_leaves_out_what_is_not(values: np.ndarray, above: int) -> None:
    kept = values[values.astype(int) > above]
    found = hu_statistics(values, above)
    if kept.size:
        assert_same(found, by_numpy(kept))
    else:
        assert found is None


def test_counts_are_of_every_value_and_slabs_add_up(monkeypatch) -> None:
    monkeypatch.setattr("kits_tf.ct.hu_statistics._SLAB", 7)
    values = np.array([[-32768, 32767, 0], [0, -1, 5]] * 6, np.int16)
    counts = hu_counts(values.T)  # not contiguous
    assert counts[0] == 6 and counts[65535] == 6 and counts[32768] == 12 and counts[32767] == 6 and counts[32773] == 6
    assert counts.sum() == values.size


@given(st.lists(VALUES, max_size=4))
def test_pooling_is_the_statistics_of_all(parts: list[np.ndarray]) -> None:
    mean, std = pooled_mean_std(hu_statistics(part) for part in parts)
    together = np.concatenate([part.ravel() for part in parts]).astype(np.float64) if parts else np.zeros(1)
    assert (mean, std) == pytest.approx((together.mean(), together.std()), rel=1e-9, abs=1e-6)
