import numpy as np
import pytest

from kits_tf.analysis.case_masks import CaseMasks
from kits_tf.ct.labels import KITS19, LATERALITY, Scheme, find_scheme
from kits_tf.views.drawings.planes import PLANES, Landmark, landmarks

SPACING = (2.0, 1.0, 1.0)


def masks() -> tuple[np.ndarray, np.ndarray]:
    """A body with two kidneys, a large and a small tumor in the left one; (I, P, L): the right is where x is small."""
    hu = np.full((20, 40, 60), 40, np.int16)
    truth = np.zeros(hu.shape, np.uint8)
    truth[5:15, 10:20, 5:15] = 1
    truth[5:15, 10:20, 40:50] = 2
    truth[6:9, 12:17, 42:49] = 3
    truth[12, 12, 42] = 3
    return hu, truth


def marks_of(truth: np.ndarray, predicted: np.ndarray, scheme: Scheme, hu: np.ndarray) -> list[Landmark]:
    case = CaseMasks(case_id="x", hu=hu, truth=truth, predicted=predicted, scheme=scheme, spacing_mm=SPACING)
    return landmarks(case)


def test_landmarks_are_the_largest_tumor_and_each_kidney() -> None:
    hu, truth = masks()
    found = marks_of(truth, np.zeros_like(truth), LATERALITY, hu)
    assert [mark.name for mark in found] == ["largest tumor", "right kidney", "left kidney"]
    assert found[0].center == (7, 14, 45)
    assert found[0].extent_mm == 7  # along x; 6 along z, 5 along y
    assert found[1].center == (9, 14, 9)
    assert found[1].extent_mm == 20  # ten slices of 2 mm
    z, y, x = found[2].center
    assert truth[z].any() and 40 <= x < 50 and 10 <= y < 20


def test_what_the_truth_lacks_is_shown_where_the_prediction_has_it() -> None:
    hu, truth = masks()
    predicted = truth.copy()
    truth[truth == 3] = 2
    by_name = {mark.name: mark for mark in marks_of(truth, predicted, LATERALITY, hu)}
    assert by_name["largest tumor"].center == (7, 14, 45)


def test_sides_that_are_no_labels_come_from_geometry() -> None:
    hu, truth = masks()
    challenge = LATERALITY.to_challenge(truth)
    found = {m.name: m.center for m in marks_of(challenge, challenge, KITS19, hu)}
    assert found["largest tumor"] == (7, 14, 45) and found["right kidney"] == (9, 14, 9)
    assert found["left kidney"][2] > 40
    with_cyst = np.where(truth == 1, 3, challenge).astype(np.uint8)  # a kidney that is all cyst is one nevertheless
    scheme = find_scheme("kits19", "class")
    assert {m.name for m in marks_of(with_cyst, with_cyst, scheme, hu)} == set(found)


def test_a_single_kidney_is_on_its_side_of_the_body() -> None:
    hu, truth = masks()
    hu[:, :, 55:] = -1000  # the body is not in the middle of the scan
    for label, name in ((1, "right kidney"), (2, "left kidney")):
        alone = (truth == label).astype(np.uint8)
        assert [mark.name for mark in marks_of(alone, alone, KITS19, hu)] == [name]


def test_without_labels_it_is_the_middle() -> None:
    hu, truth = masks()
    (mark,) = marks_of(truth * 0, truth * 0, KITS19, hu)
    assert mark.center == (10, 20, 30) and mark.extent_mm == 0


@pytest.mark.parametrize("plane", PLANES, ids=lambda plane: plane.name)
def test_edges_tell_where_the_axes_run(plane) -> None:
    ends = {0: ("S", "I"), 1: ("A", "P"), 2: ("R", "L")}  # of (I, P, L), first and last index
    row, column = (axis for axis in range(3) if axis != plane.axis)
    assert plane.edges == (*ends[column], *ends[row])
    volume = np.arange(24).reshape(2, 3, 4)
    cut = plane.cut(volume, (1, 2, 3))
    assert cut.shape == plane.in_plane(volume.shape)
    assert cut[plane.in_plane((1, 2, 3))] == volume[1, 2, 3]
