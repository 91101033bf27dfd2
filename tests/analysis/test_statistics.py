import numpy as np
import pytest
from scipy import stats

from kits_tf.analysis.lesions import Lesion
from kits_tf.analysis.scores import CaseScores
from kits_tf.analysis.statistics import Statistics, difference, mean_with_interval, summarize


def case(name: str, kidney: float, hd95_mm: float) -> CaseScores:
    values = {"kidney_dice": kidney, "kidney_hd95_mm": hd95_mm, "dice_tumor": kidney / 2}
    return CaseScores(name, values, (Lesion(True, 1.0, kidney),), np.zeros((3, 3), np.int64))


def test_means_intervals_and_medians() -> None:
    cases = [case("a", 0.2, 3.0), case("b", 0.4, np.inf), case("c", 0.9, 1.0), case("d", 0.05, np.nan)]
    summary = summarize(cases)
    assert summary.num_cases == 4 and summary.lesions_by_size[0].detected == 3 and summary.inference == ""
    kidney, distance = summary.scores["kidney_dice"], summary.scores["kidney_hd95_mm"]
    assert kidney.mean == pytest.approx(0.3875) and kidney.median == pytest.approx(0.3) and kidney.left_out == 0
    assert summary.scores["dice_tumor"].mean == pytest.approx(0.19375)
    # An infinite distance moves the median, but no mean; a distance that does not exist moves neither.
    assert (distance.mean, distance.median, distance.left_out) == (2.0, 3.0, 2)
    low, high = kidney.interval_95
    assert 0.05 <= low < 0.3875 < high <= 0.9
    assert summarize(cases) == summary
    none = summarize(cases[3:]).scores["kidney_hd95_mm"]
    assert none == Statistics(mean=None, interval_95=(None, None), median=None, left_out=1)
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
    change = difference("kidney_dice", first, second)
    assert (change.key, change.num_cases, change.mean) == ("kidney_dice", 4, pytest.approx(0.0375))
    assert change.interval_95[0] < 0.0375 < change.interval_95[1]
    # Of 16 ways to sign ranks 1 to 4, those as far off as ranks 4, 2 and 3 for, 1 against: both ends, two each.
    assert change.p_value == pytest.approx(4 / 16)
    assert difference("same", first[:3], first[:3]).p_value == 1.0
    none = difference("none", [np.nan], [1.0])
    assert none.num_cases == 0 and np.isnan(none.p_value) and np.isnan(none.mean)
