"""Against the surface-distance library's own search, and surfaces whose distances are known."""

import warnings

import numpy as np
import pytest
import surface_distance
from hypothesis import given, settings
from hypothesis.extra import numpy as hnp

from kits_tf.analysis.surface import find_surface, surface_distances

SPACING = (3.0, 0.8, 0.7)
masks = hnp.arrays(np.bool_, (2, 5, 6, 7))


def reference(truth: np.ndarray, predicted: np.ndarray) -> dict:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it calls SciPy by old names
        return surface_distance.compute_surface_distances(truth, predicted, SPACING)


@settings(deadline=None)
@given(masks.filter(lambda pair: pair[0].any() and pair[1].any()))
def test_equals_the_library(pair: np.ndarray) -> None:
    found, expected = surface_distances(*pair, SPACING), reference(*pair)
    for name in ("distances_gt_to_pred", "distances_pred_to_gt"):
        np.testing.assert_allclose(found.by_name[name], expected[name], atol=1e-9)
    for name in ("surfel_areas_gt", "surfel_areas_pred"):
        assert found.by_name[name].sum() == pytest.approx(expected[name].sum())
    for tolerance_mm in (0.5, 1.0330772532390826):
        wanted = surface_distance.compute_surface_dice_at_tolerance(expected, tolerance_mm)
        assert found.dice(tolerance_mm) == pytest.approx(wanted, abs=1e-6)
    assert found.hd95_mm() == pytest.approx(surface_distance.compute_robust_hausdorff(expected, 95), abs=1e-6)


def test_a_shifted_box_by_hand() -> None:
    """Ends of a box 40 voxels long move by 4 mm each; its sides stay where they are."""
    truth, predicted = np.zeros((2, 60, 8, 8), bool)
    truth[10:50, 2:6, 2:6] = predicted[12:52, 2:6, 2:6] = True
    found = surface_distances(truth, predicted, (2.0, 1.0, 1.0))
    assert max(distances.max() for name, distances in found.by_name.items() if "distances" in name) == 4.0
    # Of its corners 5 x 5 are at each end, and 16 in each of 39 rows between; the two rows nearest are 2 and 0 mm off.
    assert found.by_name["distances_gt_to_pred"].size == 2 * 25 + 39 * 16
    assert found.dice(4.0) == 1 and found.dice(1.0) < 1
    assert found.average_mm() == pytest.approx(
        sum(found.by_name[f"distances_{way}"] @ found.by_name[f"surfel_areas_{which}"] for way, which in WAYS)
        / sum(found.by_name[f"surfel_areas_{which}"].sum() for _, which in WAYS)
    )


WAYS = (("gt_to_pred", "gt"), ("pred_to_gt", "pred"))


def test_the_surface_of_a_ball_has_its_area_and_a_tenth_for_its_steps() -> None:
    places = (np.indices((45, 67, 75)).T * (1.5, 1.0, 0.9)).T - np.array((33, 33, 33)).reshape(3, 1, 1, 1)
    surface = find_surface((places**2).sum(axis=0) < 25**2, (1.5, 1.0, 0.9))
    assert surface.areas_mm2.sum() == pytest.approx(1.1 * 4 * np.pi * 25**2, rel=0.01)
    radius = np.linalg.norm(surface.places_mm - 33, axis=1)
    assert np.abs(radius - 25).max() < 1.5


@given(masks)
def test_a_mask_lies_on_itself_and_both_ways_are_alike(pair: np.ndarray) -> None:
    one, other = pair
    same = surface_distances(one, one, SPACING)
    assert same.dice(0.0) == 1
    there, back = surface_distances(one, other, SPACING), surface_distances(other, one, SPACING)
    assert there.dice(1.0) == pytest.approx(back.dice(1.0))
    np.testing.assert_equal([there.hd95_mm()], [back.hd95_mm()])


def test_empty_masks_are_decided() -> None:
    empty, full = np.zeros((2, 3, 3), bool), np.ones((2, 3, 3), bool)
    none = surface_distances(empty, empty, SPACING)
    assert none.dice(1.0) == 1 and np.isnan(none.hd95_mm()) and np.isnan(none.average_mm())
    for pair in ((empty, full), (full, empty)):
        one = surface_distances(*pair, SPACING)
        assert one.dice(1.0) == 0 and one.hd95_mm() == np.inf and one.average_mm() == np.inf
