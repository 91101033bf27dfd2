import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from kits_tf.analysis import scores
from kits_tf.ct.labels import KITS19, LATERALITY


def official(truth: np.ndarray, predicted: np.ndarray) -> tuple[float, float]:
    """The challenge's formula on its own labels, with both empty = 1."""
    result = []
    for mine, theirs in ((truth > 0, predicted > 0), (truth == 2, predicted == 2)):
        total = mine.sum() + theirs.sum()
        result.append(1.0 if total == 0 else 2 * (mine & theirs).sum() / total)
    return result[0], result[1]


@given(hnp.arrays(np.uint8, (2, 3, 4, 5), elements=st.integers(0, 3)))
def test_equals_the_challenges_formula(pair: np.ndarray) -> None:
    truth, predicted = pair
    found = scores.score_case("a", truth, predicted, LATERALITY)
    kidney, tumor = official(LATERALITY.to_challenge(truth), LATERALITY.to_challenge(predicted))
    assert found.kidney_dice == pytest.approx(kidney, abs=1e-12)
    assert found.tumor_dice == pytest.approx(tumor, abs=1e-12)
    assert found.composite == pytest.approx((kidney + tumor) / 2)
    swapped = scores.score_case("a", predicted, truth, LATERALITY)
    assert swapped == found


def test_by_hand_and_sides_count() -> None:
    truth = np.array([[[1, 1, 2, 2, 3, 0]]], np.uint8)
    predicted = np.array([[[1, 2, 2, 2, 0, 0]]], np.uint8)
    found = scores.score_case("a", truth, predicted, LATERALITY)
    assert found.dice == pytest.approx({"right_kidney": 2 / 3, "left_kidney": 4 / 5, "tumor": 0})
    assert found.kidney_dice == pytest.approx(8 / 9)  # sides do not matter here


def test_empty_cases_are_decided() -> None:
    empty, full = np.zeros((2, 2, 2), np.uint8), np.full((2, 2, 2), 2, np.uint8)
    assert scores.score_case("a", empty, empty, KITS19).row() == {
        "kidney_dice": 1, "tumor_dice": 1, "composite": 1, "dice_kidney": 1, "dice_tumor": 1
    }  # fmt: skip
    assert scores.score_case("a", full, empty, KITS19).composite == 0
    assert scores.score_case("a", empty, full, KITS19).composite == 0


def test_confusion_counts_pairs() -> None:
    counts = scores.confusion(np.array([[[0, 1, 1]]], np.uint8), np.array([[[0, 1, 2]]], np.uint8), 3)
    assert counts.tolist() == [[1, 0, 0], [0, 1, 1], [0, 0, 0]]
    with pytest.raises(ValueError, match="expected masks of one shape"):
        scores.confusion(np.zeros((1, 1, 1), np.uint8), np.zeros((1, 1, 2), np.uint8), 3)


def test_summary_has_means_and_intervals() -> None:
    cases = [scores.CaseScores(f"c{i}", {"kidney": v, "tumor": v / 2}, v, v / 2) for i, v in enumerate((0.2, 0.4, 0.9))]
    summary = scores.summarize(cases)
    assert summary["num_cases"] == 3
    assert summary["kidney_dice"]["mean"] == pytest.approx(0.5)
    assert summary["composite"]["mean"] == pytest.approx(0.375)
    assert summary["dice"]["tumor"]["mean"] == pytest.approx(0.25)
    low, high = summary["kidney_dice"]["interval_95"]
    assert 0.2 <= low < 0.5 < high <= 0.9
    assert scores.summarize(cases) == summary
    one = scores.summarize(cases[:1])["kidney_dice"]
    assert one["interval_95"] == pytest.approx([0.2, 0.2])
    with pytest.raises(ValueError, match="expected at least one scored case"):
        scores.summarize([])
