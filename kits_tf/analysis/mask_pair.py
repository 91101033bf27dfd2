"""A true and a predicted mask of one case, and what several scores need of the two, each computed once."""

import functools
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from kits_tf.analysis.lesions import Lesion, find_lesions
from kits_tf.analysis.surface import SurfaceDistances, surface_distances
from kits_tf.config import GridSettings
from kits_tf.ct.geometry import Spacing, bounding_box
from kits_tf.ct.labels import CHALLENGE_CYST, CHALLENGE_KIDNEY, CHALLENGE_TUMOR, Scheme, challenge_lookup


@dataclass(frozen=True)
class Region:
    """A structure that KiTS21 and KiTS23 score.

    Attributes:
        members: labels of the challenge that make up the structure.
        tolerance_mm: distance up to which two surfaces agree.
    """

    members: tuple[int, ...]
    tolerance_mm: float


# As the challenges' evaluation code has them. Without labels of cysts, a mass is a tumor.
KITS23_REGIONS = {
    "kidney_and_mass": Region((CHALLENGE_KIDNEY, CHALLENGE_TUMOR, CHALLENGE_CYST), 1.0330772532390826),
    "mass": Region((CHALLENGE_TUMOR, CHALLENGE_CYST), 1.1328796488598762),
    "tumor": Region((CHALLENGE_TUMOR,), 1.1498198361434828),
}
# KiTS19's names of two of them, under which distances and volumes are given.
STRUCTURES = {"kidney": "kidney_and_mass", "tumor": "tumor"}


@dataclass(frozen=True, eq=False, kw_only=True)
class MaskPair:
    """A true and a predicted mask on one grid.

    Attributes:
        truth: (z, y, x) uint8 labels of the scheme.
        predicted: labels of the same shape and scheme.
        scheme: meaning of the labels of both masks.
        spacing_mm: voxel sizes (z, y, x).
        training_grid: grid that MLPerf's score is taken on; None leaves that score out.
        is_missing: whether there is no predicted mask, and `predicted` holds background in its place.
    """

    truth: NDArray[np.uint8]
    predicted: NDArray[np.uint8]
    scheme: Scheme
    spacing_mm: Spacing
    training_grid: GridSettings | None = None
    is_missing: bool = False
    _distances: dict[tuple[int, ...], SurfaceDistances] = field(default_factory=dict, init=False, repr=False)

    @functools.cached_property
    def counts(self) -> NDArray[np.int64]:
        """The voxel counts of `confusion`.

        Raises:
            ValueError: the shapes of the masks differ.
        """
        return confusion(self.truth, self.predicted, len(self.scheme.classes))

    @property
    def voxel_ml(self) -> float:
        """Volume of a voxel."""
        return float(np.prod(self.spacing_mm)) / 1000

    @functools.cached_property
    def lesions(self) -> list[Lesion]:
        """The tumors of the true mask, then those of the predicted one."""
        truth, predicted = self._challenge_labels
        return find_lesions(truth == CHALLENGE_TUMOR, predicted == CHALLENGE_TUMOR, self.voxel_ml)

    def dice(self, labels: Iterable[int]) -> float:
        """Returns the Dice of a union of labels of the scheme; both empty = 1, one empty = 0."""
        return region_dice(self.counts, labels)

    def region_labels(self, region: str) -> NDArray[np.intp]:
        """Returns which labels of the scheme make up one of KITS23_REGIONS."""
        return np.flatnonzero(np.isin(self._meanings, KITS23_REGIONS[region].members))

    def surface_distances(self, region: str) -> SurfaceDistances:
        """Returns the distances between the surfaces of one of KITS23_REGIONS."""
        members = tuple(member for member in KITS23_REGIONS[region].members if member in self._meanings)
        if members not in self._distances:
            truth, predicted = (np.isin(labels, members) for labels in self._challenge_labels)
            self._distances[members] = surface_distances(truth, predicted, self.spacing_mm)
        return self._distances[members]

    @property
    def _meanings(self) -> NDArray[np.uint8]:
        """The challenge's label of each label of the scheme."""
        return challenge_lookup(self.scheme.classes)

    @functools.cached_property
    def _challenge_labels(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """True and predicted labels of the challenge, within the box around all that is labeled."""
        box = bounding_box(self.truth | self.predicted)  # labels are bits here: what is 0 in both is 0
        return self._meanings[self.truth[box]], self._meanings[self.predicted[box]]


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
    both = int(counts[np.ix_(chosen, chosen)].sum())
    total = int(counts[chosen].sum() + counts[:, chosen].sum())
    return 1.0 if total == 0 else 2.0 * both / total
