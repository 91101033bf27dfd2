import numpy as np
import pytest

from kits_tf.ct.labels import KITS19, LATERALITY, check_labels, from_challenge
from kits_tf.errors import InputError

SPACING = (2.0, 2.0, 2.0)
SHAPE = (20, 40, 100)
AIR = np.full(SHAPE, -1024, np.int16)


def scan_with_body(x_from: int, x_to: int) -> np.ndarray:
    hu = AIR.copy()
    hu[:, :, x_from:x_to] = 40
    return hu


def two_kidneys() -> np.ndarray:
    labels = np.zeros(SHAPE, np.uint8)
    labels[5:15, 15:25, 10:20] = 1
    labels[5:15, 15:25, 70:80] = 1
    return labels


def test_low_x_is_the_right_side() -> None:
    sided = from_challenge(two_kidneys(), LATERALITY, AIR, SPACING)
    assert set(np.unique(sided[..., :50])) == {0, 1}
    assert set(np.unique(sided[..., 50:])) == {0, 2}


def test_tumor_stays_tumor_and_no_voxel_is_lost() -> None:
    labels = two_kidneys()
    labels[5:8, 15:18, 70:75] = 2
    labels[0, 0, 55] = 1  # a speck
    sided = from_challenge(labels, LATERALITY, AIR, SPACING)
    np.testing.assert_array_equal(LATERALITY.to_challenge(sided), labels)


@pytest.mark.parametrize(("body", "side"), [((0, 60), 2), ((20, 100), 1)])
def test_a_single_kidney_takes_its_side_from_the_body(body: tuple[int, int], side: int) -> None:
    labels = np.zeros(SHAPE, np.uint8)
    labels[5:15, 15:25, 40:50] = 1
    sided = from_challenge(labels, LATERALITY, scan_with_body(*body), SPACING)
    assert set(np.unique(sided)) == {0, side}


def test_fused_kidneys_are_cut_at_the_midline() -> None:
    labels = np.zeros(SHAPE, np.uint8)
    labels[5:15, 15:25, 20:80] = 1
    sided = from_challenge(labels, LATERALITY, scan_with_body(0, 100), SPACING)
    counts = np.bincount(sided.ravel(), minlength=3)
    assert counts[1] + counts[2] == labels.sum()
    assert abs(counts[1] - counts[2]) <= 200  # one slab of voxels, where the midline falls


def test_two_parts_on_one_side_are_one_kidney() -> None:
    labels = np.zeros(SHAPE, np.uint8)
    labels[5:15, 15:25, 70:80] = 1
    labels[5:15, 28:35, 75:90] = 2  # its tumor, apart from it
    sided = from_challenge(labels, LATERALITY, scan_with_body(0, 100), SPACING)
    assert set(np.unique(sided)) == {0, 2, 3}


def test_specks_go_with_the_nearest_kidney() -> None:
    labels = np.zeros(SHAPE, np.uint8)
    labels[5:15, 15:25, 56:66] = 1
    labels[10, 20, 44] = 1  # across the midline, but there is one kidney only
    sided = from_challenge(labels, LATERALITY, scan_with_body(0, 100), SPACING)
    assert set(np.unique(sided)) == {0, 2}


def test_challenge_scheme_is_left_alone_and_an_empty_mask_stays_empty() -> None:
    labels = two_kidneys()
    np.testing.assert_array_equal(from_challenge(labels, KITS19, AIR, SPACING), labels)
    assert not from_challenge(np.zeros(SHAPE, np.uint8), LATERALITY, AIR, SPACING).any()


def test_labels_outside_the_scheme_are_refused() -> None:
    with pytest.raises(InputError, match=r"m.nii: expected labels 0..2, found \[0, 7\]"):
        check_labels(np.array([0, 7], np.uint8), 3, "m.nii")
    with pytest.raises(InputError, match="KiTS19 labels: expected labels 0..2"):
        from_challenge(np.full(SHAPE, 3, np.uint8), LATERALITY, AIR, SPACING)


@pytest.mark.parametrize("scheme", [LATERALITY, KITS19])
def test_mirroring_twice_changes_nothing(scheme) -> None:
    assert [scheme.mirrored[label] for label in scheme.mirrored] == list(range(len(scheme.classes)))
    for label, other in enumerate(scheme.mirrored):
        assert scheme.classes[other].replace("left", "right") == scheme.classes[label].replace("left", "right")
        assert scheme.challenge[other] == scheme.challenge[label]
