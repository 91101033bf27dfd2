"""Planes that come in pieces are restored as all at once; a box as it would be in the whole."""

import numpy as np
import pytest
import tensorflow as tf
from conftest import restore
from hypothesis import given, settings
from hypothesis import strategies as st

from kits_tf.inference.restoration import Restoration, labels_output


def in_pieces(logits: np.ndarray, shape: tuple, start: tuple, grid: tuple, cuts: list[int]) -> np.ndarray:
    """Returns what a box of the grid gives, handed over in pieces that end at the cuts."""
    size, classes = tf.constant(logits.shape[:3]), logits.shape[3]
    restoration = Restoration(
        tf.constant(grid), tf.constant(shape), tf.constant(start), size, (labels_output(classes),)
    )
    state = restoration.begin(classes)
    for low, high in zip([0, *cuts], [*cuts, logits.shape[0]], strict=True):
        if high > low:
            state = restoration.receive(tf.constant(logits[low:high]), state)
    return restoration.finish(state)["labels"].numpy()


@given(
    st.tuples(*[st.integers(1, 9)] * 3),
    st.tuples(*[st.integers(1, 20)] * 3),
    st.lists(st.integers(0, 9), max_size=3),
    st.integers(0, 1000),
)
@settings(max_examples=10)
def test_pieces_are_restored_as_the_whole(grid: tuple, shape: tuple, cuts: list[int], seed: int) -> None:
    logits = np.random.default_rng(seed).normal(size=(*grid, 3)).astype(np.float32)
    cuts = sorted(min(cut, grid[0]) for cut in cuts)
    np.testing.assert_array_equal(in_pieces(logits, shape, (0, 0, 0), grid, cuts), restore(logits, shape))


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5, 12, 30])
def test_planes_may_come_one_by_one(depth: int) -> None:
    """Where the scan's are far apart, some are of no use to any."""
    grid, shape = (12, 3, 3), (depth, 4, 2)
    logits = np.random.default_rng(4).normal(size=(*grid, 3)).astype(np.float32)
    found = in_pieces(logits, shape, (0, 0, 0), grid, list(range(1, 12)))
    np.testing.assert_array_equal(found, restore(logits, shape))


@pytest.mark.parametrize("shape", [(25, 40, 17), (7, 9, 11), (12, 16, 14)])
def test_outside_of_the_box_is_background_and_inside_nothing_changes(shape: tuple) -> None:
    grid, start, size = (12, 16, 14), (3, 0, 5), (7, 16, 6)
    box = tuple(slice(s, s + n) for s, n in zip(start, size, strict=True))
    logits = np.random.default_rng(2).normal(size=(*grid, 3)).astype(np.float32)
    found = in_pieces(logits[box], shape, start, grid, [2, 5])
    whole = restore(logits, shape).numpy()
    # Voxel centers of the scan on the grid.
    places = [(np.arange(n) + 0.5) * g / n - 0.5 for n, g in zip(shape, grid, strict=True)]
    deep = np.ix_(*[(p >= s) & (p <= s + n - 1) for p, s, n in zip(places, start, size, strict=True)])
    np.testing.assert_array_equal(found[deep], whole[deep])
    near = [(p > s - 0.51) & (p < s + n - 0.49) for p, s, n in zip(places, start, size, strict=True)]
    outside = ~(near[0][:, None, None] & near[1][:, None] & near[2])
    assert not found[outside].any() and found[deep].any() and outside.any()
