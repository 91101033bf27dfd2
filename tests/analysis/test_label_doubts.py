"""What the labels of masks seem to mean: never in doubt for a poor network, always for good masks of other labels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kits_tf.analysis.label_doubts import TRUE_CLASSES, label_counts, label_doubts

KITS19 = ("background", "kidney", "tumor")
LATERALITY = ("background", "right_kidney", "left_kidney", "tumor")
# Voxels of background, right kidney, left kidney, tumor.
SIZES = (100_000, 1500, 1400, 300)


def counts_of(*labels: int) -> np.ndarray:
    """Returns the counts of masks in which background, right kidney, left kidney and tumor have these labels."""
    counts = np.zeros((5, 5), np.int64)
    for true, (size, label) in enumerate(zip(SIZES, labels, strict=True)):
        counts[true, label] += size
    return counts


def doubts(*labels: int, classes: tuple[str, ...] = KITS19, is_named: bool = False) -> tuple[str, ...]:
    return label_doubts([counts_of(*labels)] * 3, classes, is_named=is_named)


def test_kidney_and_tumor_exchanged() -> None:
    assert doubts(0, 2, 2, 1) == (
        "The labels seem to mean something else: label 1 fits the tumor (Dice 1.000) rather than the kidney (0.000), "
        "label 2 fits the kidney (Dice 1.000) rather than the tumor (0.000). The files should have 2 (tumor) where "
        "they have 1, 1 (kidney) where they have 2.",
    )


def test_two_kidneys_read_as_kidney_and_tumor() -> None:
    """With the tumors marked as part of the left one: 2 * 1400 / (1400 + 1700), and of the tumor 2 * 300 / 2000."""
    assert doubts(0, 1, 2, 2) == (
        "The labels seem to mean something else: label 1 fits the right kidney (Dice 1.000) rather than the kidney "
        "(0.682), label 2 fits the left kidney (Dice 0.903) rather than the tumor (0.300). --label_scheme=laterality "
        "reads them so.",
    )


def test_kidney_and_tumor_read_as_two_kidneys() -> None:
    (text,) = doubts(0, 1, 1, 2, classes=LATERALITY)
    assert "label 2 fits the tumor (Dice 1.000) rather than the left kidney (0.000)" in text
    assert text.endswith(". --label_scheme=kits19 reads them so.")


def test_labels_that_begin_at_one() -> None:
    (text,) = doubts(1, 2, 2, 3, classes=LATERALITY)
    assert text.endswith(
        "The files should have 0 (background) where they have 1, 1 (kidney) where they have 2, 2 (tumor) where they "
        "have 3; then give --label_scheme=kits19."
    )


def test_cysts_are_a_meaning_too() -> None:
    counts = counts_of(0, 1, 1, 2)
    counts[TRUE_CLASSES.index("cyst"), 3] = 200
    (text,) = label_doubts([counts], LATERALITY, is_named=False)
    assert text.endswith("--label_scheme=kits19 --cyst_as=class reads them so.")


def test_right_and_left_exchanged_and_tumors_missed() -> None:
    sides = (
        "Right and left kidney seem to be exchanged: label 1 fits the left kidney (Dice 1.000) rather than the right "
        "kidney (0.000), label 2 fits the right kidney (Dice 1.000) rather than the left kidney (0.000). "
    )
    write = "The files should have 2 (left kidney) where they have 1, 1 (right kidney) where they have 2"
    assert doubts(0, 2, 1, 0, classes=LATERALITY) == (f"{sides}{write}; then give --label_scheme=laterality.",)
    mirrored = "Were the scans or the masks mirrored on their way?"
    assert doubts(0, 2, 1, 3, classes=LATERALITY, is_named=True) == (sides + mirrored,)


def test_sides_are_exchanged_in_nearly_all_cases_or_not_at_all() -> None:
    right, wrong = counts_of(0, 1, 2, 3), counts_of(0, 2, 1, 3)
    right[0, 3] = 1  # no copy of the truth
    for number in range(11):
        text = label_doubts([wrong] * number + [right] * (10 - number), LATERALITY, is_named=True)
        assert bool(text) == (number >= 7), number


def test_true_masks_given_as_predicted_ones() -> None:
    for labels, classes in (((0, 1, 1, 2), KITS19), ((0, 1, 2, 3), LATERALITY)):
        assert doubts(*labels, classes=classes) == (
            "Every mask equals the true mask of its case, voxel for voxel: these are the references themselves.",
        )
        other = counts_of(*labels)
        other[0, 1] = 1
        assert label_doubts([counts_of(*labels), other], classes, is_named=False) == (), classes


def test_of_nothing_there_is_no_doubt() -> None:
    nothing = np.zeros((5, 5), np.int64)
    nothing[0, 0] = 1000
    assert label_doubts([nothing], KITS19, is_named=False) == label_doubts([], KITS19, is_named=False) == ()


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        ((0, 1, 1, 1), KITS19),  # every tumor called kidney
        ((0, 1, 1, 0), KITS19),  # every tumor missed
        ((0, 0, 0, 0), KITS19),  # nothing marked
        ((1, 1, 1, 1), KITS19),  # everything is kidney
        ((2, 2, 2, 2), KITS19),  # everything is tumor
        ((2, 1, 2, 0), KITS19),  # one kidney and the tumor, amid label 2
        ((0, 1, 0, 2), KITS19),  # one kidney of two
        ((0, 1, 1, 3), LATERALITY),  # one side alone known
        ((0, 1, 1, 1), LATERALITY),  # one label for everything
        ((3, 3, 3, 3), LATERALITY),
    ],
)
def test_a_poor_network_is_only_poor(labels: tuple[int, ...], classes: tuple[str, ...]) -> None:
    assert doubts(*labels, classes=classes) == ()


def test_files_that_name_their_labels_are_believed() -> None:
    """As those of a network that calls all kidneys tumor: its files mean what they say."""
    assert doubts(0, 2, 2, 2) != () and doubts(0, 2, 2, 2, is_named=True) == ()


@given(st.integers(0, 2**32 - 1), st.sampled_from([KITS19, LATERALITY]))
def test_labels_at_random_mean_nothing_else(seed: int, classes: tuple[str, ...]) -> None:
    generator = np.random.default_rng(seed)
    counts = np.zeros((5, 5), np.int64)
    for true, size in enumerate(SIZES):
        counts[true, : len(classes)] = generator.multinomial(size, generator.dirichlet(np.ones(len(classes))))
    assert label_doubts([counts], classes, is_named=True) == () or classes == LATERALITY
    even = np.zeros((5, 5), np.int64)
    even[:4, : len(classes)] = np.array(SIZES)[:, None] // len(classes)
    assert label_doubts([even], classes, is_named=False) == ()


@given(st.floats(0, 0.95))
def test_a_large_tumor_that_is_called_kidney_is_no_other_meaning(share: float) -> None:
    """However much of the kidneys of a case is tumor."""
    tumor = int(3000 * share)
    counts = np.zeros((5, 5), np.int64)
    counts[0, :2], counts[1, :2], counts[2, 1], counts[3, 1] = (100_000, 10), (10, 1500 - tumor // 2), 1500, tumor
    assert label_doubts([counts], KITS19, is_named=False) == ()


@given(st.floats(0, 0.5), st.floats(0, 1))
def test_kidney_that_is_called_tumor_is_no_other_meaning(share: float, hit: float) -> None:
    """As of a network that marks tumors where there are none, up to half of both kidneys."""
    wrong, right = int(1500 * share), int(300 * hit)
    counts = np.zeros((5, 5), np.int64)
    counts[0, :2], counts[1:3, 1], counts[1:3, 2] = (100_000, 10), 1500 - wrong, wrong
    counts[3, 1:3] = 300 - right, right
    assert label_doubts([counts], KITS19, is_named=False) == ()


def test_counts_are_those_of_masks() -> None:
    truth = np.zeros((2, 10, 10), np.uint8)
    truth[0, :4], truth[1, :2] = 1, 3
    counts = label_counts(truth, np.array([0, 2, 0, 1], np.uint8)[truth])
    assert counts.shape == (5, 5) and counts[1, 2] == 40 and counts[3, 1] == 20 and counts[0, 0] == 140
