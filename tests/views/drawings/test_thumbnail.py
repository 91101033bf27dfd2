import numpy as np
import pytest
import tensorflow as tf
from conftest import affine_of

from kits_tf.ct.volume import Volume
from kits_tf.views.drawings import style
from kits_tf.views.drawings.thumbnail import HEIGHT, WIDTH, fullest_planes, thumbnail

AFFINE = affine_of("IPL", (2.0, 1.0, 1.0))


def scan_and_mask() -> tuple[np.ndarray, np.ndarray]:
    """A body of 40 x 60 pixels in air, a kidney on its right, a tumor on its left at z = 7."""
    hu = np.full((20, 80, 100), -1000, np.int16)
    hu[:, 20:60, 20:80] = 40
    mask = np.zeros(hu.shape, np.uint8)
    mask[5:10, 30:50, 25:40] = 1
    mask[7, 30:50, 60:75] = 2
    return hu, mask


def picture_of(hu: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    volumes = [None if array is None else Volume.from_stored(array, AFFINE) for array in (hu, mask)]
    return tf.io.decode_jpeg(thumbnail(*volumes)).numpy().astype(int)


def test_planes_go_through_most_of_the_tumor_then_of_any_label() -> None:
    _, mask = scan_and_mask()
    assert fullest_planes(mask)[0] == 7
    mask[mask == 2] = 0
    mask[6, 20, 25] = 1
    assert fullest_planes(mask)[0] == 6
    assert fullest_planes(mask * 0) == (10, 40)


def test_the_body_fills_the_picture_and_labels_have_their_colors() -> None:
    hu, mask = scan_and_mask()
    picture = picture_of(hu, mask)
    assert picture.shape == (HEIGHT, 2 * WIDTH + 2, 3)
    low, high = style.SOFT_TISSUE_HU
    gray = 255 * (40 - low) / (high - low)
    # The axial body is 40 x 60 mm: WIDTH wide and two thirds of it high.
    assert picture[5, WIDTH // 2] == pytest.approx([gray] * 3, abs=8)
    assert picture[WIDTH * 40 // 60 + 4, WIDTH // 2].max() < 8
    for x_mm, name in ((32 - 20, "kidney"), (67 - 20, "tumor")):
        expected = 0.6 * gray + 0.4 * 255 * np.array(style.rgb(name))
        at = picture[WIDTH * 20 // 60, round(WIDTH * x_mm / 60)]
        assert at == pytest.approx(expected, abs=12), name


def test_without_mask_or_body() -> None:
    hu, _ = scan_and_mask()
    picture = picture_of(hu, None)
    assert (abs(picture - picture.mean(axis=2, keepdims=True)) < 8).all()  # no color
    assert picture_of(np.full_like(hu, -1000), None).max() < 8
