"""What the labels of masks seem to mean: never in doubt for a poor network, always for good masks of other labels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kits_tf.analysis.label_doubts import label_doubts
from kits_tf.analysis.mask_pair import confusion

KITS19 = ("background", "kidney", "tumor")
LATERALITY = ("background", "right_kidney", "left_kidney", "tumor")
SIZES = {"background": 100_000, "right": 1500, "left": 1400, "tumor": 300}


def counts_of(mapping: dict[str, int], truth: dict[str, int]) -> np.ndarray:
    """Returns the counts of masks in which each structure has one label, by what it is in the truth."""
    counts = np.zeros((4, 4), np.int64)
    for name, size in SIZES.items():
        counts[truth[name], mapping[name]] += size
    return counts[: max(truth.values()) + 1, : max(truth.values()) + 1]


TRUE_KITS19 = {"background": 0, "right": 1, "left": 1, "tumor": 2}
TRUE_SIDES = {"background": 0, "right": 1, "left": 2, "tumor": 3}


def test_kidney_and_tumor_exchanged() -> None:
    counts = counts_of({"background": 0, "right": 2, "left": 2, "tumor": 1}, TRUE_KITS19)
    assert label_doubts([counts, counts], KITS19) == (
        "The labels seem to mean something else: label 2, read as tumor, fits the true kidney, label 1, read as "
        "kidney, fits the true tumor. The mean Dice would be 1.000 instead of 0.000. --label_scheme says what "
        "labels mean.",
    )


def test_right_and_left_exchanged_and_tumors_missed() -> None:
    counts = counts_of({"background": 0, "right": 2, "left": 1, "tumor": 0}, TRUE_SIDES)
    (text,) = label_doubts([counts], LATERALITY)
    assert "label 2, read as left kidney, fits the true right kidney" in text
    assert "mean Dice would be 0.667 instead of 0.000" in text


def test_two_kidneys_read_as_kidney_and_tumor() -> None:
    counts = counts_of({"background": 0, "right": 1, "left": 2, "tumor": 1}, TRUE_KITS19)
    (text,) = label_doubts([counts], KITS19)
    assert "label 2, read as tumor, covers 48 % of the true kidneys: is it one of them?" in text


def test_true_masks_given_as_predicted_ones() -> None:
    counts = counts_of(TRUE_KITS19, TRUE_KITS19)
    (text,) = label_doubts([counts, counts], KITS19)
    assert text.startswith("Every mask equals the true one, voxel for voxel")
    other = counts.copy()
    other[0, 1] = 1
    assert label_doubts([counts, other], KITS19) == ()


@pytest.mark.parametrize(
    ("mapping", "truth", "classes"),
    [
        ({"background": 0, "right": 1, "left": 1, "tumor": 1}, TRUE_KITS19, KITS19),  # every tumor called kidney
        ({"background": 0, "right": 1, "left": 1, "tumor": 0}, TRUE_KITS19, KITS19),  # every tumor missed
        ({"background": 0, "right": 0, "left": 0, "tumor": 0}, TRUE_KITS19, KITS19),  # nothing found
        ({"background": 1, "right": 1, "left": 1, "tumor": 1}, TRUE_KITS19, KITS19),  # everything is kidney
        ({"background": 2, "right": 1, "left": 2, "tumor": 0}, TRUE_KITS19, KITS19),  # untrained
        ({"background": 0, "right": 1, "left": 1, "tumor": 3}, TRUE_SIDES, LATERALITY),  # one side alone known
    ],
)
def test_a_poor_network_is_only_poor(mapping: dict[str, int], truth: dict[str, int], classes: tuple[str, ...]) -> None:
    assert label_doubts([counts_of(mapping, truth)], classes) == ()


@given(st.floats(0, 0.95))
def test_a_large_tumor_that_is_called_kidney_is_no_other_meaning(share: float) -> None:
    """However much of the kidneys of a case is tumor."""
    tumor = int(3000 * share)
    counts = np.array([[100_000, 10, 0], [10, 3000 - tumor, 0], [0, tumor, 0]])
    assert label_doubts([counts], KITS19) == ()


@given(st.floats(0, 0.37), st.floats(0, 1))
def test_kidney_that_is_called_tumor_is_no_other_meaning(share: float, hit: float) -> None:
    """As of a network that marks tumors where there are none, up to a third of the kidneys."""
    wrong, right = int(3000 * share), int(300 * hit)
    counts = np.array([[100_000, 10, 0], [10, 3000 - wrong, wrong], [0, 300 - right, right]])
    assert label_doubts([counts], KITS19) == ()


def test_counts_are_those_of_masks() -> None:
    truth = np.zeros((2, 10, 10), np.uint8)
    truth[0, :4], truth[1, :2] = 1, 2
    (text,) = label_doubts([confusion(truth, np.array([0, 2, 1], np.uint8)[truth], 3)], KITS19)
    assert "1.000 instead of 0.000" in text
