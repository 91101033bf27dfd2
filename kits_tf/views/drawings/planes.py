"""Planes through a case's structures, and how each lies in a picture: radiological, the patient's right on the left."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kits_tf.analysis.case_masks import CaseMasks
from kits_tf.ct.components import components_26
from kits_tf.ct.geometry import Spacing, Triple, bounding_box
from kits_tf.ct.labels import KITS19, Scheme, with_sides


@dataclass(frozen=True)
class Plane:
    """A direction of planes through an (I, P, L) volume; their rows and columns run as the volume's axes do.

    Attributes:
        name: name of the direction, as in "axial".
        axis: index of the volume's axis that the planes are perpendicular to.
        edges: letters of the patient's sides at the left, right, upper and lower edge of a picture.
    """

    name: str
    axis: int
    edges: tuple[str, str, str, str]

    def cut(self, array: NDArray, voxel: Triple) -> NDArray:
        """Returns the plane (rows, columns) of a volume (z, y, x) that goes through a voxel."""
        return np.take(array, voxel[self.axis], self.axis)

    def in_plane(self, triple: tuple) -> tuple:
        """Returns the two of three values (z, y, x) that belong to the plane's rows and columns."""
        row, column = (value for axis, value in enumerate(triple) if axis != self.axis)
        return row, column


PLANES = (
    Plane("axial", 0, ("R", "L", "A", "P")),
    Plane("coronal", 1, ("R", "L", "S", "I")),
    Plane("sagittal", 2, ("A", "P", "S", "I")),
)


@dataclass(frozen=True)
class Landmark:
    """A structure that a figure shows.

    Attributes:
        name: name for people, as in "largest tumor".
        center: voxel (z, y, x) with half of the structure on either side along each axis.
        extent_mm: size of the structure along the axis on which it is largest.
    """

    name: str
    center: Triple
    extent_mm: float


def landmarks(case: CaseMasks) -> list[Landmark]:
    """Returns those of largest tumor, right and left kidney that a case has; without any, the middle of the scan.

    A structure that the truth lacks is taken from the prediction. Kidneys include their tumors and cysts where the
    scheme has no sides, and are without them where it has.
    """
    # Whole planes: the middle of the body decides which side is which.
    slab, marks = bounding_box(case.known | case.predicted)[0], []
    inside = [
        _with_sides(labels[slab], case.scheme, case.hu[slab], case.spacing_mm)
        for labels in (case.known, case.predicted)
    ]
    for label, name in ((3, "largest tumor"), (1, "right kidney"), (2, "left kidney")):
        for labels in inside:
            mask = labels == label
            if mask.any():
                mask = _largest_part(mask) if name == "largest tumor" else mask
                marks.append(_landmark(name, mask, slab.start, case.spacing_mm))
                break
    z, y, x = (size // 2 for size in case.hu.shape)
    return marks or [Landmark("middle of the scan", (z, y, x), 0.0)]


def _with_sides(
    labels: NDArray[np.uint8], scheme: Scheme, hu: NDArray[np.int16], spacing_mm: Spacing
) -> NDArray[np.uint8]:
    """Returns labels of a scheme with sides; where they come from geometry, a cyst is kidney, as in KiTS19."""
    if not scheme.has_sides:
        labels, scheme = scheme.to_challenge(labels), KITS19
    return with_sides(labels, scheme, hu, spacing_mm)[0]


def _largest_part(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    parts = components_26(mask)
    return parts == np.bincount(parts.ravel())[1:].argmax() + 1


def _landmark(name: str, mask: NDArray[np.bool_], first_plane: int, spacing_mm: Spacing) -> Landmark:
    z, y, x = (_middle(mask, axis) for axis in range(3))
    extents = [(span.stop - span.start) * s for span, s in zip(bounding_box(mask), spacing_mm, strict=True)]
    return Landmark(name, (z + first_plane, y, x), max(extents))


def _middle(mask: NDArray[np.bool_], axis: int) -> int:
    """Returns the index along an axis up to which half of a mask lies; its plane shows some of it."""
    voxels = mask.sum(axis=tuple(a for a in range(3) if a != axis)).cumsum()
    return int(np.searchsorted(voxels, voxels[-1] / 2))
