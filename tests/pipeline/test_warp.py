import functools
from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf
from conftest import no_warp
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from scipy.interpolate import BSpline

from kits_tf.config import ELASTIC_LIMIT, WarpSettings
from kits_tf.pipeline import warp
from kits_tf.pipeline.warp import AFFINE, BENT, EXACT, IN_PLANE, Warp

SIZE = (8, 10, 12)
SPACING = (3.0, 1.0, 1.5)
OFF = WarpSettings(rotation_probability=0, scale_probability=0, flip_zyx_probability=(0.0, 0.0, 0.0))


def draw(count: int, settings: WarpSettings, spacing: tuple = SPACING, first: int = 0) -> Warp:
    """Returns the warps of many seeds, as NumPy arrays."""

    @tf.function
    def run() -> Warp:
        seeds = tf.stack([tf.range(count), tf.fill([count], first)], axis=1)
        one = warp.sample_warp(tf.constant([0, 0]), settings, SIZE, spacing)
        types = tf.nest.map_structure(lambda t: tf.TensorSpec(t.shape, t.dtype), one)
        return tf.map_fn(lambda s: warp.sample_warp(s, settings, SIZE, spacing), seeds, fn_output_signature=types)

    return Warp(*[part.numpy() for part in run()])


def test_a_seed_repeats_and_another_differs() -> None:
    always = WarpSettings(rotation_probability=1)
    one, again, other = (warp.sample_warp(tf.constant(s), always, SIZE, SPACING) for s in ((1, 2), (1, 2), (2, 1)))
    np.testing.assert_array_equal(one.matrix, again.matrix)
    assert (one.matrix != other.matrix).numpy().any()


def test_graph_and_eager_draw_the_same() -> None:
    many = draw(3, WarpSettings(rotation_probability=1, scale_probability=1, elastic_probability=1), first=7)
    for i in range(3):
        settings = WarpSettings(rotation_probability=1, scale_probability=1, elastic_probability=1)
        one = warp.sample_warp(tf.constant([i, 7]), settings, SIZE, SPACING)
        np.testing.assert_allclose(one.matrix, many.matrix[i], rtol=1e-5, atol=1e-7)
        np.testing.assert_array_equal(one.bend, many.bend[i])


def test_each_change_has_its_own_chance() -> None:
    none = draw(500, OFF)
    assert (none.kind == EXACT).all() and (none.matrix == np.eye(3)).all() and not none.mirrored.any()
    for chance, kind in (("rotation", AFFINE), ("scale", AFFINE), ("axis_scale", AFFINE), ("elastic", BENT)):
        settings = WarpSettings(**{**vars(OFF), f"{chance}_probability": 0.3})
        kinds = draw(500, settings).kind
        assert set(kinds) == {EXACT, kind}
        assert 0.22 < (kinds == kind).mean() < 0.38, chance
    flips = draw(500, WarpSettings(**{**vars(OFF), "flip_zyx_probability": (0.1, 0.5, 0.8)}))
    shares = (np.diagonal(flips.matrix, axis1=1, axis2=2) < 0).mean(axis=0)
    np.testing.assert_allclose(shares, (0.1, 0.5, 0.8), atol=0.07)
    np.testing.assert_array_equal(flips.mirrored, flips.matrix[:, 2, 2] < 0)


def test_changes_are_independent() -> None:
    half = WarpSettings(rotation_probability=0.5, scale_probability=0.5, flip_zyx_probability=(0.0, 0.0, 0.5))
    found = draw(1000, half)
    scaled = np.abs(np.abs(np.linalg.det(found.matrix.astype(float))) - 1) > 1e-4
    rotated = np.abs(found.matrix[:, 1, 2]) > 0
    for a, b in ((scaled, rotated), (rotated, found.mirrored), (scaled, found.mirrored)):
        assert abs((a & b).mean() - 0.25) < 0.05


def test_a_turn_about_z_alone_stays_within_planes() -> None:
    turned = draw(20, WarpSettings(rotation_probability=1, rotation_zyx_degrees=(30.0, 0.0, 0.0), scale_probability=0))
    assert (turned.kind == IN_PLANE).all()


def test_rotations_are_rigid_in_millimeters() -> None:
    turning = WarpSettings(rotation_probability=1, rotation_zyx_degrees=(40.0, 30.0, 20.0), scale_probability=0)
    spacing = np.diag(SPACING)
    for matrix in draw(30, turning).matrix.astype(float):
        in_mm = spacing @ matrix @ np.linalg.inv(spacing)
        np.testing.assert_allclose(in_mm @ in_mm.T, np.eye(3), atol=1e-5)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_angles_fill_their_range_either_way(axis: int) -> None:
    limits = tuple(35.0 if i == axis else 0.0 for i in range(3))
    turning = WarpSettings(**{**vars(OFF), "rotation_probability": 1.0, "rotation_zyx_degrees": limits})
    matrix = draw(300, turning, (1.0, 1.0, 1.0)).matrix
    row, column = [i for i in range(3) if i != axis]
    angles = np.rad2deg(np.arcsin(matrix[:, row, column]))
    assert -35.01 < angles.min() < -33 and 33 < angles.max() < 35.01 and abs(angles.mean()) < 4


def test_one_axis_rotations_have_the_expected_matrix() -> None:
    angle = np.float32(0.3)
    c, s = np.cos(angle), np.sin(angle)
    for axis, expected in enumerate(
        ([[1, 0, 0], [0, c, -s], [0, s, c]], [[c, 0, -s], [0, 1, 0], [s, 0, c]], [[c, -s, 0], [s, c, 0], [0, 0, 1]])
    ):
        angles = tf.one_hot(axis, 3) * angle
        np.testing.assert_allclose(warp.rotation_matrix(angles), expected, atol=1e-7)


def test_scale_stays_in_its_range_and_magnifies_above_one() -> None:
    scaling = WarpSettings(**{**vars(OFF), "scale_probability": 1.0, "scale_range": (0.5, 2.0)})
    steps = draw(400, scaling).matrix
    np.testing.assert_array_equal(steps, steps[:, :1, :1] * np.eye(3))  # the same along every axis
    steps = steps[:, 0, 0]
    assert 0.5 <= steps.min() < 0.55 and 1.8 < steps.max() <= 2.0
    assert abs((steps < 1).mean() - 0.5) < 0.1
    by_axis = draw(400, WarpSettings(**{**vars(OFF), "axis_scale_probability": 1.0, "axis_scale_range": (0.5, 2.0)}))
    diagonal = np.diagonal(by_axis.matrix, axis1=1, axis2=2)
    assert np.abs(np.corrcoef(diagonal.T) - np.eye(3)).max() < 0.15


def corners(found: Warp, i: int) -> np.ndarray:
    """Returns the furthest that the corners of a patch come from its middle, along each axis, without bending."""
    half = (np.array(SIZE) - 1) / 2
    signs = np.array(np.meshgrid(*[(-1, 1)] * 3)).reshape(3, -1)
    return np.abs(found.matrix[i].astype(float) @ (signs * half[:, None])).max(axis=1)


@functools.cache
def box_function(kernel: str) -> Callable:
    """Returns a function of warps that gives start and size of their boxes and the origins in them, traced once."""

    @tf.function(autograph=False, reduce_retracing=True)
    def run(warps: Warp) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        def box(one: Warp) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            start, size = warp.source_box(one, SIZE, kernel)
            return start, size, warp.source_origin(one, start, SIZE)

        return tf.map_fn(box, warps, fn_output_signature=(tf.int32, tf.int32, tf.float32))

    return run


def boxes(warps: Warp, kernel: str) -> list[np.ndarray]:
    return [part.numpy() for part in box_function(kernel)(Warp(*map(tf.constant, warps)))]


@given(
    st.tuples(*[st.floats(0, 90)] * 3), st.floats(0.5, 1.0), st.integers(0, 2**31 - 1),
    st.tuples(*[st.floats(0.5, 5)] * 3), st.sampled_from(["linear", "cubic"]),
)  # fmt: skip
@hypothesis_settings(max_examples=12)
def test_the_box_holds_all_that_is_looked_at_and_little_more(
    rotation: tuple, scale: float, seed: int, spacing: tuple, kernel: str
) -> None:
    settings = WarpSettings(
        rotation_probability=0.7, rotation_zyx_degrees=rotation, scale_probability=0.7, scale_range=(scale, 1.2)
    )
    found = draw(20, settings, spacing, seed)
    before, after = warp.SUPPORT[kernel]
    middle = np.array([(n - 1) / 2 - n // 2 for n in SIZE])
    for i, (start, size, origin) in enumerate(zip(*boxes(found, kernel), strict=True)):
        reach = corners(found, i)
        first, last = middle - reach, middle + reach  # of the places that are looked up
        between = np.array([found.kind[i] > IN_PLANE, found.kind[i] > EXACT, found.kind[i] > EXACT])
        first = np.where(between, np.floor(first - 1e-4) - before, np.round(first))
        last = np.where(between, np.floor(last + 1e-4) + after, np.round(last))
        assert (start <= first).all() and (start + size - 1 >= last).all()
        assert (first - start <= 1).all() and (start + size - 1 - last <= 1).all()
        np.testing.assert_allclose(origin, middle - start - found.matrix[i] @ ((np.array(SIZE) - 1) / 2), atol=1e-3)


def test_an_unmoved_patch_needs_itself_only() -> None:
    start, size = warp.source_box(no_warp(), SIZE, "cubic")
    np.testing.assert_array_equal(size, SIZE)
    np.testing.assert_array_equal(start, [-4, -5, -6])
    np.testing.assert_array_equal(warp.source_origin(no_warp(), start, SIZE), [0, 0, 0])


@pytest.mark.parametrize(("size", "points"), [(12, 4), (33, 7), (2, 5)])
def test_the_splines_are_scipys(size: int, points: int) -> None:
    found = warp.spline_matrix(size, points)
    knots = np.arange(-2, points + 2)  # control point k is the middle of the spline over knots k - 2 .. k + 2
    places = np.linspace(1, points - 2, size)
    for k in range(points):
        spline = BSpline.basis_element(knots[k : k + 5], extrapolate=False)
        np.testing.assert_allclose(found[:, k], np.nan_to_num(spline(places)), atol=1e-6)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)


def test_bends_stay_within_their_limit_and_never_fold() -> None:
    most = 20.0 * ELASTIC_LIMIT
    settings = WarpSettings(**{**vars(OFF), "elastic_probability": 1.0, "elastic_mm": most, "elastic_spacing_mm": 20.0})
    size, spacing = (24, 24, 24), (2.0, 2.0, 2.0)
    for seed in range(5):
        bend = warp.sample_warp(tf.constant([seed, 0]), settings, size, spacing).bend.numpy()
        assert 0.8 * most / 2 < np.abs(bend).max() <= most / 2  # in voxels
        field = bend
        for n in size:
            field = np.tensordot(field, warp.spline_matrix(n, field.shape[1]), ([1], [1]))
        jacobian = np.stack([np.stack(np.gradient(axis), axis=-1) for axis in field], axis=-1) + np.eye(3)
        assert np.linalg.det(jacobian).min() > 0
