"""Analytic shapes, rotated, on grids whose voxels are not cubes: within 2 % of their formulas."""

import numpy as np
import pytest
from scipy.spatial.distance import pdist
from scipy.spatial.transform import Rotation
from scipy.special import elliprg

from kits_tf.analysis import shapes

GRIDS = [(1.0, 0.7, 0.7), (3.0, 0.8, 0.8), (0.6, 1.0, 0.8)]
TURNS = [Rotation.from_rotvec(v) for v in ([0, 0, 0], [0.4, -0.3, 0.9], [1.2, 0.7, -0.5], [-0.2, 1.5, 0.3])]
SEMI_AXES = np.array([55.0, 30.0, 22.0])


def places_of(spacing: tuple[float, float, float], turn: Rotation, reach_mm: float) -> np.ndarray:
    """Returns voxel centers (z, y, x, 3) in mm in the frame of a shape that is turned; its center is no voxel's."""
    sizes = [int(2 * reach_mm / s) for s in spacing]
    mm = np.moveaxis(np.indices(sizes), 0, -1) * spacing - reach_mm + [0.23, 0.11, 0.37]
    return turn.apply(mm.reshape(-1, 3)).reshape(mm.shape)


def ellipsoid(spacing: tuple[float, float, float], turn: Rotation) -> np.ndarray:
    return ((places_of(spacing, turn, 60) / SEMI_AXES) ** 2).sum(axis=-1) < 1


@pytest.mark.parametrize("spacing", GRIDS)
@pytest.mark.parametrize("turn", TURNS)
def test_an_ellipsoid(spacing: tuple[float, float, float], turn: Rotation) -> None:
    mask = ellipsoid(spacing, turn)
    volume_mm3 = 4 / 3 * np.pi * SEMI_AXES.prod()
    area_mm2 = 4 * np.pi * SEMI_AXES.prod() * elliprg(*(SEMI_AXES**-2.0))
    assert mask.sum() * np.prod(spacing) == pytest.approx(volume_mm3, rel=0.005)
    assert shapes.principal_extents_mm(mask, spacing) == pytest.approx(tuple(2 * SEMI_AXES), rel=0.02)
    assert shapes.surface_area_mm2(mask, spacing) == pytest.approx(area_mm2, rel=0.02)
    assert shapes.largest_diameter_mm(mask, spacing) == pytest.approx(110, rel=0.02)
    # In the plane z = c an ellipse; the largest is the one through the center, of the form v' A v = 1.
    form = turn.as_matrix().T @ np.diag(SEMI_AXES**-2.0) @ turn.as_matrix()
    axial = 2 / np.sqrt(np.linalg.eigvalsh(form[1:, 1:])[0])
    assert shapes.largest_axial_diameter_mm(mask, spacing) == pytest.approx(axial, rel=0.02)


@pytest.mark.parametrize("turn", TURNS)
def test_a_box_and_a_cylinder(turn: Rotation) -> None:
    spacing = (1.0, 0.7, 0.7)
    places = places_of(spacing, turn, 62)
    box = (np.abs(places) < [50, 28, 20]).all(axis=-1)
    assert shapes.surface_area_mm2(box, spacing) == pytest.approx(
        2 * (100 * 56 + 56 * 40 + 100 * 40), rel=0.025
    )  # its edges are rounded
    cylinder = (np.abs(places[..., 0]) < 40) & (np.linalg.norm(places[..., 1:], axis=-1) < 20)
    assert shapes.surface_area_mm2(cylinder, spacing) == pytest.approx(2 * np.pi * 20 * (80 + 20), rel=0.02)
    length, *_ = shapes.principal_extents_mm(cylinder, spacing)
    assert length == pytest.approx(80, rel=0.02)


def test_sphericity() -> None:
    assert shapes.sphericity(4 / 3 * np.pi * 1000, 400 * np.pi) == pytest.approx(1)
    assert shapes.sphericity(1.0, 6.0) == pytest.approx((np.pi / 6) ** (1 / 3))  # a cube


def test_diameters_of_few_voxels() -> None:
    empty, one = np.zeros((2, 3, 4), bool), np.ones((1, 1, 1), bool)
    spacing = (5.0, 0.8, 0.6)
    assert shapes.largest_diameter_mm(empty, spacing) == shapes.largest_axial_diameter_mm(empty, spacing) == 0
    assert shapes.largest_diameter_mm(one, spacing) == shapes.largest_axial_diameter_mm(one, spacing) == 0.6
    assert shapes.largest_diameter_mm(np.ones((1, 1, 9), bool), (1.0, 1.0, 1.0)) == 9
    flat = np.ones((3, 1, 4), bool)
    assert shapes.largest_diameter_mm(flat, (1.0, 1.0, 1.0)) == pytest.approx(np.hypot(2, 3) + 1)
    assert shapes.largest_axial_diameter_mm(flat, (1.0, 1.0, 1.0)) == 4
    cloud = np.random.default_rng(0).random((7, 8, 9)) > 0.6
    places = np.argwhere(cloud) * spacing
    assert shapes.largest_diameter_mm(cloud, spacing) == pytest.approx(pdist(places).max() + 0.6)


def test_what_lies_in_a_hull() -> None:
    corners = np.array(np.meshgrid([0, 10], [0, 10], [0, 10]), float).reshape(3, -1).T
    points = np.array([[5, 5, 5], [9.9, 9.9, 9.9], [10.1, 5, 5], [0, 0, 0]], float)
    assert shapes.share_inside_hull(points, corners) == 0.75
    assert shapes.share_inside_hull(points, corners[:2]) == 0
    many = np.random.default_rng(1).uniform([0, 0, 0], [10, 10, 40], (100_000, 3))
    assert shapes.share_inside_hull(many, corners) == pytest.approx(0.25, abs=0.01)
