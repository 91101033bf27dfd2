"""Which planes of a case to look at, and how each lies in a picture: radiological, the patient's right on the left."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kits_tf.ct.components import components_26
from kits_tf.ct.geometry import Triple, bounding_box
from kits_tf.ct.labels import KITS19, Scheme, with_sides


@dataclass(frozen=True)
class Plane:
    """A direction to cut an (I, P, L) volume in; rows and columns of the cut run as the volume's axes do.

    Attributes:
        name: of the plane.
        axis: it is cut along.
        edges: what lies beyond the left, right, upper and lower edge of its picture.
    """

    name: str
    axis: int
    edges: tuple[str, str, str, str]

    def cut(self, array: NDArray, at: Triple) -> NDArray:
        """Returns the plane of a volume (z, y, x) that goes through a voxel."""
        return np.take(array, at[self.axis], self.axis)

    def of_plane(self, triple: tuple) -> tuple:
        """Returns what belongs to the rows and the columns of something that is (z, y, x)."""
        row, column = (value for axis, value in enumerate(triple) if axis != self.axis)
        return row, column


PLANES = (
    Plane("axial", 0, ("R", "L", "A", "P")),
    Plane("coronal", 1, ("R", "L", "S", "I")),
    Plane("sagittal", 2, ("A", "P", "S", "I")),
)


@dataclass(frozen=True)
class Landmark:
    """A structure worth a look.

    Attributes:
        name: as in "largest tumor".
        center: voxel (z, y, x): along each axis half of the structure lies on either side.
        extent_mm: of the structure, the largest along an axis.
    """

    name: str
    center: Triple
    extent_mm: float


def landmarks(
    truth: NDArray[np.uint8],
    predicted: NDArray[np.uint8],
    scheme: Scheme,
    hu: NDArray[np.int16],
    spacing_mm: tuple[float, float, float],
) -> list[Landmark]:
    """Returns the largest tumor, the right and the left kidney, as far as there are; else the middle of the scan.

    What the truth does not have is looked for in the prediction. Kidneys go with their tumors and cysts where sides are
    not labels of the scheme, without them where they are.

    Args:
        truth: (z, y, x) uint8 labels.
        predicted: the same.
        scheme: of both.
        hu: (z, y, x) int16 scan in (I, P, L).
        spacing_mm: voxel sizes (z, y, x).
    """
    slab, found = bounding_box(truth | predicted)[0], []  # all of the planes: the body's middle tells sides
    inside = [_with_sides(labels[slab], scheme, hu[slab], spacing_mm) for labels in (truth, predicted)]
    for label, name in ((3, "largest tumor"), (1, "right kidney"), (2, "left kidney")):
        for labels in inside:
            mask = labels == label
            if mask.any():
                mask = _largest_part(mask) if name == "largest tumor" else mask
                found.append(_landmark(name, mask, slab.start, spacing_mm))
                break
    z, y, x = (size // 2 for size in truth.shape)
    return found or [Landmark("middle of the scan", (z, y, x), 0.0)]


def _with_sides(
    labels: NDArray[np.uint8], scheme: Scheme, hu: NDArray[np.int16], spacing_mm: tuple[float, float, float]
) -> NDArray[np.uint8]:
    """Returns labels of a scheme with sides; where they come from geometry, a cyst is kidney, as in KiTS19."""
    if not scheme.has_sides:
        labels, scheme = scheme.to_challenge(labels), KITS19
    return with_sides(labels, scheme, hu, spacing_mm)[0]


def _largest_part(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    parts = components_26(mask)
    return parts == np.bincount(parts.ravel())[1:].argmax() + 1


def _landmark(name: str, mask: NDArray[np.bool_], first_plane: int, spacing_mm: tuple[float, float, float]) -> Landmark:
    z, y, x = (_middle(mask, axis) for axis in range(3))
    extents = [(span.stop - span.start) * s for span, s in zip(bounding_box(mask), spacing_mm, strict=True)]
    return Landmark(name, (z + first_plane, y, x), max(extents))


def _middle(mask: NDArray[np.bool_], axis: int) -> int:
    """Returns the index along an axis up to which half of a mask lies; its plane shows some of it."""
    voxels = mask.sum(axis=tuple(a for a in range(3) if a != axis)).cumsum()
    return int(np.searchsorted(voxels, voxels[-1] / 2))
