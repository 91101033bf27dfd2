"""Labels painted over a plane pixel by pixel: quick and small, where a figure of matplotlib is too slow or large."""

import numpy as np
from numpy.typing import NDArray

from kits_tf.ct.components import border
from kits_tf.ct.labels import Scheme
from kits_tf.views.drawings import style

_OPACITY = 0.4
# What is small and has no room for hatches has stronger colors of errors.
_ERROR_OPACITY = 0.8


def gray(hu: NDArray) -> NDArray[np.float32]:
    """Returns HU (y, x) in the soft-tissue window as (y, x, 3) float32, 0 black..1 white."""
    low, high = style.SOFT_TISSUE_HU
    shade = np.clip((hu.astype(np.float32) - low) / (high - low), 0, 1)
    return np.repeat(shade[..., None], 3, axis=2)


def tint(picture: NDArray[np.float32], labels: NDArray[np.uint8], classes: tuple[str, ...]) -> None:
    """Tints each structure in place, errors more than others.

    Args:
        picture: (y, x, 3) float32, 0..1; it is changed.
        labels: (y, x) uint8.
        classes: names of the labels, from 0 on.
    """
    for label, name in enumerate(classes[1:], start=1):
        tinted, opacity = labels == label, _ERROR_OPACITY if name in style.ERROR_COLORS else _OPACITY
        picture[tinted] = (1 - opacity) * picture[tinted] + opacity * np.array(style.rgb(name), np.float32)


def outline(picture: NDArray[np.float32], labels: NDArray[np.uint8], classes: tuple[str, ...]) -> None:
    """Outlines each structure in place, one pixel wide, within it.

    Args:
        picture: (y, x, 3) float32, 0..1; it is changed.
        labels: (y, x) uint8.
        classes: names of the labels, from 0 on.
    """
    for label, name in enumerate(classes[1:], start=1):
        picture[border(labels == label)] = style.rgb(name)


def to_bytes(picture: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Returns a picture of 0..1 as uint8, 0..255; values beyond are clipped."""
    return np.round(255 * np.clip(picture, 0, 1)).astype(np.uint8)


def paint(
    hu: NDArray[np.int16], truth: NDArray[np.uint8] | None, predicted: NDArray[np.uint8], scheme: Scheme
) -> NDArray[np.uint8]:
    """Returns a plane (y, x, 3) uint8 in which the prediction tints and the truth, where there is one, outlines."""
    picture = gray(hu)
    tint(picture, predicted, scheme.classes)
    if truth is not None:
        outline(picture, truth, scheme.classes)
    return to_bytes(picture)


def find_errors(truth: NDArray[np.uint8], predicted: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Returns each voxel's kind of error, uint8: 0 for none, else 1 + the kind's place in style.ERROR_COLORS."""
    missed, false = (truth > 0) & (predicted == 0), (truth == 0) & (predicted > 0)
    return np.select([missed, false, truth != predicted], [1, 2, 3], 0).astype(np.uint8)
