"""Scores of a mask against the truth, on the original grid, in NumPy."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kits_tf.analysis.lesions import Lesion, find_lesions
from kits_tf.analysis.surface import SurfaceDistances, surface_distances
from kits_tf.ct.geometry import bounding_box
from kits_tf.ct.labels import (
    CHALLENGE_CYST,
    CHALLENGE_KIDNEY,
    CHALLENGE_TUMOR,
    Scheme,
    challenge_lookup,
    region_labels,
)

# What KiTS21 and KiTS23 score, unions of the challenge's labels, and within how many mm surfaces agree: as their
# evaluation code has it. Without labels of cysts, a mass is a tumor.
KITS23_REGIONS = {
    "kidney_and_mass": ((CHALLENGE_KIDNEY, CHALLENGE_TUMOR, CHALLENGE_CYST), 1.0330772532390826),
    "mass": ((CHALLENGE_TUMOR, CHALLENGE_CYST), 1.1328796488598762),
    "tumor": ((CHALLENGE_TUMOR,), 1.1498198361434828),
}
# Of these, distances and volumes are told too, under the names of KiTS19.
_MEASURED = {"kidney_and_mass": "kidney", "tumor": "tumor"}


def dice_from_counts(intersection: int, total: int) -> float:
    """Returns 2 * intersection / total, where total is the sum of both sizes; 1 if both masks are empty."""
    return 1.0 if total == 0 else 2.0 * intersection / total


def confusion(truth: NDArray[np.uint8], predicted: NDArray[np.uint8], num_classes: int) -> NDArray[np.int64]:
    """Returns the (num_classes, num_classes) voxel counts of [true label, predicted label].

    Raises:
        ValueError: the shapes differ.
    """
    if truth.shape != predicted.shape:
        raise ValueError(f"expected masks of one shape, received: {truth.shape} and {predicted.shape}")
    # uint8: 16 pairs of labels fit, and bincount copies a byte a voxel to int64 slice by slice only.
    counts = np.zeros(num_classes * num_classes, np.int64)
    for true_plane, predicted_plane in zip(truth, predicted, strict=True):
        pairs = true_plane.astype(np.intp) * num_classes + predicted_plane
        counts += np.bincount(pairs.ravel(), minlength=num_classes * num_classes)
    return counts.reshape(num_classes, num_classes)


def region_dice(counts: NDArray[np.int64], labels: Iterable[int]) -> float:
    """Returns the Dice of a union of labels from confusion counts; both empty = 1, one empty = 0."""
    chosen = list(labels)
    both = counts[np.ix_(chosen, chosen)].sum()
    return dice_from_counts(int(both), int(counts[chosen].sum() + counts[:, chosen].sum()))


def dice_scores(counts: NDArray[np.int64], scheme: Scheme) -> dict[str, float]:
    """Returns kidney_dice, tumor_dice and composite, as KiTS19 has them, and dice_CLASS for each class of the scheme.

    Args:
        counts: of `confusion`.
        scheme: of the labels.
    """
    regions = {name: region_dice(counts, labels) for name, labels in region_labels(scheme).items()}
    composite = (regions["kidney"] + regions["tumor"]) / 2
    by_class = {f"dice_{name}": region_dice(counts, [label]) for label, name in enumerate(scheme.classes) if label}
    return {"kidney_dice": regions["kidney"], "tumor_dice": regions["tumor"], "composite": composite} | by_class


@dataclass(frozen=True)
class CaseScores:
    """Scores of one case on its original grid.

    Attributes:
        case_id: the case.
        values: of `dice_scores`; for each of KITS23_REGIONS kits23_REGION_dice and kits23_REGION_surface_dice; for
            kidney (with tumor and cyst) and tumor REGION_hd95_mm and REGION_average_distance_mm (inf where one mask is
            empty, nan where both are) and REGION_volume_error_ml (predicted - true); side_confusion, the share of what
            both masks call kidney where they do not mean the same one; lesions, lesions_detected,
            lesions_falsely_raised.
        lesions: of both masks.
    """

    case_id: str
    values: dict[str, float]
    lesions: tuple[Lesion, ...]


def score_case(
    case_id: str,
    truth: NDArray[np.uint8],
    predicted: NDArray[np.uint8],
    scheme: Scheme,
    spacing_mm: tuple[float, float, float],
) -> CaseScores:
    """Returns the scores of a case.

    Args:
        case_id: the case.
        truth: (z, y, x) uint8 labels of `scheme`.
        predicted: the same shape and scheme.
        scheme: tells which labels are the challenge's kidney and tumor.
        spacing_mm: voxel sizes (z, y, x).
    """
    counts = confusion(truth, predicted, len(scheme.classes))
    values = dice_scores(counts, scheme)
    voxel_ml = float(np.prod(spacing_mm)) / 1000
    meant = challenge_lookup(scheme.classes)
    box = bounding_box(truth | predicted)  # labels are bits here: what is 0 in both is 0
    true, found = meant[truth[box]], meant[predicted[box]]
    surfaces: dict[tuple[int, ...], SurfaceDistances] = {}
    for name, (all_members, tolerance_mm) in KITS23_REGIONS.items():
        members = tuple(member for member in all_members if member in meant)
        labels = np.flatnonzero(np.isin(meant, members))
        if members not in surfaces:
            surfaces[members] = surface_distances(np.isin(true, members), np.isin(found, members), spacing_mm)
        values[f"kits23_{name}_dice"] = region_dice(counts, labels)
        values[f"kits23_{name}_surface_dice"] = surfaces[members].dice(tolerance_mm)
        if name in _MEASURED:
            values[f"{_MEASURED[name]}_hd95_mm"] = surfaces[members].hd95_mm()
            values[f"{_MEASURED[name]}_average_distance_mm"] = surfaces[members].average_mm()
            excess = counts[:, labels].sum() - counts[labels].sum()
            values[f"{_MEASURED[name]}_volume_error_ml"] = float(excess * voxel_ml)
    if "right_kidney" in scheme.classes:
        values["side_confusion"] = _side_confusion(counts, scheme)
    lesions = find_lesions(true == CHALLENGE_TUMOR, found == CHALLENGE_TUMOR, voxel_ml)
    values["lesions"] = sum(lesion.is_true for lesion in lesions)
    values["lesions_detected"] = sum(lesion.is_true and lesion.matched for lesion in lesions)
    values["lesions_falsely_raised"] = sum(not lesion.is_true and not lesion.matched for lesion in lesions)
    return CaseScores(case_id, values, tuple(lesions))


def _side_confusion(counts: NDArray[np.int64], scheme: Scheme) -> float:
    """Returns which share of what both masks call kidney has the other side in each; 0 if there is nothing."""
    sides = [scheme.classes.index(name) for name in ("right_kidney", "left_kidney")]
    both = counts[np.ix_(sides, sides)]
    return float((both.sum() - np.trace(both)) / max(1, both.sum()))
