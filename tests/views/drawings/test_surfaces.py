import numpy as np
import pytest

from kits_tf.ct.labels import LATERALITY
from kits_tf.views.drawings import style
from kits_tf.views.drawings.surfaces import PIXEL_MM, draw_surfaces

FRONT, LEFT = "from the front", "from the left"


def ball(shape: tuple[int, int, int], center_mm: tuple, radius_mm: float, spacing: tuple) -> np.ndarray:
    places = np.indices(shape, sparse=True)
    squares = [((i + 0.5) * s - c) ** 2 for i, s, c in zip(places, spacing, center_mm, strict=True)]
    return sum(squares) < radius_mm**2


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (3.0, 0.8, 0.8)])
def test_a_ball_is_a_disk_as_large_brightest_in_the_middle(spacing: tuple) -> None:
    shape = tuple(round(90 / s) for s in spacing)
    labels = 3 * ball(shape, (45, 45, 45), 30, spacing).astype(np.uint8)
    for picture in draw_surfaces(labels, LATERALITY, spacing).values():
        assert picture.shape == (60, 60, 3)
        seen = picture.max(axis=-1) > 0
        assert seen.sum() * PIXEL_MM**2 == pytest.approx(np.pi * 30**2, rel=0.05)
        hue = picture[30, 30] / picture[30, 30].max()
        np.testing.assert_allclose(hue, np.array(style.rgb("tumor")) / max(style.rgb("tumor")), atol=0.01)
        # Lambert: straight at the viewer in the middle, at 60 degrees where it is sin(60) = 0.87 of the radius away.
        assert picture[30, 30].max() == pytest.approx(max(style.rgb("tumor")), abs=0.03)
        aside = picture[30, 30 + round(0.87 * 30 / PIXEL_MM)].max() / max(style.rgb("tumor"))
        assert aside == pytest.approx(0.25 + 0.75 * 0.5, abs=0.08)


def test_sides_lie_as_in_planes_and_the_near_hides_the_far() -> None:
    spacing, shape = (1.5, 1.5, 1.5), (60, 60, 60)
    labels = np.zeros(shape, np.uint8)
    labels[ball(shape, (45, 30, 25), 12, spacing)] = 1  # right: small x
    labels[ball(shape, (45, 30, 65), 12, spacing)] = 3
    pictures = draw_surfaces(labels, LATERALITY, spacing)
    columns = np.flatnonzero(pictures[FRONT].max(axis=(0, 2)))
    assert columns.min() < 20 and columns.max() > 40
    right = pictures[FRONT][30, round(25 / 1.5)]
    np.testing.assert_allclose(right / right.max(), np.array(style.rgb("right_kidney")) / 0.914, atol=0.01)
    # From the left the tumor stands before the kidney and hides it; from the front they are apart.
    middle = pictures[LEFT][30, 20]
    np.testing.assert_allclose(middle / middle.max(), np.array(style.rgb("tumor")) / max(style.rgb("tumor")), atol=0.01)


def test_a_tumor_behind_a_kidney_shines_through() -> None:
    spacing, shape = (1.5, 1.5, 1.5), (60, 60, 60)
    labels = np.zeros(shape, np.uint8)
    labels[ball(shape, (45, 70, 45), 10, spacing)] = 3  # posterior
    labels[ball(shape, (45, 30, 45), 20, spacing)] = 1
    picture = draw_surfaces(labels, LATERALITY, spacing)[FRONT]
    expected = 0.45 * np.array(style.rgb("right_kidney")) + 0.55 * np.array(style.rgb("tumor"))
    np.testing.assert_allclose(picture[30, 30], expected, atol=0.03)
    np.testing.assert_allclose(picture[30, 30 - 9], picture[30, 30 + 9], atol=0.05)  # without a tumor behind: opaque
    assert picture[30, 30 + 9, 2] > picture[30, 30, 2]


def test_nothing_is_black() -> None:
    pictures = draw_surfaces(np.zeros((4, 6, 8), np.uint8), LATERALITY, (3.0, 3.0, 3.0))
    assert pictures[FRONT].shape == (8, 16, 3) and pictures[LEFT].shape == (8, 12, 3)
    assert all(not picture.any() for picture in pictures.values())
