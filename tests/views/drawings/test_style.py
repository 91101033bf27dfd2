"""Colors that people with any color vision can distinguish."""

import itertools

import numpy as np
from numpy.typing import NDArray

from kits_tf.ct.labels import find_scheme
from kits_tf.views.drawings import style

# Machado, Oliveira and Fernandes 2009, "A Physiologically-based Model for Simulation of Color Vision Deficiency", IEEE
# TVCG 15(6): linear RGB as a person sees it who lacks one kind of cones altogether.
VISION = {
    "usual": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
# IEC 61966-2-1, white D65.
XYZ_OF_RGB = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
# CIE 1976; about 2.3 can just be seen, Okabe and Ito's eight colors are 16 apart at least.
LEAST_DISTANCE = 25.0


def lab(color: tuple[float, float, float], vision: str) -> NDArray[np.float64]:
    """Returns an sRGB color, 0..1, in CIELAB as a person of this vision sees it."""
    rgb = np.array(color)
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(VISION[vision] @ linear, 0, 1)
    relative = XYZ_OF_RGB @ seen / XYZ_OF_RGB.sum(axis=1)
    x, y, z = np.where(relative > 216 / 24389, np.cbrt(relative), (24389 / 27 * relative + 16) / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def test_the_measure_by_hand() -> None:
    for vision in VISION:  # gray is gray to everybody
        np.testing.assert_allclose(lab((1, 1, 1), vision), (100, 0, 0), atol=0.02, err_msg=vision)
        np.testing.assert_allclose(lab((0, 0, 0), vision), (0, 0, 0), atol=0.02, err_msg=vision)
    # Lindbloom's calculator.
    np.testing.assert_allclose(lab((1, 0, 0), "usual"), (53.24, 80.09, 67.20), atol=0.02)
    np.testing.assert_allclose(lab((0, 0, 1), "usual"), (32.30, 79.19, -107.86), atol=0.02)


def test_all_that_stands_in_one_picture_differs_for_everybody() -> None:
    for name, cysts in itertools.product(("laterality", "kits19"), ("kidney", "class")):
        shown = [*find_scheme(name, cysts).classes[1:], *style.ERROR_COLORS]
        for vision in VISION:
            for one, other in itertools.combinations(shown, 2):
                distance = np.linalg.norm(lab(style.rgb(one), vision) - lab(style.rgb(other), vision))
                assert distance > LEAST_DISTANCE, (one, other, vision, distance)


def test_every_kind_of_error_has_a_hatch_of_its_own() -> None:
    assert list(style.ERROR_HATCHES) == list(style.ERROR_COLORS)
    assert len(set(style.ERROR_HATCHES.values())) == len(style.ERROR_HATCHES)


def test_all_colors_are_seen_on_air() -> None:
    for name in (*style.COLORS, *style.ERROR_COLORS):
        for vision in VISION:
            assert lab(style.rgb(name), vision)[0] > 30, (name, vision)  # lightness, where black has 0
