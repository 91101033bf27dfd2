"""What labels mean: the schemes, left and right from geometry, the challenge's regions.

KiTS19 has 0 background, 1 kidney, 2 tumor. The default scheme here tells the kidneys apart.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cc3d
import numpy as np
from numpy.typing import NDArray

from kits_tf.errors import InputError

CHALLENGE_KIDNEY, CHALLENGE_TUMOR = 1, 2
# A component smaller than this share of the largest one is a speck: it takes the side of its nearest neighbor.
SPECK_SHARE = 0.05
# Two components whose centers lie this far apart along x are two kidneys, not a kidney and its tumor.
PAIR_MM = 60.0
# A component with more than this share of its kidney on either side of the midline is two fused kidneys.
FUSED_SHARE = 0.15
# Skin and soft tissue against air and table foam.
BODY_HU = -300


@dataclass(frozen=True)
class Scheme:
    """A set of labels.

    Attributes:
        name: what `--label_scheme` calls it.
        classes: class names; the index is the label.
        mirrored: the label that each label becomes when a volume is flipped along x.
        challenge: the KiTS19 label of each label.
    """

    name: str
    classes: tuple[str, ...]
    mirrored: tuple[int, ...]
    challenge: tuple[int, ...]

    def to_challenge(self, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Returns the labels in KiTS19's scheme.

        Raises:
            InputError: a label is not of this scheme.
        """
        check_labels(labels, len(self.classes), f"labels of scheme {self.name}")
        return np.array(self.challenge, np.uint8)[labels]


LATERALITY = Scheme(
    "laterality", ("background", "right_kidney", "left_kidney", "tumor"), mirrored=(0, 2, 1, 3), challenge=(0, 1, 1, 2)
)
KITS19 = Scheme("kits19", ("background", "kidney", "tumor"), mirrored=(0, 1, 2), challenge=(0, 1, 2))
SCHEMES = {scheme.name: scheme for scheme in (LATERALITY, KITS19)}

# The challenge scores these unions of its labels; "kidney" includes the tumors in it.
CHALLENGE_REGIONS = {"kidney": (CHALLENGE_KIDNEY, CHALLENGE_TUMOR), "tumor": (CHALLENGE_TUMOR,)}


def check_labels(labels: NDArray[np.uint8], num_classes: int, name: str) -> None:
    """Raises InputError if a label is not in 0..num_classes - 1; the message starts with `name`."""
    if labels.size and labels.max() >= num_classes:
        found = np.flatnonzero(np.bincount(labels.ravel(), minlength=num_classes)).tolist()
        raise InputError(f"{name}: expected labels 0..{num_classes - 1}, found {found}")


def from_challenge(
    labels: NDArray[np.uint8], scheme: Scheme, hu: NDArray[np.int16], spacing_mm: tuple[float, float, float]
) -> NDArray[np.uint8]:
    """Returns KiTS19 labels (z, y, x) in another scheme; no voxel is lost or gained.

    Sides come from the connected components of kidney and tumor together (26-connected) and a midline:

    1. The midline lies halfway between two large components whose centers are over `PAIR_MM` apart along x.
       Otherwise it is the median x of the body in the slices that show a kidney.
    2. A large component takes the side of its center; one whose kidney straddles the midline is cut along it.
    3. Every speck takes the side of the nearest voxel of a large component.

    Args:
        labels: (z, y, x) uint8 in (I, P, L), values 0..2.
        scheme: the scheme to return.
        hu: int16 scan on the same grid; it finds the midline where a single component cannot.
        spacing_mm: voxel sizes (z, y, x).

    Raises:
        InputError: a label is above 2.
    """
    check_labels(labels, len(KITS19.classes), "KiTS19 labels")
    if scheme.name == KITS19.name or not labels.any():
        return labels.astype(np.uint8)
    box = _bounding_box(labels > 0)
    kidney_hu, first_x = hu[box[0]], box[2].start
    is_right = _right_side(labels[box], spacing_mm, lambda: _body_midline(kidney_hu) - first_x)
    sided = labels.astype(np.uint8)
    sided[box] = np.select([labels[box] == CHALLENGE_TUMOR, labels[box] == 0, is_right], [3, 0, 1], 2)
    return sided


def _bounding_box(mask: NDArray[np.bool_]) -> tuple[slice, slice, slice]:
    """Returns the smallest box around a mask that is not empty."""
    spans = []
    for axis in range(3):
        inside = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
        spans.append(slice(int(inside[0]), int(inside[-1]) + 1))
    return spans[0], spans[1], spans[2]


def _body_midline(hu: NDArray[np.int16]) -> float:
    """Returns the median x index of the body in slices (z, y, x); the middle of the picture if there is no body."""
    per_column = (hu > BODY_HU).sum(axis=(0, 1))
    if not per_column.any():
        return (hu.shape[2] - 1) / 2
    return float(np.searchsorted(per_column.cumsum(), per_column.sum() / 2))


def _right_side(
    labels: NDArray[np.uint8], spacing_mm: tuple[float, float, float], body_midline: Callable[[], float]
) -> NDArray[np.bool_]:
    """Returns which voxels belong to the right; only the voxels with a label mean anything."""
    components = cc3d.connected_components(labels > 0, connectivity=26)
    statistics = cc3d.statistics(components)
    counts, centers_x = statistics["voxel_counts"], statistics["centroids"][:, 2]
    large = [i for i in range(1, len(counts)) if counts[i] >= SPECK_SHARE * counts[1:].max()]
    ends = sorted(large, key=lambda i: centers_x[i])[:: max(1, len(large) - 1)]
    apart = (centers_x[ends[-1]] - centers_x[ends[0]]) * spacing_mm[2]
    midline = float(centers_x[ends].mean()) if apart > PAIR_MM else body_midline()

    x = np.arange(labels.shape[2])
    is_right = np.zeros(labels.shape, bool)
    for i in large:
        kidney_x = ((components == i) & (labels == CHALLENGE_KIDNEY)).sum(axis=(0, 1))
        share = kidney_x[x < midline].sum() / max(1, kidney_x.sum())
        if FUSED_SHARE < share < 1 - FUSED_SHARE:
            is_right |= (components == i) & (x < midline)
        elif centers_x[i] < midline:
            is_right |= components == i
    return _assign_specks(is_right, components, large, spacing_mm)


def _assign_specks(
    is_right: NDArray[np.bool_], components: NDArray, large: list[int], spacing_mm: tuple[float, float, float]
) -> NDArray[np.bool_]:
    """Returns `is_right` with every small component on the side of the nearest voxel of a large one."""
    is_large = np.isin(components, large)
    specks = np.unique(components[~is_large & (components > 0)])
    if not len(specks):
        return is_right
    anchors = np.argwhere(is_large)
    anchors_mm = anchors * spacing_mm
    centers_mm = cc3d.statistics(components)["centroids"] * spacing_mm
    for speck in specks:
        nearest = anchors[np.argmin(((anchors_mm - centers_mm[speck]) ** 2).sum(axis=1))]
        if is_right[tuple(nearest)]:
            is_right |= components == speck
    return is_right
