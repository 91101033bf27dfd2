"""Scores of a mask against the truth, on the original grid, in NumPy."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kits_tf.ct.labels import CHALLENGE_REGIONS, Scheme

BOOTSTRAP_DRAWS = 2000


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


@dataclass(frozen=True)
class CaseScores:
    """Dice of one case on its original grid.

    Attributes:
        case_id: the case.
        dice: by class name of the scheme, background left out.
        kidney_dice: challenge label > 0, kidney with tumor.
        tumor_dice: challenge label 2.
    """

    case_id: str
    dice: dict[str, float]
    kidney_dice: float
    tumor_dice: float

    @property
    def composite(self) -> float:
        """Mean of kidney_dice and tumor_dice: the challenge's score of a case."""
        return (self.kidney_dice + self.tumor_dice) / 2

    def row(self) -> dict[str, float]:
        """Returns every score by column name."""
        by_class = {f"dice_{name}": value for name, value in self.dice.items()}
        return {
            "kidney_dice": self.kidney_dice, "tumor_dice": self.tumor_dice, "composite": self.composite, **by_class
        }  # fmt: skip


def score_case(case_id: str, truth: NDArray[np.uint8], predicted: NDArray[np.uint8], scheme: Scheme) -> CaseScores:
    """Returns the scores of a case.

    Args:
        case_id: the case.
        truth: (z, y, x) uint8 labels of `scheme`.
        predicted: the same shape and scheme.
        scheme: tells which labels are the challenge's kidney and tumor.
    """
    counts = confusion(truth, predicted, len(scheme.classes))
    regions = {
        name: region_dice(counts, [label for label, official in enumerate(scheme.challenge) if official in members])
        for name, members in CHALLENGE_REGIONS.items()
    }
    by_class = {name: region_dice(counts, [label]) for label, name in enumerate(scheme.classes) if label}
    return CaseScores(case_id, by_class, regions["kidney"], regions["tumor"])


def summarize(cases: list[CaseScores], seed: int = 0) -> dict:
    """Returns the content of summary.json: the mean of each score with its bootstrap 95 % interval over cases.

    Raises:
        ValueError: there is no case.
    """
    if not cases:
        raise ValueError("expected at least one scored case, received: none")
    table = {name: _mean_with_interval([c.row()[name] for c in cases], seed) for name in cases[0].row()}
    by_class = {name: table.pop(f"dice_{name}") for name in cases[0].dice}
    return {"num_cases": len(cases), **table, "dice": by_class}


def _mean_with_interval(values: list[float], seed: int) -> dict:
    """Percentile bootstrap (Efron 1979) over cases."""
    array = np.array(values)
    draws = np.random.default_rng(seed).integers(0, len(array), (BOOTSTRAP_DRAWS, len(array)))
    low, high = np.percentile(array[draws].mean(axis=1), [2.5, 97.5])
    return {"mean": float(array.mean()), "interval_95": [float(low), float(high)]}
