"""A box within a grid: air dropped, recorded, and undone."""

from dataclasses import dataclass

import cc3d
import numpy as np
from numpy.typing import NDArray

from kits_tf.ct.geometry import Grid, Spacing, Triple, bounding_box
from kits_tf.ct.sides import BODY_HU


@dataclass(frozen=True)
class Crop:
    """A box of an array (z, y, x).

    Attributes:
        start: first voxel of the box.
        shape: voxels of the box along each axis.
        full_shape: voxels of the array along each axis.
    """

    start: Triple
    shape: Triple
    full_shape: Triple

    def of(self, array: NDArray) -> NDArray:
        """Returns the box, a view."""
        z, y, x = (slice(first, first + size) for first, size in zip(self.start, self.shape, strict=True))
        return array[z, y, x]

    def undo(self, box: NDArray, outside: int) -> NDArray:
        """Returns the whole array again, with `outside` around the box."""
        whole = np.full(self.full_shape, outside, box.dtype)
        self.of(whole)[...] = box
        return whole

    def grid(self, full: Grid) -> Grid:
        """Returns the grid of the box, given that of the array."""
        step = np.eye(4)
        step[:3, 3] = self.start
        return Grid(self.shape, full.affine @ step)


def no_crop(shape: Triple) -> Crop:
    """Returns the box that is the whole array."""
    return Crop((0, 0, 0), shape, shape)


def body_crop(hu: NDArray[np.int16], labels: NDArray[np.uint8] | None) -> Crop:
    """Returns the smallest box around the body, the largest connected part above BODY_HU, and every label.

    Args:
        hu: (z, y, x) int16 HU.
        labels: uint8 labels of the same shape; None for a case without a mask.

    Returns:
        The box; the whole array if it shows no body.
    """
    body = hu > BODY_HU
    if not body.any():
        return no_crop(hu.shape)
    kept = cc3d.largest_k(body, k=1, connectivity=6) > 0
    if labels is not None:
        kept |= labels > 0
    return _crop(bounding_box(kept), hu.shape)


def crop_around(labels: NDArray[np.uint8], margin_mm: float, spacing_mm: Spacing) -> Crop:
    """Returns the box of every label but 0 with a margin on each side, within the array; all of it without labels."""
    if not labels.any():
        return no_crop(labels.shape)
    margins = [round(margin_mm / spacing) for spacing in spacing_mm]
    z, y, x = (
        slice(max(0, span.start - margin), min(size, span.stop + margin))
        for span, margin, size in zip(bounding_box(labels), margins, labels.shape, strict=True)
    )
    return _crop((z, y, x), labels.shape)


def _crop(box: tuple[slice, slice, slice], full_shape: Triple) -> Crop:
    z, y, x = box
    return Crop((z.start, y.start, x.start), (z.stop - z.start, y.stop - y.start, x.stop - x.start), full_shape)
