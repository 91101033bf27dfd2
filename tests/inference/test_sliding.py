from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from kits_tf.inference import sliding
from kits_tf.inference.progress import WindowProgress
from kits_tf.inference.sliding import SlidingWindow

RNG = np.random.default_rng(0)
# Written by benchmarks/peers/sliding.py.
GOLDEN = np.load(Path(__file__).parent.parent / "golden" / "monai_sliding.npz")


@dataclass(frozen=True)
class Toy:
    """A function as a network."""

    function: Callable[[tf.Tensor], tf.Tensor]
    channels: int = 1

    def __call__(self, windows: tf.Tensor) -> tf.Tensor:
        return self.function(windows)


def merged(volume: np.ndarray, network: Toy, window: SlidingWindow) -> np.ndarray:
    """Returns what is merged; the while loops are run by Python, which for a few windows takes less than a graph."""
    return sliding.merge_windows(tf.constant(volume), network, window).numpy()


def two_channels(part: tf.Tensor) -> tf.Tensor:
    return tf.stack([tf.cast(part, tf.float32), -2.0 * tf.cast(part, tf.float32)], axis=-1)


def ones(windows: tf.Tensor) -> tf.Tensor:
    return tf.ones([*tf.unstack(tf.shape(windows)), 1])


def position_in_window(part: tf.Tensor) -> tf.Tensor:
    """Not translation-invariant: what it gives for a voxel depends on where the window lies."""
    _, z, y, x = part.shape
    ramp = np.arange(z * y * x, dtype=np.float32).reshape(1, z, y, x, 1)
    return tf.cast(part, tf.float32)[..., None] * ramp


def by_plain_loops(volume: np.ndarray, window: tuple, overlap: float) -> np.ndarray:
    weights = sliding.gaussian_importance(window)
    total, sums = np.zeros((*volume.shape, 1)), np.zeros((*volume.shape, 1))
    starts = [sliding.window_starts(n, w, overlap).numpy() for n, w in zip(volume.shape, window, strict=True)]
    for z in starts[0]:
        for y in starts[1]:
            for x in starts[2]:
                box = tuple(slice(s, s + w) for s, w in zip((z, y, x), window, strict=True))
                total[box] += weights[..., None] * position_in_window(tf.constant(volume[box][None]))[0].numpy()
                sums[box] += weights[..., None]
    return total / sums


@given(
    st.tuples(*[st.integers(1, 14)] * 3),
    st.tuples(*[st.integers(1, 6)] * 3),
    st.floats(0, 0.9),
    st.sampled_from(["gaussian", "constant"]),
    st.integers(1, 4),
)
@settings(max_examples=8)
def test_a_merge_of_ones_is_one_everywhere(
    size: tuple, window: tuple, overlap: float, weights: str, at_once: int
) -> None:
    windows = SlidingWindow(size=window, overlap=overlap, weighting=weights, batch_size=at_once)
    network = Toy(lambda p: tf.ones([*p.shape, 3]), channels=3)
    np.testing.assert_array_equal(merged(np.zeros(size, np.int16), network, windows), np.ones((*size, 3)))


def test_a_voxelwise_network_is_merged_to_itself() -> None:
    volume = RNG.integers(-1000, 1000, (9, 17, 13)).astype(np.int16)
    both = merged(volume, Toy(two_channels, channels=2), SlidingWindow(size=(4, 6, 5)))
    np.testing.assert_allclose(both[..., 0], volume, rtol=1e-5)
    np.testing.assert_allclose(both[..., 1], -2.0 * volume, rtol=1e-5)


@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5])
def test_weights_are_applied_as_by_plain_loops(overlap: float) -> None:
    volume = RNG.integers(-5, 5, (9, 11, 7)).astype(np.int16)
    mean = merged(volume, Toy(position_in_window), SlidingWindow(size=(4, 6, 5), overlap=overlap))
    np.testing.assert_allclose(mean, by_plain_loops(volume, (4, 6, 5), overlap), rtol=1e-4, atol=1e-4)


def test_overlap_changes_the_result() -> None:
    volume = RNG.integers(1, 5, (9, 11, 7)).astype(np.int16)
    results = [merged(volume, Toy(position_in_window), SlidingWindow(size=(4, 6, 5), overlap=o)) for o in (0.0, 0.5)]
    assert np.abs(results[0] - results[1]).max() > 1


def test_small_volumes_are_padded_evenly_with_the_outside_value() -> None:
    seen = []

    def remember(part: tf.Tensor) -> tf.Tensor:
        seen.append(part.numpy() if hasattr(part, "numpy") else part)
        return tf.cast(part, tf.float32)[..., None]

    scan = np.full((1, 2, 3), 7, np.int16)
    for padding, value in (({}, -1024), ({"padding_value": 30}, 30)):
        result = merged(scan, Toy(remember), SlidingWindow(size=(4, 4, 4), **padding))
        assert result.shape == (1, 2, 3, 1) and result == pytest.approx(7)
        window = seen.pop()
        assert (window[0, 1, 1:3, 0:3] == 7).all() and (window == 7).sum() == 6 and (window == value).sum() == 64 - 6
    assert not seen


def test_starts_cover_the_axis_and_end_at_its_end() -> None:
    assert sliding.window_starts(10, 4, 0.5).numpy().tolist() == [0, 2, 4, 6]
    assert sliding.window_starts(11, 4, 0.5).numpy().tolist() == [0, 2, 4, 6, 7]
    assert sliding.window_starts(4, 4, 0.5).numpy().tolist() == [0]
    assert sliding.window_starts(9, 4, 0.0).numpy().tolist() == [0, 4, 5]


def test_weights_are_gaussian_with_a_floor() -> None:
    weights = sliding.gaussian_importance((9, 9, 9))
    assert weights[4, 4, 4] == 1 and weights.min() == np.float32(1e-3)
    assert weights[4, 4, 5] == pytest.approx(np.exp(-0.5 / (9 / 8) ** 2))


def place_and_value(windows: tf.Tensor) -> tf.Tensor:
    """The network of benchmarks/peers/sliding.py."""
    place = np.arange(np.prod(windows.shape[1:])).reshape(windows.shape[1:]) % 37
    return tf.stack([windows * place, windows - place], axis=-1)


@pytest.mark.parametrize("at_once", [1, 2])
@pytest.mark.parametrize("name", sorted({key.partition(".")[0] for key in GOLDEN.files}))
def test_windows_are_merged_as_monai_merges_them(name: str, at_once: int) -> None:
    *window, overlap, is_gaussian = GOLDEN[f"{name}.settings"].tolist()
    weighting = "gaussian" if is_gaussian else "constant"
    windows = SlidingWindow(
        size=tuple(map(int, window)), overlap=overlap, weighting=weighting, batch_size=at_once, padding_value=-9
    )
    ours = merged(GOLDEN[f"{name}.volume"], Toy(place_and_value, channels=2), windows)
    expected = np.moveaxis(GOLDEN[f"{name}.merged"], 0, -1)
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


class Sums(NamedTuple):
    """What a `Recorder` remembers: the number of planes of each slab, and the sum of all values."""

    lengths: tf.Tensor
    total: tf.Tensor


class Recorder:
    """Receives planes; its results have names of their own."""

    def __init__(self, name: str) -> None:
        self.name = name

    def begin(self, channels: int) -> Sums:
        return Sums(tf.zeros([0], tf.int32), tf.zeros([channels]))

    def receive(self, planes: tf.Tensor, state: Sums) -> Sums:
        length = tf.shape(planes)[:1]
        return Sums(tf.concat([state.lengths, length], axis=0), state.total + tf.reduce_sum(planes, axis=[0, 1, 2]))

    def finish(self, state: Sums) -> dict[str, tf.Tensor]:
        return {f"{self.name}.lengths": state.lengths, f"{self.name}.total": state.total}


def test_planes_are_handed_on_to_every_receiver_as_soon_as_no_window_adds_to_them() -> None:
    volume, recorders = tf.ones([11, 4, 4], tf.int16), (Recorder("a"), Recorder("b"))
    results = sliding.stream_windows(volume, Toy(two_channels, channels=2), SlidingWindow(size=(4, 4, 4)), recorders)
    assert set(results) == {"a.lengths", "a.total", "b.lengths", "b.total"}
    for name in ("a", "b"):
        assert results[f"{name}.lengths"].numpy().tolist() == [2, 2, 2, 1, 4]  # windows start at 0, 2, 4, 6 and 7
        np.testing.assert_allclose(results[f"{name}.total"], [11 * 16, -2 * 11 * 16], rtol=1e-6)


def test_each_batch_of_windows_is_counted() -> None:
    counted: list[list[int]] = []

    class Recorded(WindowProgress):
        def count(self, done: tf.Tensor, total: tf.Tensor) -> None:
            super().count(done, total)
            if tf.executing_eagerly():
                counted.append(self.windows.numpy().tolist())

    progress, windows, scan = Recorded(), SlidingWindow(size=(4, 4, 4), batch_size=2), tf.zeros([6, 4, 9], tf.int16)

    def run() -> tf.Tensor:
        return sliding.stream_windows(scan, Toy(ones), windows, (Recorder("a"),), progress)["a.total"]

    assert float(run()[0]) == 6 * 4 * 9
    assert counted == [[i + 1, 4] for i in range(4)]  # two layers of four windows along x, two at once
    progress.windows.assign([0, 0])
    assert float(tf.function(run, autograph=False)()[0]) == 6 * 4 * 9
    assert progress.windows.numpy().tolist() == [4, 4]
