from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import tensorflow as tf
from conftest import affine_of, restore, rotation
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from kits_tf.config import IntensitySettings
from kits_tf.ct import preprocess, separable
from kits_tf.ct.geometry import Grid
from kits_tf.ct.kernels import KERNELS, interpolation_matrix

INTENSITY = IntensitySettings(window_hu=(-79.0, 304.0), mean_hu=101.0, std_hu=76.9)
RNG = np.random.default_rng(3)
HU = (RNG.normal(size=(13, 21, 17)) * 300).astype(np.int16)
ORDERS = {"nearest": 0, "linear": 1, "cubic": 3}
SHAPES = [(9, 30, 17), (26, 10, 40), (1, 5, 3), (13, 21, 17)]


def scipy_zoom(array: np.ndarray, shape: tuple[int, ...], kernel: str) -> np.ndarray:
    zoom = np.array(shape) / np.array(array.shape)
    return ndimage.zoom(array.astype(float), zoom, order=ORDERS[kernel], mode="reflect", grid_mode=True)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kernel", ORDERS)
def test_resample_equals_scipy_rounded(shape: tuple[int, int, int], kernel: str) -> None:
    ours = preprocess.resample(HU, shape, kernel).numpy()
    assert ours.dtype == np.int16
    assert np.abs(ours - scipy_zoom(HU, shape, kernel)).max() <= 0.5 + 1e-3


def by_hand(array: np.ndarray, shape: tuple[int, ...], kernel: str) -> np.ndarray:
    """Returns the array with each axis interpolated by its matrix, in float64."""
    for axis, size in enumerate(shape):
        matrix = interpolation_matrix(array.shape[axis], size, kernel).numpy().astype(float)
        array = np.moveaxis(np.tensordot(matrix, array, (1, axis)), 0, axis)
    return array


@pytest.fixture
def traced_anew() -> Iterator[None]:
    """Graphs are traced again within the test, and after it."""
    graphs = (preprocess._resample, preprocess._resample_labels)
    for graph in graphs:
        graph.cache_clear()
    yield
    for graph in graphs:
        graph.cache_clear()


@pytest.mark.usefixtures("traced_anew")
@pytest.mark.parametrize(("slab", "band"), [(1, 1), (300, 5), (10**6, 16)])
def test_slabs_and_bands_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch, slab: int, band: int) -> None:
    monkeypatch.setattr(separable, "_SLAB", slab)
    monkeypatch.setattr(separable, "_BAND", band)
    hu = (RNG.normal(size=(25, 13, 14)) * 500).astype(np.int16)
    labels = (hu > 400).astype(np.uint8) + 2 * (hu < -700).astype(np.uint8)
    logits = RNG.normal(size=(25, 13, 14, 3)).astype(np.float32)
    for shape in ((30, 10, 9), (14, 20, 21), (3, 2, 60)):
        for kernel in ("nearest", "cubic_fit"):
            found = preprocess.resample(hu, shape, kernel).numpy()
            assert np.abs(found - by_hand(hu.astype(float), shape, kernel)).max() <= 0.5 + 1e-2
        shares = [by_hand((labels == c).astype(float), shape, "cubic_fit") for c in range(3)]
        check_decision(preprocess.resample_labels(labels, shape, "cubic_fit", 3).numpy(), shares)
        values = [by_hand(logits[..., c].astype(float), shape, preprocess.RESTORE_KERNEL) for c in range(3)]
        check_decision(restore(logits, shape).numpy(), values)


@pytest.mark.usefixtures("traced_anew")
def test_every_shape_shares_one_graph() -> None:
    for size in (5, 6, 7):
        preprocess.resample(HU[:size], (size, 3, 4), "linear")
        preprocess.resample_labels(np.ones((size, 4, 5), np.uint8), (3, 2, size), "linear", 4)
    graphs = (preprocess._resample("linear"), preprocess._resample_labels("linear", 4))
    assert [graph.experimental_get_tracing_count() for graph in graphs] == [1, 1]


def check_decision(found: np.ndarray, by_class: list[np.ndarray]) -> None:
    """Checks that every label is the class of the largest value, where there is no tie."""
    values = np.array(by_class)
    decided = np.diff(np.sort(values, axis=0)[-2:], axis=0)[0] > 1e-4
    assert decided.mean() > 0.8
    np.testing.assert_array_equal(found[decided], values.argmax(axis=0)[decided])


@given(
    st.sampled_from(sorted(KERNELS)),
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
    for kernel in KERNELS:
        small = preprocess.resample_labels(labels, (25, 33, 33), kernel, 4)
        back = preprocess.resample_labels(small, labels.shape, "linear", 4).numpy()
        assert set(np.unique(back)) == {0, 1, 3}
        assert 2 * ((back == labels) & (labels > 0)).sum() / ((back > 0).sum() + (labels > 0).sum()) > 0.93


def test_restore_of_one_hot_logits_is_label_resampling() -> None:
    labels = RNG.integers(0, 4, (6, 7, 8)).astype(np.uint8)
    shares = [scipy_zoom((labels == c).astype(float), (9, 5, 8), "linear") for c in range(4)]
    check_decision(restore(tf.one_hot(labels, 4), (9, 5, 8)).numpy(), shares)
    check_decision(preprocess.resample_labels(labels, (9, 5, 8), "linear", 4).numpy(), shares)
    np.testing.assert_array_equal(restore(tf.one_hot(labels, 4), labels.shape), labels)


def test_label_resampling_is_scipys_class_by_class() -> None:
    labels = np.zeros((14, 15, 16), np.uint8)
    labels[3:9, 4:11, 5:13] = RNG.integers(0, 4, (6, 7, 8))
    shape = (11, 19, 13)
    for kernel in ("linear", "cubic"):
        shares = [scipy_zoom((labels == c).astype(float), shape, kernel) for c in range(4)]
        check_decision(preprocess.resample_labels(labels, shape, kernel, 4).numpy(), shares)
    assert not preprocess.resample_labels(np.zeros((3, 4, 5), np.uint8), (5, 4, 3), "cubic", 4).numpy().any()


class Chain(tf.Module):
    """Scan and mask to a grid, and the mask and logits back: what a SavedModel and a tf.data pipeline trace."""

    @tf.function(
        input_signature=[
            tf.TensorSpec([None] * 3, tf.int16),
            tf.TensorSpec([None] * 3, tf.uint8),
            tf.TensorSpec([3], tf.int32),
        ]
    )
    def run(self, hu: tf.Tensor, labels: tf.Tensor, shape: tf.Tensor) -> dict[str, tf.Tensor]:
        return run(hu, labels, shape)


def run(hu: tf.Tensor, labels: tf.Tensor, shape: tf.Tensor) -> dict[str, tf.Tensor]:
    small = preprocess.resample(hu, shape, "cubic_fit")
    image, small_labels = preprocess.normalize(small, INTENSITY), preprocess.resample_labels(labels, shape, "linear", 4)
    logits = tf.one_hot(small_labels, 4) + image[..., None]
    return {"hu": small, "image": image, "labels": small_labels, "restored": restore(logits, tf.shape(hu))}


def test_eager_tf_data_and_saved_model_give_the_same_bits(tmp_path: Path) -> None:
    hu = ndimage.gaussian_filter(RNG.normal(size=(40, 90, 80)) * 3000, 2).astype(np.int16)
    labels = (np.digitize(hu, (50, 150, 250))).astype(np.uint8)
    shape = np.array((52, 61, 57), np.int32)
    chain = Chain()
    tf.saved_model.save(chain, str(tmp_path / "model"))
    eager = run(hu, labels, shape)
    dataset = tf.data.Dataset.from_tensors((hu, labels, shape)).map(run, num_parallel_calls=2)
    others = {
        "graph": chain.run(hu, labels, shape),
        "tf.data": next(iter(dataset)),
        "SavedModel": tf.saved_model.load(str(tmp_path / "model")).run(hu, labels, shape),
    }
    assert set(np.unique(eager["restored"])) == {0, 1, 2, 3}
    for name, found in others.items():
        assert set(found) == set(eager)
        for key, values in eager.items():
            np.testing.assert_array_equal(found[key].numpy(), values.numpy(), err_msg=f"{name}: {key}")


@pytest.mark.parametrize("codes", ["IPL", "RAS", "PIR"])
@pytest.mark.parametrize("kernel", ["linear", "cubic", "linear_fit", "cubic_fit"])
def test_a_world_point_keeps_its_hounsfield_units(codes: str, kernel: str) -> None:
    # HU are a plane over world coordinates, on an oblique grid: interpolation gives it back wherever no border is near.
    stored = Grid((40, 42, 44), rotation((8, -5, 12)) @ affine_of(codes, (1.7, 0.8, 0.9)))
    gradient = np.array([6.0, -9.0, 4.0])

    def plane(grid: Grid) -> np.ndarray:
        return nib.affines.apply_affine(grid.affine, np.moveaxis(np.indices(grid.shape), 0, -1)) @ gradient

    hu = np.rint(plane(stored)).astype(np.int16)
    small = stored.resampled((1.1, 1.2, 1.3))
    found = preprocess.resample(hu, small.shape, kernel).numpy()
    inside = (slice(8, -8),) * 3
    assert np.abs(found - plane(small))[inside].max() < 2  # HU; a shift by half a voxel would be at least 2.2


def test_restore_of_resample_has_the_very_shape_and_affine() -> None:
    labels = RNG.integers(0, 4, (33, 47, 51)).astype(np.uint8)
    grid = Grid(labels.shape, rotation((3, 2, 1)) @ affine_of("IPL", (3.0, 0.81, 0.81)))
    small = grid.resampled((1.6, 1.2, 1.2))
    there = preprocess.resample_labels(labels, small.shape, "cubic_fit", 4)
    back = restore(tf.one_hot(there, 4), grid.shape)
    assert back.shape == grid.shape
    # The way back from the coarse grid's own affine, in floating point.
    np.testing.assert_allclose(small.resampled(grid.spacing_mm).affine, grid.affine, atol=1e-9)


def test_normalize_by_hand() -> None:
    values = preprocess.normalize(np.array([-1000, -79, 101, 304, 2000], np.int16), INTENSITY)
    np.testing.assert_allclose(values, [-180 / 76.9, -180 / 76.9, 0, 203 / 76.9, 203 / 76.9], rtol=1e-6)
