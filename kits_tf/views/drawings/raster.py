"""Labels painted over a plane pixel by pixel: quick pictures, where figures would be too many or too large."""

import numpy as np
from numpy.typing import NDArray

from kits_tf.ct.labels import Scheme
from kits_tf.views.drawings import style

_OPACITY = 0.4


def gray(hu: NDArray) -> NDArray[np.float32]:
    """Returns HU (y, x) in the soft-tissue window as (y, x, 3) float32, 0 black..1 white."""
    low, high = style.SOFT_TISSUE_HU
    shade = np.clip((hu.astype(np.float32) - low) / (high - low), 0, 1)
    return np.repeat(shade[..., None], 3, axis=2)


def tint(picture: NDArray[np.float32], labels: NDArray[np.uint8], classes: tuple[str, ...]) -> None:
    """Tints each structure in a picture (y, x, 3).

    Args:
        picture: is changed.
        labels: (y, x) uint8.
        classes: names of the labels.
    """
    for label, name in enumerate(classes[1:], start=1):
        tinted = labels == label
        picture[tinted] = (1 - _OPACITY) * picture[tinted] + _OPACITY * np.array(style.rgb(name), np.float32)


def outline(picture: NDArray[np.float32], labels: NDArray[np.uint8], classes: tuple[str, ...]) -> None:
    """Outlines each structure in a picture; arguments as of `tint`."""
    for label, name in enumerate(classes[1:], start=1):
        picture[_rim(labels == label)] = style.rgb(name)


def to_bytes(picture: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Returns a picture with values 0..255."""
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
    """Returns for each voxel what is wrong: 0 nothing, else 1 + the place of its name in style.ERROR_COLORS."""
    missed, false = (truth > 0) & (predicted == 0), (truth == 0) & (predicted > 0)
    return np.select([missed, false, truth != predicted], [1, 2, 3], 0).astype(np.uint8)


def _rim(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Returns the pixels of a plane's mask that have a neighbor outside of it."""
    padded = np.pad(mask, 1)
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return mask & ~inner
