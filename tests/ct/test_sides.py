import numpy as np
import pytest

from kits_tf.ct.labels import LATERALITY, from_challenge
from kits_tf.ct.sides import SideDecision, body_midline

SPACING = (2.0, 2.0, 2.0)
SHAPE = (20, 40, 100)
AIR = np.full(SHAPE, -1024, np.int16)


def scan_with_body(x_from: int, x_to: int) -> np.ndarray:
    hu = AIR.copy()
    hu[:, :, x_from:x_to] = 40
    return hu


def sided(labels: np.ndarray, hu: np.ndarray) -> tuple[np.ndarray, SideDecision]:
    result, decision = from_challenge(labels, LATERALITY, hu, SPACING)
    np.testing.assert_array_equal(LATERALITY.to_challenge(result), labels)  # no voxel is lost or gained
    assert decision is not None
    return result, decision


def test_two_kidneys_have_the_midline_between_them() -> None:
    labels = np.zeros(SHAPE, np.uint8)
    labels[5:15, 15:25, 10:20] = 1
    labels[5:15, 15:25, 70:80] = 1
    labels[5:8, 15:18, 70:75] = 2
    labels[0, 0, 55] = 1  # a speck, nearer to the left kidney
    result, decision = sided(labels, AIR)
    assert decision == SideDecision(midline_x=44.5, midline_from="kidneys", large_components=2, cut=False, specks=1)
    assert str(decision) == "midline x=44, halfway between two kidneys; 2 parts, 1 specks"
    assert result[0, 0, 55] == 2
    assert set(np.unique(result[..., :50])) == {0, 1} and set(np.unique(result[..., 50:])) == {0, 2, 3}


@pytest.mark.parametrize(("body", "side"), [((0, 60), 2), ((20, 100), 1)])
def test_a_single_kidney_takes_its_side_from_the_body(body: tuple[int, int], side: int) -> None:
    labels = np.zeros(SHAPE, np.uint8)
    labels[5:15, 15:25, 40:50] = 1
    result, decision = sided(labels, scan_with_body(*body))
    assert set(np.unique(result)) == {0, side}
    assert decision.midline_from == "body" and decision.midline_x == sum(body) / 2 - 1


def test_the_body_is_looked_at_where_the_kidney_is() -> None:
    hu = scan_with_body(20, 100)
    hu[:5, :, :20] = 40  # shoulders, say: wider on one side
    hu[15:, :, :20] = 40
    labels = np.zeros(SHAPE, np.uint8)
    labels[5:15, 15:25, 50:58] = 1  # left of the whole scan's middle, right of the body's around the kidney
    assert set(np.unique(sided(labels, hu)[0])) == {0, 1}


def test_a_horseshoe_kidney_is_cut_at_the_midline() -> None:
    labels = np.zeros(SHAPE, np.uint8)
    labels[5:15, 15:25, 20:80] = 1
    result, decision = sided(labels, scan_with_body(0, 100))
    assert decision.cut and decision.midline_from == "body"
    assert (result[..., :49] != 2).all() and (result[..., 50:] != 1).all()


def test_kidneys_that_touch_through_a_tumor_are_not_cut() -> None:
    labels = np.zeros(SHAPE, np.uint8)
    labels[5:15, 15:25, 10:55] = 1  # the right kidney, pushed across the midline
    labels[5:15, 15:25, 55:65] = 2
    labels[5:15, 15:25, 65:90] = 1
    result, decision = sided(labels, scan_with_body(0, 100))
    assert not decision.cut and decision.large_components == 1
    assert set(np.unique(result[..., :55])) == {0, 1}
    assert set(np.unique(result[..., 65:])) == {0, 2}


def test_two_parts_on_one_side_are_one_kidney() -> None:
    labels = np.zeros(SHAPE, np.uint8)
    labels[5:15, 15:25, 70:80] = 1
    labels[5:15, 28:35, 75:90] = 2  # its tumor, apart from it
    assert set(np.unique(sided(labels, scan_with_body(0, 100))[0])) == {0, 2, 3}


def test_specks_go_with_the_nearest_component_in_mm_not_with_the_midline() -> None:
    labels = np.zeros(SHAPE, np.uint8)
    labels[5:15, 15:25, 56:66] = 1
    labels[10, 20, 44] = 1  # across the midline, but there is one kidney only
    result, decision = sided(labels, scan_with_body(0, 100))
    assert set(np.unique(result)) == {0, 2} and decision.specks == 1
    labels = np.zeros(SHAPE, np.uint8)
    labels[0:6, 0:10, 10:40] = 1
    labels[14:20, 0:10, 60:90] = 1
    labels[16, 3, 34] = 1  # 10 slices off the right kidney, 26 columns off the left one
    result, _ = from_challenge(labels, LATERALITY, AIR, (5.0, 1.0, 1.2))
    assert result[16, 3, 34] == 2  # 50 mm against 31 mm


def test_a_side_does_not_depend_on_where_the_box_starts() -> None:
    labels = np.zeros(SHAPE, np.uint8)
    labels[5:15, 15:25, 40:50] = 1
    result, decision = sided(labels, scan_with_body(0, 60))
    moved, shifted = sided(np.roll(labels, 10, axis=2), np.roll(scan_with_body(0, 60), 10, axis=2))
    np.testing.assert_array_equal(np.roll(result, 10, axis=2), moved)
    assert shifted.midline_x == decision.midline_x + 10


def test_without_a_body_the_middle_of_the_picture_serves() -> None:
    assert body_midline(AIR) == 49.5
