"""Tumors one by one: which of the true ones a mask finds, and which of its own are false."""

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kits_tf.ct.components import components_26

# What is smaller, a ball of 6 mm, is a speck: KiTS19's smallest tumor has 0.8 mL.
SMALLEST_ML = 0.1
# Intersection over union from which two lesions are one and the same, as in PI-CAI (Saha et al. 2024) and nnDetection.
MATCH_IOU = 0.1
# Diameters, up to which lesions are of one size; 40 and 70 are those of the TNM stages T1a and T1b.
SIZES_MM = (20, 40, 70)


@dataclass(frozen=True)
class Lesion:
    """A 26-connected component of tumor, SMALLEST_ML or larger.

    Attributes:
        is_true: whether the true mask has it, or the predicted one.
        volume_ml: volume of the component.
        iou: intersection over union of it and all components of the other mask that touch it.
    """

    is_true: bool
    volume_ml: float
    iou: float

    @property
    def diameter_mm(self) -> float:
        """Diameter of the ball of its volume."""
        return float((6000 * self.volume_ml / np.pi) ** (1 / 3))

    @property
    def matched(self) -> bool:
        """Whether the other mask has it too."""
        return self.iou >= MATCH_IOU


@dataclass(frozen=True, kw_only=True)
class LesionCounts:
    """Tumors of one size: a row of summary.json's table by size.

    Attributes:
        diameter_mm: bounds of the size, in words.
        true: number of tumors of the true masks.
        detected: number of those that the predicted masks have too.
        falsely_raised: number of tumors of the predicted masks that the true ones lack.
    """

    diameter_mm: str
    true: int
    detected: int
    falsely_raised: int

    @property
    def missed(self) -> int:
        """Number of tumors of the true masks that the predicted ones lack."""
        return self.true - self.detected


def find_lesions(truth: NDArray[np.bool_], predicted: NDArray[np.bool_], voxel_ml: float) -> list[Lesion]:
    """Returns the lesions of two tumor masks (z, y, x) bool: the true ones, then the predicted ones."""
    of_truth, of_prediction = components_26(truth), components_26(predicted)
    true_sizes = np.bincount(of_truth.ravel(), minlength=1)
    predicted_sizes = np.bincount(of_prediction.ravel(), minlength=1)
    both = truth & predicted
    shared = np.zeros((len(true_sizes), len(predicted_sizes)), np.int64)
    np.add.at(shared, (of_truth[both].astype(np.int64), of_prediction[both].astype(np.int64)), 1)
    true_measures = _volumes_and_ious(shared, true_sizes, predicted_sizes, voxel_ml)
    predicted_measures = _volumes_and_ious(shared.T, predicted_sizes, true_sizes, voxel_ml)
    return [
        *(Lesion(True, volume_ml, iou) for volume_ml, iou in true_measures),
        *(Lesion(False, volume_ml, iou) for volume_ml, iou in predicted_measures),
    ]


def _volumes_and_ious(
    shared: NDArray[np.int64], sizes: NDArray[np.int64], other_sizes: NDArray[np.int64], voxel_ml: float
) -> list[tuple[float, float]]:
    """Returns volume and IoU of each component of a mask that is large enough.

    Args:
        shared: (components, components of the other mask) voxels that two have in common; 0 is the background.
        sizes: (components,) voxels of each component.
        other_sizes: (components of the other mask,) voxels of each of those.
        voxel_ml: volume of a voxel.
    """
    common = shared.sum(axis=1)
    union = sizes + (shared > 0) @ other_sizes - common
    large = [i for i in range(1, len(sizes)) if sizes[i] * voxel_ml >= SMALLEST_ML]
    return [(float(sizes[i] * voxel_ml), float(common[i] / union[i])) for i in large]


def count_lesions(lesions: list[Lesion]) -> list[LesionCounts]:
    """Returns for each size how many lesions are true, how many of them detected, and how many falsely raised."""
    rows = []
    for low, high in itertools.pairwise((0, *SIZES_MM, np.inf)):
        of_size = [lesion for lesion in lesions if low < lesion.diameter_mm <= high]
        rows.append(
            LesionCounts(
                diameter_mm=f"{low} to {high}" if np.isfinite(high) else f"above {low}",
                true=sum(lesion.is_true for lesion in of_size),
                detected=sum(lesion.is_true and lesion.matched for lesion in of_size),
                falsely_raised=sum(not lesion.is_true and not lesion.matched for lesion in of_size),
            )
        )
    return rows
