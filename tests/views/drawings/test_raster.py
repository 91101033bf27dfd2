import numpy as np

from kits_tf.views.drawings import style
from kits_tf.views.drawings.raster import find_errors, outline


def test_each_kind_of_error_by_hand() -> None:
    truth = np.array([0, 1, 1, 1, 0, 3], np.uint8)
    predicted = np.array([0, 1, 0, 3, 2, 3], np.uint8)
    assert find_errors(truth, predicted).tolist() == [0, 0, 1, 3, 2, 0]


def test_an_outline_is_one_pixel_wide_within_the_structure_and_along_the_border_of_the_picture() -> None:
    labels = np.zeros((6, 7), np.uint8)
    labels[1:5, 3:] = 1
    picture = np.zeros((6, 7, 3), np.float32)
    outline(picture, labels, ("background", "tumor"))
    inside = np.zeros(labels.shape, bool)
    inside[2:4, 4:6] = True
    np.testing.assert_allclose(picture[(labels == 1) & ~inside], np.tile(style.rgb("tumor"), (12, 1)), atol=1e-6)
    assert not picture[inside | (labels == 0)].any()
