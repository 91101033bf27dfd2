import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from kits_tf.ct import preprocess

RNG = np.random.default_rng(3)
HU = (RNG.normal(size=(13, 21, 17)) * 300).astype(np.int16)
ORDERS = {"nearest": 0, "linear": 1, "cubic": 3}
SHAPES = [(9, 30, 17), (26, 10, 40), (1, 5, 3), (13, 21, 17)]


def scipy_zoom(array: np.ndarray, shape: tuple[int, ...], kernel: str) -> np.ndarray:
    zoom = np.array(shape) / np.array(array.shape)
    return ndimage.zoom(array.astype(float), zoom, order=ORDERS[kernel], mode="reflect", grid_mode=True)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kernel", ["linear", "cubic"])
def test_interpolation_equals_scipy_within_a_thousandth_of_a_hounsfield_unit(
    shape: tuple[int, int, int], kernel: str
) -> None:
    z, y, x = (preprocess.interpolation_matrix(m, n, kernel) for m, n in zip(HU.shape, shape, strict=True))
    ours = np.einsum("Zz,Yy,Xx,zyx->ZYX", z, y, x, HU.astype(float))
    np.testing.assert_allclose(ours, scipy_zoom(HU, shape, kernel), atol=1e-3)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kernel", ORDERS)
def test_resample_equals_scipy_rounded(shape: tuple[int, int, int], kernel: str) -> None:
    ours = preprocess.resample(HU, shape, kernel).numpy()
    assert ours.dtype == np.int16
    assert np.abs(ours - scipy_zoom(HU, shape, kernel)).max() <= 0.5 + 1e-3


def test_long_scans_use_few_rows_and_still_equal_scipy() -> None:
    # Longer than the rows that are kept. Not narrower: SciPy's prefilter is inexact on axes of fewer than 8 voxels.
    tall = (RNG.normal(size=(200, 13, 14)) * 500).astype(np.int16)
    ours = preprocess.resample(tall, (150, 13, 14), "cubic").numpy()
    assert np.abs(ours - scipy_zoom(tall, (150, 13, 14), "cubic")).max() <= 0.5 + 1e-3


@given(
    st.sampled_from(sorted(ORDERS)),
    st.tuples(*[st.integers(1, 9)] * 3),
    st.tuples(*[st.integers(1, 9)] * 3),
    st.integers(-1024, 3000),
)
@settings(max_examples=30)
def test_a_constant_stays_constant(kernel: str, size: tuple, shape: tuple, value: int) -> None:
    assert (preprocess.resample(np.full(size, value, np.int16), shape, kernel).numpy() == value).all()


def test_a_ramp_keeps_its_value_at_every_world_point() -> None:
    # HU = 10 * position in mm: linear interpolation is exact inside, so voxel centers are where they should be.
    fine_mm = (np.arange(60) + 0.5) * 1.0
    ramp = np.broadcast_to((10 * fine_mm)[:, None, None], (60, 2, 2)).astype(np.int16)
    coarse_mm = (np.arange(24) + 0.5) * 2.5
    for kernel in ("linear", "cubic"):
        found = preprocess.resample(ramp, (24, 2, 2), kernel).numpy()[1:-1, 0, 0]
        np.testing.assert_allclose(found, 10 * coarse_mm[1:-1], atol=1)


def test_labels_restore_to_almost_the_same_and_never_a_new_value() -> None:
    z, y, x = np.mgrid[:40, :40, :40]
    labels = np.where((z - 20) ** 2 + (y - 18) ** 2 + (x - 21) ** 2 < 144, 3, 0).astype(np.uint8)
    labels[(labels == 3) & (x > 24)] = 1
    for kernel in ("nearest", "linear", "cubic"):
        small = preprocess.resample_labels(labels, (25, 33, 33), kernel, 4)
        back = preprocess.resample_labels(small, labels.shape, "linear", 4).numpy()
        assert set(np.unique(back)) == {0, 1, 3}
        assert 2 * ((back == labels) & (labels > 0)).sum() / ((back > 0).sum() + (labels > 0).sum()) > 0.93


def test_restore_of_one_hot_logits_is_label_resampling() -> None:
    labels = RNG.integers(0, 4, (6, 7, 8)).astype(np.uint8)
    restored = preprocess.restore(tf.one_hot(labels, 4), (9, 5, 8)).numpy()
    resampled = preprocess.resample_labels(labels, (9, 5, 8), "linear", 4).numpy()
    shares = np.sort([scipy_zoom((labels == c).astype(float), (9, 5, 8), "linear") for c in range(4)], axis=0)
    decided = shares[3] - shares[2] > 1e-5  # a tie of three may fall either way
    assert decided.mean() > 0.8
    np.testing.assert_array_equal(restored[decided], resampled[decided])
    np.testing.assert_array_equal(preprocess.restore(tf.one_hot(labels, 4), labels.shape), labels)


def test_label_resampling_is_scipys_class_by_class() -> None:
    labels = np.zeros((14, 15, 16), np.uint8)
    labels[3:9, 4:11, 5:13] = RNG.integers(0, 4, (6, 7, 8))
    shape = (11, 19, 13)
    for kernel in ("linear", "cubic"):
        shares = np.array([scipy_zoom((labels == c).astype(float), shape, kernel) for c in range(4)])
        decided = np.diff(np.sort(shares, axis=0)[2:], axis=0)[0] > 1e-5
        found = preprocess.resample_labels(labels, shape, kernel, 4).numpy()
        np.testing.assert_array_equal(found[decided], shares.argmax(axis=0)[decided])
    assert not preprocess.resample_labels(np.zeros((3, 4, 5), np.uint8), (5, 4, 3), "cubic", 4).numpy().any()


def test_graph_gives_the_same_bits_as_eager() -> None:
    @tf.function(input_signature=[tf.TensorSpec([None] * 3, tf.int16), tf.TensorSpec([3], tf.int32)])
    def traced(hu: tf.Tensor, shape: tf.Tensor) -> tf.Tensor:
        return preprocess.resample(hu, shape, "cubic")

    dataset = tf.data.Dataset.from_tensors((HU, np.array((20, 20, 20), np.int32))).map(traced)
    eager = preprocess.resample(HU, (20, 20, 20), "cubic").numpy()
    np.testing.assert_array_equal(traced(HU, (20, 20, 20)), eager)
    np.testing.assert_array_equal(next(iter(dataset)), eager)


def test_normalize_by_hand() -> None:
    values = preprocess.normalize(np.array([-1000, -79, 101, 304, 2000], np.int16), (-79.0, 304.0), 101.0, 76.9)
    np.testing.assert_allclose(values, [-180 / 76.9, -180 / 76.9, 0, 203 / 76.9, 203 / 76.9], rtol=1e-6)


def test_unknown_kernel_is_refused() -> None:
    with pytest.raises(ValueError, match="kernel: expected one of .* received: 'sinc'"):
        preprocess.interpolation_matrix(3, 3, "sinc")
