import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from kits_tf.base.errors import InputError
from kits_tf.config.shared import CYST_CHOICES, SCHEME_CHOICES
from kits_tf.ct.labels import KITS19, LATERALITY, Scheme, check_labels, find_scheme, from_challenge, with_sides

SPACING = (2.0, 2.0, 2.0)
SHAPE = (20, 40, 100)
AIR = np.full(SHAPE, -1024, np.int16)
ALL_SCHEMES = [find_scheme(name, cyst_as) for name in SCHEME_CHOICES for cyst_as in CYST_CHOICES]


def two_kidneys() -> np.ndarray:
    labels = np.zeros(SHAPE, np.uint8)
    labels[5:15, 15:25, 10:20] = 1
    labels[5:15, 15:25, 70:80] = 1
    return labels


def converted(labels: np.ndarray, scheme: Scheme) -> np.ndarray:
    return from_challenge(labels, scheme, AIR, SPACING)[0]


def test_low_x_is_the_right_side() -> None:
    sided = converted(two_kidneys(), LATERALITY)
    assert set(np.unique(sided[..., :50])) == {0, 1}
    assert set(np.unique(sided[..., 50:])) == {0, 2}


@given(hnp.arrays(np.uint8, (5, 6, 20), elements=st.integers(0, 2)))
def test_there_and_back_no_voxel_is_lost_or_gained(labels: np.ndarray) -> None:
    for scheme in (LATERALITY, KITS19):
        result, _ = from_challenge(labels, scheme, AIR[:5, :6, :20], (3.0, 2.0, 20.0))
        np.testing.assert_array_equal(scheme.to_challenge(result), labels)


@pytest.mark.parametrize(
    ("name", "cyst_as", "cyst", "back"),
    [
        ("laterality", "kidney", 2, 1),
        ("laterality", "background", 0, 0),
        ("laterality", "class", 4, 1),
        ("kits19", "kidney", 1, 1),
        ("kits19", "background", 0, 0),
        ("kits19", "class", 3, 1),
    ],
)
def test_cysts_become_what_is_asked(name: str, cyst_as: str, cyst: int, back: int) -> None:
    labels = two_kidneys()
    labels[8, 20, 75] = 3  # in the left kidney
    scheme = find_scheme(name, cyst_as)
    result = converted(labels, scheme)
    assert result[8, 20, 75] == cyst
    expected = np.where(labels == 3, back, labels)
    np.testing.assert_array_equal(scheme.to_challenge(result), expected)
    assert ("cyst" in scheme.classes) == (cyst_as == "class")


@pytest.mark.parametrize("cyst_as", CYST_CHOICES)
def test_sides_are_told_where_a_scheme_has_none(cyst_as: str) -> None:
    official = two_kidneys()
    official[5:8, 15:18, 10:13], official[5:8, 15:18, 70:73] = 2, 3
    one_sided, sided = find_scheme("kits19", cyst_as), find_scheme("laterality", cyst_as)
    labels, scheme = with_sides(converted(official, one_sided), one_sided, AIR, SPACING)
    assert scheme == sided
    np.testing.assert_array_equal(labels, converted(official, sided))
    labels[0, 0, 0] = 2  # what has sides stays as it is, right or wrong
    again, scheme = with_sides(labels, sided, AIR, SPACING)
    assert scheme == sided and again[0, 0, 0] == 2


def test_a_cyst_of_the_right_kidney_is_right_kidney() -> None:
    labels = two_kidneys()
    labels[8, 20, 15] = 3
    assert converted(labels, LATERALITY)[8, 20, 15] == 1


def test_challenge_scheme_is_left_alone_and_an_empty_mask_stays_empty() -> None:
    labels = two_kidneys()
    result, decision = from_challenge(labels, KITS19, AIR, SPACING)
    np.testing.assert_array_equal(result, labels)
    assert decision is None
    result, decision = from_challenge(np.zeros(SHAPE, np.uint8), LATERALITY, AIR, SPACING)
    assert not result.any() and decision is None


def test_labels_outside_the_scheme_are_refused() -> None:
    with pytest.raises(InputError, match=r"m.nii: expected labels 0..2, found \[0, 7\]"):
        check_labels(np.array([0, 7], np.uint8), 3, "m.nii")
    with pytest.raises(InputError, match="challenge labels: expected labels 0..3"):
        converted(np.full(SHAPE, 4, np.uint8), LATERALITY)
    with pytest.raises(InputError, match="labels of scheme kits19: expected labels 0..2"):
        KITS19.to_challenge(np.array([3], np.uint8))


@pytest.mark.parametrize("scheme", ALL_SCHEMES, ids=lambda s: f"{s.name}-{s.cyst_as}")
def test_mirroring_twice_changes_nothing(scheme: Scheme) -> None:
    assert [scheme.mirrored[label] for label in scheme.mirrored] == list(range(len(scheme.classes)))
    for label, other in enumerate(scheme.mirrored):
        assert scheme.classes[other].replace("left", "right") == scheme.classes[label].replace("left", "right")
        assert scheme.challenge[other] == scheme.challenge[label]


def test_a_flip_along_x_swaps_the_sides() -> None:
    labels = two_kidneys()
    labels[5:12, 15:25, 75:80] = 2
    mirrored = np.array(LATERALITY.mirrored, np.uint8)[converted(labels, LATERALITY)[..., ::-1]]
    np.testing.assert_array_equal(converted(labels[..., ::-1], LATERALITY), mirrored)
