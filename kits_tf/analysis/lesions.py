"""Tumors one by one: which of the true ones a mask finds, and which of its own are none."""

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kits_tf.ct.components import components_26

# What is smaller, a ball of 6 mm, is a speck: KiTS19's smallest tumor has 0.8 mL.
SMALLEST_ML = 0.1
# Intersection over union from which a lesion counts as found, as in PI-CAI (Saha et al. 2024) and nnDetection.
FOUND_IOU = 0.1
# Diameters, up to which lesions are of one size; 40 and 70 are those of the TNM stages T1a and T1b.
SIZES_MM = (20, 40, 70)


@dataclass(frozen=True)
class Lesion:
    """A 26-connected component of tumor, SMALLEST_ML or larger.

    Attributes:
        is_true: whether it is of the true mask, or of the predicted one.
        volume_ml: its volume.
        iou: intersection over union of it and all components of the other mask that touch it.
    """

    is_true: bool
    volume_ml: float
    iou: float

    @property
    def diameter_mm(self) -> float:
        """Of the ball of its volume."""
        return float((6000 * self.volume_ml / np.pi) ** (1 / 3))

    @property
    def matched(self) -> bool:
        """Whether the other mask has it too."""
        return self.iou >= FOUND_IOU


def find_lesions(truth: NDArray[np.bool_], predicted: NDArray[np.bool_], voxel_ml: float) -> list[Lesion]:
    """Returns the lesions of two tumor masks (z, y, x) bool: the true ones, then the predicted ones."""
    true, found = components_26(truth), components_26(predicted)
    pairs = true[truth & predicted].astype(np.int64), found[truth & predicted].astype(np.int64)
    shared = np.zeros((int(true.max(initial=0)) + 1, int(found.max(initial=0)) + 1), np.int64)
    np.add.at(shared, pairs, 1)
    sizes = np.bincount(true.ravel(), minlength=len(shared)), np.bincount(found.ravel(), minlength=shared.shape[1])
    return [
        *_of_one_mask(True, shared, *sizes, voxel_ml),
        *_of_one_mask(False, shared.T, *sizes[::-1], voxel_ml),
    ]


def _of_one_mask(
    is_true: bool, shared: NDArray[np.int64], sizes: NDArray[np.int64], other_sizes: NDArray[np.int64], voxel_ml: float
) -> list[Lesion]:
    """Returns the lesions of the mask whose components are the rows of `shared`, the voxels that two have in common."""
    common = shared.sum(axis=1)
    union = sizes + (shared > 0) @ other_sizes - common
    return [
        Lesion(is_true, float(sizes[i] * voxel_ml), float(common[i] / union[i]))
        for i in range(1, len(sizes))
        if sizes[i] * voxel_ml >= SMALLEST_ML
    ]


def lesion_table(lesions: list[Lesion]) -> list[dict]:
    """Returns for each size how many lesions are true, how many of them detected, and how many falsely raised."""
    bounds = (0, *SIZES_MM, np.inf)
    rows = []
    for low, high in itertools.pairwise(bounds):
        of_size = [lesion for lesion in lesions if low < lesion.diameter_mm <= high]
        rows.append(
            {
                "diameter_mm": f"{low} to {high}" if np.isfinite(high) else f"above {low}",
                "true": sum(lesion.is_true for lesion in of_size),
                "detected": sum(lesion.is_true and lesion.matched for lesion in of_size),
                "falsely_raised": sum(not lesion.is_true and not lesion.matched for lesion in of_size),
            }
        )
    return rows
