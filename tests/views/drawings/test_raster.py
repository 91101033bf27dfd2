import numpy as np

from kits_tf.views.drawings.raster import find_errors


def test_each_kind_of_error_by_hand() -> None:
    truth = np.array([0, 1, 1, 1, 0, 3], np.uint8)
    predicted = np.array([0, 1, 0, 3, 2, 3], np.uint8)
    assert find_errors(truth, predicted).tolist() == [0, 0, 1, 3, 2, 0]
