import nibabel as nib
import numpy as np
import pytest
from conftest import ALL_AXIS_CODES, affine_of, rotation
from hypothesis import given
from hypothesis import strategies as st

from kits_tf.base.errors import InputError
from kits_tf.ct import geometry
from kits_tf.ct.geometry import Grid

SHAPE = (4, 5, 6)


def world(affine: np.ndarray, index: tuple[int, ...]) -> np.ndarray:
    return nib.affines.apply_affine(affine, index)


@pytest.mark.parametrize("codes", ALL_AXIS_CODES)
def test_all_48_axis_codes_agree_with_nibabel(codes: str) -> None:
    affine = affine_of(codes, (0.7, 0.8, 3.0))
    assert geometry.axis_codes(affine) == codes == "".join(nib.aff2axcodes(affine))
    np.testing.assert_allclose(geometry.voxel_sizes(affine), nib.affines.voxel_sizes(affine))


@pytest.mark.parametrize("codes", ALL_AXIS_CODES)
def test_reorienting_keeps_every_voxel_at_its_world_point(codes: str) -> None:
    stored = Grid(SHAPE, rotation((4, -7, 11)) @ affine_of(codes, (0.7, 0.8, 3.0)))
    array = np.arange(np.prod(SHAPE)).reshape(SHAPE)
    way = geometry.orientation(stored.affine)
    turned, grid = geometry.reorient(array, way), stored.reoriented(way)
    assert "".join(nib.aff2axcodes(grid.affine)) == "IPL"
    assert turned.shape == grid.shape
    for index in np.ndindex(SHAPE):
        (found,) = np.argwhere(turned == array[index])
        np.testing.assert_allclose(world(grid.affine, tuple(found)), world(stored.affine, index), atol=1e-9)
    np.testing.assert_array_equal(geometry.undo_reorient(turned, way), array)


@given(st.sampled_from(ALL_AXIS_CODES), st.tuples(*[st.floats(-30, 30)] * 3))
def test_oblique_affines_agree_with_nibabel(codes: str, degrees: tuple[float, float, float]) -> None:
    affine = rotation(degrees) @ affine_of(codes)
    if abs(affine[:3, :3]).max(axis=0).min() > 0.8:  # one direction clearly wins for each axis
        assert geometry.axis_codes(affine) == "".join(nib.aff2axcodes(affine))


@given(st.sampled_from(ALL_AXIS_CODES), st.lists(st.floats(-0.3, 0.3), min_size=6, max_size=6))
def test_sheared_affines_keep_every_voxel_at_its_world_point(codes: str, shear: list[float]) -> None:
    skew = np.eye(4)
    skew[[0, 0, 1, 1, 2, 2], [1, 2, 0, 2, 0, 1]] = shear
    stored = Grid(SHAPE, skew @ affine_of(codes, (0.7, 0.8, 3.0)))
    way = geometry.orientation(stored.affine)
    grid = stored.reoriented(way)
    assert geometry.axis_codes(grid.affine) == "IPL"
    index = np.moveaxis(np.indices(SHAPE), 0, -1)
    turned = np.stack([geometry.reorient(index[..., axis], way) for axis in range(3)], axis=-1)
    there = np.moveaxis(np.indices(grid.shape), 0, -1)
    np.testing.assert_allclose(
        nib.affines.apply_affine(grid.affine, there), nib.affines.apply_affine(stored.affine, turned), atol=1e-9
    )


def test_sheared_affine_uses_each_axis_once() -> None:
    affine = affine_of("LPS")
    affine[:3, 2] = [0.9, 0.2, 0.5]  # gantry tilt: k runs more to the right than up
    assert sorted(geometry.orientation(affine).permutation) == [0, 1, 2]
    assert geometry.axis_codes(affine) == "LPS"


def test_how_grids_differ_is_said() -> None:
    grid = Grid(SHAPE, affine_of("RAS", (2, 2, 3)))
    assert geometry.grid_mismatch(grid, grid, "scan") == ""
    other = Grid((4, 5, 7), grid.affine)
    assert geometry.grid_mismatch(grid, other, "scan") == "expected the scan's grid of 4 x 5 x 6 voxels, got 4 x 5 x 7"
    expected, moved = np.diag([2.0, 2, 3, 1]), np.diag([2.0, 2, 3, 1])
    moved[0, 3] = 1.23456
    said = geometry.grid_mismatch(Grid(SHAPE, expected), Grid(SHAPE, moved), "mask")
    y, z = "[0.0, 2.0, 0.0, 0.0]", "[0.0, 0.0, 3.0, 0.0]]"
    got = f"got [[2.0, 0.0, 0.0, 1.235], {y}, {z}"
    assert said == f"expected the mask's place and axes [[2.0, 0.0, 0.0, 0.0], {y}, {z}, {got}"


def test_resampled_grid_fills_the_same_box() -> None:
    grid = Grid((10, 20, 31), affine_of("IPL", (3.0, 0.8, 0.8)))
    small = grid.resampled((1.6, 1.2, 1.2))
    assert small.shape == (19, 13, 21)  # 18.75, 13.33, 20.67
    for corner, other in (((-0.5,) * 3, (-0.5,) * 3), ((9.5, 19.5, 30.5), (18.5, 12.5, 20.5))):
        np.testing.assert_allclose(world(small.affine, other), world(grid.affine, corner), atol=1e-9)


def test_resampling_never_loses_an_axis() -> None:
    assert geometry.resampled_shape((1, 2, 3), (1, 1, 1), (10, 10, 10)) == (1, 1, 1)


@pytest.mark.parametrize(
    ("affine", "message"),
    [
        (np.diag([1, 0, 1, 1]), "a.nii: expected a spacing above 0 mm along every axis"),
        (np.diag([1, np.nan, 1, 1]), "a.nii: expected a finite 4 x 4 affine"),
        (np.eye(3), "a.nii: expected a finite 4 x 4 affine"),
        (np.array([[1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 1, 0], [0, 0, 0, 1]]), "expected three independent axes"),
    ],
)
def test_impossible_affines_are_refused(affine: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        geometry.check_affine(affine, "a.nii")


def test_same_grid_is_judged_at_the_corners_in_voxels() -> None:
    shape, affine = (100, 100, 100), affine_of("IPL", (3.0, 0.8, 0.8))
    rounded, bent, shifted = affine.copy(), affine.copy(), affine.copy()
    rounded[0, 2] = -0.8015  # as 3 decimals may leave it: 0.15 mm off at the far corner
    bent[0, 2] = -0.8025  # 0.25 mm off
    shifted[2, 3] += 0.25
    assert Grid(shape, affine).same_as(Grid(shape, rounded))
    assert not Grid(shape, affine).same_as(Grid(shape, bent))
    assert not Grid(shape, affine).same_as(Grid(shape, shifted))
    assert not Grid(shape, affine).same_as(Grid((100, 100, 99), affine))


@pytest.mark.parametrize("codes", ALL_AXIS_CODES)
def test_the_same_scan_in_any_axis_order_has_the_same_grid_to_the_bit(codes: str) -> None:
    canonical = np.array([[0, 0, -0.75, 20.5], [0, -0.75, 0, -100.25], [-3, 0, 0, 300], [0, 0, 0, 1]])
    ornt = nib.orientations
    turned = nib.Nifti1Image(np.zeros((7, 8, 9), np.uint8), canonical).as_reoriented(
        ornt.ornt_transform(ornt.axcodes2ornt("IPL"), ornt.axcodes2ornt(codes))
    )
    grid = Grid(turned.shape, turned.affine).reoriented(geometry.orientation(turned.affine))
    assert grid.shape == (7, 8, 9)
    assert grid.affine.tobytes() == (canonical + 0.0).tobytes()


def test_bounding_box_is_the_smallest() -> None:
    mask = np.zeros((5, 6, 7), bool)
    mask[1, 2, 3] = mask[3, 2, 6] = True
    assert geometry.bounding_box(mask) == (slice(1, 4), slice(2, 3), slice(3, 7))
    for nothing in (np.zeros((5, 6, 7), np.uint8), np.zeros((0, 0, 0), bool)):
        assert geometry.bounding_box(nothing) == (slice(0, 0),) * 3


@pytest.mark.parametrize("codes", ALL_AXIS_CODES)
def test_codes_give_the_orientation_and_its_inverse(codes: str) -> None:
    way = geometry.orientation_of(codes)
    assert way == geometry.orientation(affine_of(codes))
    array = np.arange(24).reshape(2, 3, 4)
    np.testing.assert_array_equal(geometry.reorient(geometry.reorient(array, way), way.inverse), array)
    grid = geometry.Grid((2, 3, 4), affine_of(codes, (1.0, 2.0, 3.0)))
    back = grid.reoriented(way).reoriented(way.inverse)
    assert back.shape == grid.shape
    np.testing.assert_allclose(back.affine, grid.affine, atol=1e-12)


@pytest.mark.parametrize("codes", ["RA", "RRS", "XYZ", "RASI", ""])
def test_codes_that_are_none(codes: str) -> None:
    with pytest.raises(ValueError, match="expected a direction for each axis as in 'RAS'"):
        geometry.orientation_of(codes)
