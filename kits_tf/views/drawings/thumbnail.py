"""A case in two small pictures: an axial and a coronal plane with the labels over them."""

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from kits_tf.analysis.case_masks import CaseMasks
from kits_tf.ct.geometry import Spacing
from kits_tf.ct.labels import CHALLENGE_CLASSES, CHALLENGE_TUMOR
from kits_tf.ct.sides import BODY_HU
from kits_tf.ct.volume import Volume
from kits_tf.views.drawings import raster, style

_GAP = 2
# Pixels of each plane.
HEIGHT, WIDTH = style.THUMBNAIL_SIZE[1], (style.THUMBNAIL_SIZE[0] - _GAP) // 2
_JPEG_QUALITY = 80


def thumbnail(image: Volume, mask: Volume | None) -> bytes:
    """Returns a JPEG: axial and coronal plane side by side, each cut to the body, the patient's right on the left.

    The planes are those of `fullest_planes`. Each fits into HEIGHT x WIDTH pixels, its sides true to the spacing.

    Args:
        image: (z, y, x) int16 HU in (I, P, L).
        mask: challenge labels on the same grid; None for a case without labels.
    """
    labels = np.zeros(image.array.shape, np.uint8) if mask is None else mask.array
    return _thumbnail(image.array, labels, CHALLENGE_CLASSES, fullest_planes(labels), image.grid.spacing_mm)


def error_thumbnail(case: CaseMasks) -> bytes:
    """Returns the thumbnail of a case's prediction, errors in their colors, on planes that the truth chooses."""
    classes = case.scheme.classes
    labels, planes = case.predicted, fullest_planes(case.scheme.to_challenge(case.known))
    if case.truth is not None:
        errors = raster.find_errors(case.truth, case.predicted)
        labels = np.where(errors, errors + np.uint8(len(classes) - 1), case.predicted)
        classes += tuple(style.ERROR_COLORS)
    return _thumbnail(case.hu, labels, classes, planes, case.spacing_mm)


def _thumbnail(
    hu: NDArray[np.int16],
    labels: NDArray[np.uint8],
    classes: tuple[str, ...],
    planes: tuple[int, int],
    spacing_mm: Spacing,
) -> bytes:
    (z, y), (z_mm, y_mm, x_mm) = planes, spacing_mm
    axial = _plane(hu[z], labels[z], classes, (y_mm, x_mm))
    coronal = _plane(hu[:, y], labels[:, y], classes, (z_mm, x_mm))
    picture = np.zeros((*style.THUMBNAIL_SIZE[::-1], 3), np.uint8)
    picture[: len(axial), : axial.shape[1]] = axial
    picture[: len(coronal), WIDTH + _GAP :][:, : coronal.shape[1]] = coronal
    return tf.io.encode_jpeg(picture, quality=_JPEG_QUALITY).numpy()


def fullest_planes(labels: NDArray[np.uint8]) -> tuple[int, int]:
    """Returns the indices along z and y of the planes with most of the tumor, without one with most labels.

    Without any labels they are the middle ones.

    Args:
        labels: (z, y, x) challenge labels.
    """
    mask = labels == CHALLENGE_TUMOR
    if not mask.any():
        mask = labels > 0
    if not mask.any():
        return labels.shape[0] // 2, labels.shape[1] // 2
    return int(mask.sum(axis=(1, 2)).argmax()), int(mask.sum(axis=(0, 2)).argmax())


def _plane(
    hu: NDArray[np.int16], labels: NDArray[np.uint8], classes: tuple[str, ...], spacing_mm: tuple[float, float]
) -> NDArray[np.uint8]:
    """Returns the part of a plane that shows the body as (height, width, 3) uint8."""
    box = _body_box(hu)
    hu, labels = hu[box], labels[box]
    height_mm, width_mm = (n * s for n, s in zip(hu.shape, spacing_mm, strict=True))
    pixel_mm = max(height_mm / HEIGHT, width_mm / WIDTH)
    size = (max(1, round(height_mm / pixel_mm)), max(1, round(width_mm / pixel_mm)))
    picture = tf.image.resize(raster.gray(hu), size, antialias=True).numpy()
    small = tf.image.resize(labels[..., None], size, method="nearest").numpy()[..., 0]
    raster.tint(picture, small, classes)
    return raster.to_bytes(picture)


def _body_box(hu: NDArray[np.int16]) -> tuple[slice, slice]:
    """Returns the rows and columns where the body is; all of them if there is none."""
    body = hu > BODY_HU
    if not body.any():
        return slice(None), slice(None)
    rows, columns = (np.flatnonzero(body.any(axis=axis)) for axis in (1, 0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
