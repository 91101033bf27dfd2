from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from kits_tf.ct.components import border, components_26, without_specks


def assert_same_components(mask: np.ndarray) -> None:
    found = components_26(mask)
    expected, count = ndimage.label(mask, np.ones((3, 3, 3)))
    pairs = set(zip(found.ravel().tolist(), expected.ravel().tolist(), strict=True))
    assert len(pairs) == len(set(found.ravel().tolist())) == len(set(expected.ravel().tolist()))  # one to one
    assert found.shape == mask.shape
    assert found.max() == count
    np.testing.assert_array_equal(found > 0, mask)


@given(hnp.arrays(bool, st.tuples(*[st.integers(1, 7)] * 3)))
def test_scipy_finds_the_same(mask: np.ndarray) -> None:
    assert_same_components(mask)


@pytest.mark.parametrize("shape", list(product(range(1, 6), repeat=3)))
def test_as_many_components_as_a_box_can_hold(shape: tuple[int, int, int]) -> None:
    assert_same_components((np.indices(shape) % 2 == 0).all(axis=0))


def test_a_box_within_an_array() -> None:
    mask = np.zeros((4, 9, 8), bool)
    mask[1, 2, 3] = mask[1, 4, 3] = True
    assert components_26(mask[1:2, 2:5, 3:4]).ravel().tolist() == [1, 0, 2]


def test_an_empty_array_has_none() -> None:
    assert components_26(np.zeros((0, 0, 0), bool)).shape == (0, 0, 0)


@pytest.mark.parametrize(("size", "is_kept"), [(1, False), (2, True), (4, True)])
def test_a_speck_is_below_a_twentieth_of_the_largest(size: int, is_kept: bool) -> None:
    mask = np.zeros((8, 3, 12), bool)
    mask[:5, :2, :4] = mask[7, 2, 12 - size :] = True  # 40 voxels, and few
    assert without_specks(mask)[7].any() == is_kept and without_specks(mask).sum() == 40 + size * is_kept
    assert not without_specks(np.zeros((2, 2, 2), bool)).any()


@given(hnp.arrays(np.bool_, (4, 5, 6)))
def test_border_is_what_erosion_takes(mask: np.ndarray) -> None:
    np.testing.assert_array_equal(border(mask), mask & ~ndimage.binary_erosion(mask))
