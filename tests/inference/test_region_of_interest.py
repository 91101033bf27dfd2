import numpy as np
import tensorflow as tf

from kits_tf.inference.region_of_interest import body_box, box_of_labels, box_on_grid, is_empty

MM = tf.constant([2.0, 1.0, 1.5], tf.float64)


def test_the_body_is_found_in_the_air_and_specks_are_not() -> None:
    hu = np.full((40, 120, 100), -1000, np.int16)
    hu[10:30, 40:90, 20:80] = 50
    hu[5, 5, 5] = 500
    box = body_box(tf.constant(hu), MM).numpy()
    extent = np.array(hu.shape) * MM.numpy()
    edges_mm = box * extent[:, None]
    expected = np.array([[20 - 10, 60 + 10], [40 - 10, 90 + 10], [30 - 10, 120 + 10]])
    assert np.abs(edges_mm - expected).max() <= 3  # where nothing is looked at in between
    assert (edges_mm[:, 0] <= expected[:, 0] + 10).all() and (edges_mm[:, 1] >= expected[:, 1] - 10).all()


def test_a_scan_without_a_body_is_looked_at_as_a_whole() -> None:
    for value in (-1000, 40):
        np.testing.assert_array_equal(body_box(tf.fill([3, 4, 5], tf.constant(value, tf.int16)), MM), [[0, 1]] * 3)


def test_the_box_of_labels_by_hand() -> None:
    labels = np.zeros((10, 20, 30), np.uint8)
    labels[2:9, 6:17, 10:20] = 2  # planes of 165, 210 and 154 mm^2
    box = box_of_labels(tf.constant(labels), MM, 3.0).numpy()
    np.testing.assert_allclose(box * [[20], [20], [45]], [[4 - 3, 18 + 2], [6 - 3, 17 + 3], [15 - 3, 30 + 3]])


def test_specks_of_labels_do_not_widen_the_box() -> None:
    labels = np.zeros((10, 20, 30), np.uint8)
    labels[2:9, 6:17, 10:20] = 1
    box = box_of_labels(tf.constant(labels), MM, 0.0).numpy()
    labels[0, 0, 25:28] = 1
    np.testing.assert_array_equal(box_of_labels(tf.constant(labels), MM, 0.0), box)
    assert not is_empty(box)
    labels[:] = 0
    labels[4, 6:9, 10:20] = 1  # of 45 mm^2 at most
    assert is_empty(box_of_labels(tf.constant(labels), MM, 0.0))


def test_a_box_on_a_grid_holds_the_window_where_the_grid_does() -> None:
    box = tf.constant([[0.25, 0.5], [0.0, 0.1], [0.9, 1.0]], tf.float64)
    start, size = box_on_grid(box, tf.constant([16, 40, 20]), (8, 8, 8))
    assert size.numpy().tolist() == [8, 8, 8]
    assert start.numpy().tolist() == [2, 0, 12]
    start, size = box_on_grid(tf.zeros([3, 2], tf.float64), tf.constant([16, 40, 5]), (8, 8, 8))
    assert (start.numpy().tolist(), size.numpy().tolist()) == ([0, 0, 0], [8, 8, 5])
    start, size = box_on_grid(box, tf.constant([16, 5, 41]), (2, 8, 2))
    assert (start.numpy().tolist(), size.numpy().tolist()) == ([4, 0, 36], [4, 5, 5])
