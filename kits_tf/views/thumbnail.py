"""A case in two small pictures: an axial and a coronal plane with the labels over them."""

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from kits_tf.ct.labels import CHALLENGE_CLASSES, CHALLENGE_TUMOR
from kits_tf.ct.sides import BODY_HU
from kits_tf.ct.volume import Volume
from kits_tf.views import style

HEIGHT, WIDTH = 112, 150
_OPACITY = 0.45
_JPEG_QUALITY = 80


def thumbnail(image: Volume, mask: Volume | None) -> bytes:
    """Returns a JPEG: axial and coronal plane side by side, each cut to the body, the patient's right on the left.

    The planes go through most of the tumor, without one through most of the kidney, without labels through the middle.
    Each fits into HEIGHT x WIDTH pixels, its sides true to the spacing.

    Args:
        image: (z, y, x) int16 HU in (I, P, L).
        mask: challenge labels on the same grid; None for a case without.
    """
    labels = np.zeros(image.array.shape, np.uint8) if mask is None else mask.array
    z, y = fullest_planes(labels)
    z_mm, y_mm, x_mm = image.grid.spacing_mm
    axial = _plane(image.array[z], labels[z], (y_mm, x_mm))
    coronal = _plane(image.array[:, y], labels[:, y], (z_mm, x_mm))
    picture = np.zeros((HEIGHT, 2 * WIDTH + 2, 3), np.uint8)
    picture[: len(axial), : axial.shape[1]] = axial
    picture[: len(coronal), WIDTH + 2 :][:, : coronal.shape[1]] = coronal
    return tf.io.encode_jpeg(picture, quality=_JPEG_QUALITY).numpy()


def fullest_planes(labels: NDArray[np.uint8]) -> tuple[int, int]:
    """Returns the indices along z and y of the planes that show most of the tumor, or else of any label."""
    shown = labels == CHALLENGE_TUMOR
    if not shown.any():
        shown = labels > 0
    if not shown.any():
        return labels.shape[0] // 2, labels.shape[1] // 2
    return int(shown.sum(axis=(1, 2)).argmax()), int(shown.sum(axis=(0, 2)).argmax())


def _plane(hu: NDArray[np.int16], labels: NDArray[np.uint8], spacing_mm: tuple[float, float]) -> NDArray[np.uint8]:
    """Returns the part of a plane that shows the body as (height, width, 3) uint8."""
    box = _body_box(hu)
    hu, labels = hu[box], labels[box]
    height_mm, width_mm = (n * s for n, s in zip(hu.shape, spacing_mm, strict=True))
    pixel_mm = max(height_mm / HEIGHT, width_mm / WIDTH)
    size = (max(1, round(height_mm / pixel_mm)), max(1, round(width_mm / pixel_mm)))
    low, high = style.SOFT_TISSUE_HU
    gray = (np.clip(hu.astype(np.float32), low, high) - low) / (high - low)
    picture = np.repeat(tf.image.resize(gray[..., None], size, antialias=True).numpy(), 3, axis=2)
    small = tf.image.resize(labels[..., None], size, method="nearest").numpy()[..., 0]
    for label, name in enumerate(CHALLENGE_CLASSES[1:], start=1):
        color = np.array(style.rgb(name), np.float32)
        picture[small == label] = (1 - _OPACITY) * picture[small == label] + _OPACITY * color
    return np.rint(255 * np.clip(picture, 0, 1)).astype(np.uint8)


def _body_box(hu: NDArray[np.int16]) -> tuple[slice, slice]:
    """Returns the rows and columns where the body is; all of them if there is none."""
    body = hu > BODY_HU
    if not body.any():
        return slice(None), slice(None)
    rows, columns = (np.flatnonzero(body.any(axis=axis)) for axis in (1, 0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
