import numpy as np

from kits_tf.ct.labels import LATERALITY
from kits_tf.views.drawings import style
from kits_tf.views.drawings.overlay import overlay


def test_the_prediction_tints_and_the_truth_outlines() -> None:
    hu = np.full((3, 5, 5), 40, np.int16)  # the middle of the window
    truth, predicted = (np.zeros(hu.shape, np.uint8) for _ in range(2))
    truth[2, 1:4, 1:4] = 3
    truth[0] = 1  # more kidney than tumor: the tumor's plane is shown nevertheless
    predicted[2, 2, 2:] = 1
    picture = overlay(hu, truth, predicted, LATERALITY)
    tumor, kidney = (np.round(255 * np.array(style.rgb(name))) for name in ("tumor", "right_kidney"))
    gray = np.full(3, 128)
    np.testing.assert_array_equal(picture[0, 0], gray)
    np.testing.assert_array_equal(picture[1, 1], tumor)
    np.testing.assert_array_equal(picture[2, 3], tumor)  # outlines lie over tints
    np.testing.assert_allclose(picture[2, 2], 0.6 * gray + 0.4 * kidney, atol=1)
    np.testing.assert_allclose(picture[2, 4], 0.6 * gray + 0.4 * kidney, atol=1)
    assert picture.dtype == np.uint8


def test_hu_beyond_the_window_are_black_and_white() -> None:
    hu = np.array([[[-1000, 3000]]], np.int16)
    nothing = np.zeros(hu.shape, np.uint8)
    assert overlay(hu, nothing, nothing, LATERALITY)[0, :, 0].tolist() == [0, 255]
