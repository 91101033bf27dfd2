import numpy as np
import pytest
import tensorflow as tf
from conftest import ALL_AXIS_CODES, affine_of, rotation
from hypothesis import given
from hypothesis import strategies as st

from kits_tf.ct import geometry, graph_geometry

ARRAY = np.arange(4 * 5 * 6).reshape(4, 5, 6)


@tf.function(input_signature=[tf.TensorSpec([None] * 3, tf.int64), tf.TensorSpec([4, 4], tf.float32)])
def there_and_back(array: tf.Tensor, affine: tf.Tensor) -> tuple[tf.Tensor, ...]:
    permutation, flips, spacing_mm = graph_geometry.orientation(affine)
    turned = graph_geometry.reorient(array, permutation, flips)
    return permutation, flips, spacing_mm, turned, graph_geometry.undo_reorient(turned, permutation, flips)


@pytest.mark.parametrize("degrees", [(0, 0, 0), (12, -20, 8)])
@pytest.mark.parametrize("codes", ALL_AXIS_CODES)
def test_graph_agrees_with_geometry(codes: str, degrees: tuple[float, float, float]) -> None:
    affine = rotation(degrees) @ affine_of(codes, (0.7, 0.8, 3.0))
    way = geometry.orientation(affine)
    permutation, flips, spacing_mm, turned, back = there_and_back(ARRAY, affine.astype(np.float32))
    assert tuple(permutation.numpy()) == way.permutation
    assert tuple(flips.numpy()) == way.flips
    grid = geometry.Grid(ARRAY.shape, affine).reoriented(way)
    np.testing.assert_allclose(spacing_mm, grid.spacing_mm, rtol=1e-6)
    np.testing.assert_array_equal(turned, geometry.reorient(ARRAY, way))
    np.testing.assert_array_equal(back, ARRAY)


@given(st.tuples(*[st.integers(1, 1100)] * 3), st.tuples(*[st.integers(1, 500)] * 3))
def test_shape_rule_is_geometrys_halves_included(shape: tuple, hundredths: tuple) -> None:
    spacing_mm = tuple(h / 100 for h in hundredths)
    for wanted in ((1.6, 1.2, 1.2), (2.0, 2.0, 2.0), (4.0, 4.0, 4.0)):
        found = graph_geometry.resampled_shape(tf.constant(shape), tf.constant(spacing_mm, tf.float64), wanted)
        assert tuple(found.numpy()) == geometry.resampled_shape(shape, spacing_mm, wanted)
