import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from kits_tf.config.shared import KERNEL_CHOICES
from kits_tf.ct.kernels import KERNELS, interpolation_matrix

ORDERS = {"nearest": 0, "linear": 1, "cubic": 3}


def scipy_matrix(in_size: int, out_size: int, order: int) -> np.ndarray:
    """Returns the matrix that scipy.ndimage.zoom applies, one column an impulse."""
    # Along an axis of its own and long: SciPy's spline prefilter is inexact on fewer than 8 samples.
    options = {"order": order, "mode": "reflect", "grid_mode": True}
    return np.stack([ndimage.zoom(row, out_size / in_size, **options) for row in np.eye(in_size)], axis=1)


@pytest.mark.parametrize(("in_size", "out_size"), [(30, 17), (17, 30), (24, 24), (13, 1), (9, 50), (200, 67)])
@pytest.mark.parametrize("kernel", ["linear", "cubic"])
def test_matrices_are_scipys(in_size: int, out_size: int, kernel: str) -> None:
    ours = interpolation_matrix(in_size, out_size, kernel).numpy()
    np.testing.assert_allclose(ours, scipy_matrix(in_size, out_size, ORDERS[kernel]), atol=1e-6)


@pytest.mark.parametrize(("in_size", "out_size"), [(30, 17), (24, 23), (200, 67), (40, 8)])
@pytest.mark.parametrize("kernel", ["linear", "cubic"])
def test_a_fit_is_the_least_squares_solution_of_scipys_interpolations(in_size: int, out_size: int, kernel: str) -> None:
    wanted, given = (scipy_matrix(size, 2 * in_size, ORDERS[kernel]) for size in (out_size, in_size))
    expected = np.linalg.lstsq(wanted, given, rcond=None)[0]
    np.testing.assert_allclose(interpolation_matrix(in_size, out_size, f"{kernel}_fit").numpy(), expected, atol=2e-5)


@given(st.integers(2, 600), st.floats(0, 0.999))
@settings(max_examples=30)
def test_a_fit_never_amplifies_noise(in_size: int, share: float) -> None:
    out_size = max(1, int(in_size * share))
    for kernel in ("linear_fit", "cubic_fit"):
        gain = np.sqrt((interpolation_matrix(in_size, out_size, kernel).numpy() ** 2).sum(axis=1))
        assert gain.max() < 1.001


@pytest.mark.parametrize("kernel", ["linear", "cubic"])
def test_nothing_is_fitted_to_as_many_or_more_samples(kernel: str) -> None:
    for sizes in ((20, 20), (20, 31)):
        fitted = interpolation_matrix(*sizes, f"{kernel}_fit").numpy()
        np.testing.assert_array_equal(fitted, interpolation_matrix(*sizes, kernel).numpy())


@given(st.sampled_from(sorted(KERNELS)), st.integers(1, 60), st.integers(1, 60))
def test_rows_sum_to_one_and_equal_sizes_change_nothing(kernel: str, in_size: int, out_size: int) -> None:
    matrix = interpolation_matrix(in_size, out_size, kernel).numpy()
    assert matrix.shape == (out_size, in_size)
    np.testing.assert_allclose(matrix.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(interpolation_matrix(in_size, in_size, kernel), np.eye(in_size), atol=1e-6)
    mirrored = interpolation_matrix(in_size, out_size, kernel).numpy()[::-1, ::-1]
    if kernel != "nearest":  # of two equally near samples it takes the later one
        np.testing.assert_allclose(matrix, mirrored, atol=1e-5)


@given(st.sampled_from(sorted(KERNELS)), st.integers(1, 1100), st.integers(1, 1100))
@settings(max_examples=30)
def test_weights_along_an_axis_add_up_to_less_than_2_2(kernel: str, in_size: int, out_size: int) -> None:
    # resample_labels relies on it to leave out what lies far from any label.
    assert np.abs(interpolation_matrix(in_size, out_size, kernel).numpy()).sum(axis=1).max() < 2.2


def test_nearest_by_hand() -> None:
    assert interpolation_matrix(4, 2, "nearest").numpy().argmax(axis=1).tolist() == [1, 3]
    assert interpolation_matrix(2, 4, "nearest").numpy().argmax(axis=1).tolist() == [0, 0, 1, 1]
    assert interpolation_matrix(5, 3, "nearest").numpy().argmax(axis=1).tolist() == [0, 2, 4]


def test_flags_name_each_kernel() -> None:
    assert tuple(KERNELS) == KERNEL_CHOICES


def test_unknown_kernel_is_refused() -> None:
    with pytest.raises(ValueError, match="kernel: expected one of .* got 'sinc'"):
        interpolation_matrix(3, 3, "sinc")
