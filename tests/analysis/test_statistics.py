import json

import numpy as np
import pytest
from scipy import stats

from kits_tf.analysis.lesions import Lesion
from kits_tf.analysis.scores import CaseScores
from kits_tf.analysis.statistics import difference, mean_with_interval, summarize


def case(name: str, kidney: float, hd95_mm: float) -> CaseScores:
    values = {"kidney_dice": kidney, "kidney_hd95_mm": hd95_mm, "dice_tumor": kidney / 2}
    return CaseScores(name, values, (Lesion(True, 1.0, kidney),))


def test_means_intervals_and_medians() -> None:
    cases = [case("a", 0.2, 3.0), case("b", 0.4, np.inf), case("c", 0.9, 1.0), case("d", 0.05, np.nan)]
    summary = summarize(cases)
    json.dumps(summary, allow_nan=False)
    assert summary["num_cases"] == 4 and summary["lesions_by_size"][0]["detected"] == 3
    assert summary["kidney_dice"]["mean"] == pytest.approx(0.3875)
    assert summary["kidney_dice"]["median"] == pytest.approx(0.3) and summary["kidney_dice"]["left_out"] == 0
    assert summary["dice"]["tumor"]["mean"] == pytest.approx(0.19375)
    # What lies infinitely far moves the median, but no mean; what does not exist, neither.
    distance = summary["kidney_hd95_mm"]
    assert (distance["mean"], distance["median"], distance["left_out"]) == (2.0, 3.0, 2)
    low, high = summary["kidney_dice"]["interval_95"]
    assert 0.05 <= low < 0.3875 < high <= 0.9
    assert summarize(cases) == summary
    assert summarize(cases[1:2])["kidney_hd95_mm"] == {
        "mean": None, "interval_95": [None, None], "median": None, "left_out": 1
    }  # fmt: skip
    with pytest.raises(ValueError, match="expected at least one scored case"):
        summarize([])


def test_interval_is_scipys() -> None:
    values = np.random.default_rng(3).normal(0.9, 0.05, 40)
    mean, interval = mean_with_interval(values)
    expected = stats.bootstrap(
        (values,), np.mean, n_resamples=20000, method="percentile", rng=np.random.default_rng(0)
    ).confidence_interval
    assert mean == values.mean()
    np.testing.assert_allclose(interval, expected, atol=1e-3)


def test_paired_differences() -> None:
    first = np.array([0.5, 0.6, 0.7, np.nan, 0.8, 0.9])
    second = first + np.array([0.1, 0.02, -0.01, 0.1, 0.04, np.inf])
    found = difference("kidney_dice", first, second)
    assert (found.name, found.num_cases, found.mean) == ("kidney_dice", 4, pytest.approx(0.0375))
    assert found.interval_95[0] < 0.0375 < found.interval_95[1]
    # Of 16 ways to sign ranks 1 to 4, those as far off as ranks 4, 2 and 3 for, 1 against: both ends, two each.
    assert found.p_value == pytest.approx(4 / 16)
    assert difference("same", first[:3], first[:3]).p_value == 1.0
    none = difference("none", [np.nan], [1.0])
    assert none.num_cases == 0 and np.isnan(none.p_value) and np.isnan(none.mean)
