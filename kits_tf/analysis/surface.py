"""How far the surfaces of two masks lie apart, in the surface-distance library's definitions.

Nikolov et al. 2021, "Clinically applicable segmentation of head and neck anatomy for radiotherapy", JMIR 23(7):e26151.
The library's own search goes through a distance transform of the whole box; here each element of a surface finds its
nearest one in a tree, with the same result.
"""

from dataclasses import dataclass

import numpy as np
import surface_distance
from numpy.typing import NDArray
from scipy.spatial import KDTree
from surface_distance import lookup_tables

from kits_tf.ct.geometry import Spacing

# Bits of the code of a corner for the voxels around it, (z, y, x).
_BITS = np.asarray(lookup_tables.ENCODE_NEIGHBOURHOOD_3D_KERNEL, np.uint8)
_PERCENT = 95.0


@dataclass(frozen=True, eq=False)
class Surface:
    """The elements of a mask's surface, one for each corner of voxels of which some, but not all, are inside.

    Attributes:
        places_mm: (n, 3) float64 places (z, y, x), from the center of the mask's first voxel.
        areas_mm2: (n,) float64 areas of the elements.
    """

    places_mm: NDArray[np.float64]
    areas_mm2: NDArray[np.float64]


def find_surface(mask: NDArray[np.bool_], spacing_mm: Spacing) -> Surface:
    """Returns the surface of a mask (z, y, x) bool; beyond the array all is outside."""
    padded = np.pad(mask.view(np.uint8), 1)
    depth, height, width = (size + 1 for size in mask.shape)
    codes = np.zeros((depth, height, width), np.uint8)
    for (z, y, x), bit in np.ndenumerate(_BITS):
        codes += padded[z : z + depth, y : y + height, x : x + width] * bit
    corners = np.argwhere((codes != 0) & (codes != 255))
    areas = np.asarray(lookup_tables.create_table_neighbour_code_to_surface_area(spacing_mm))
    return Surface((corners - 0.5) * np.array(spacing_mm), areas[codes[tuple(corners.T)]])


@dataclass(frozen=True, eq=False)
class SurfaceDistances:
    """Distances between two surfaces.

    Attributes:
        by_name: argument of the library's functions: sorted distances in mm, both ways, and the areas of the elements.
    """

    by_name: dict[str, NDArray[np.float64]]

    @property
    def both_empty(self) -> bool:
        """Whether there is no surface."""
        return not any(distances.size for distances in self.by_name.values())

    @property
    def one_empty(self) -> bool:
        """Whether there is only one surface, from which all distances are infinite."""
        return not self.both_empty and not all(distances.size for distances in self.by_name.values())

    def dice(self, tolerance_mm: float) -> float:
        """Returns the share of both surfaces that is as near to the other one; both empty = 1, one empty = 0."""
        if self.both_empty:
            return 1.0
        return float(surface_distance.compute_surface_dice_at_tolerance(self.by_name, tolerance_mm))

    def hd95_mm(self) -> float:
        """Returns the larger of both 95th percentiles by area, in mm; both empty = nan, one empty = inf."""
        if self.both_empty or self.one_empty:
            return np.nan if self.both_empty else np.inf
        return float(surface_distance.compute_robust_hausdorff(self.by_name, _PERCENT))

    def average_mm(self) -> float:
        """Returns the mean over both surfaces by area, in mm; both empty = nan, one empty = inf."""
        if self.both_empty or self.one_empty:
            return np.nan if self.both_empty else np.inf
        ways = (("distances_gt_to_pred", "surfel_areas_gt"), ("distances_pred_to_gt", "surfel_areas_pred"))
        weighted = sum(float(self.by_name[far] @ self.by_name[areas]) for far, areas in ways)
        return weighted / sum(float(self.by_name[areas].sum()) for _, areas in ways)


def surface_distances(truth: NDArray[np.bool_], predicted: NDArray[np.bool_], spacing_mm: Spacing) -> SurfaceDistances:
    """Returns the distances between the surfaces of two masks (z, y, x) bool of one shape."""
    of_truth, of_prediction = find_surface(truth, spacing_mm), find_surface(predicted, spacing_mm)
    to_predicted, areas_true = _sorted(_nearest(of_truth, of_prediction), of_truth.areas_mm2)
    to_true, areas_predicted = _sorted(_nearest(of_prediction, of_truth), of_prediction.areas_mm2)
    return SurfaceDistances(
        {
            "distances_gt_to_pred": to_predicted,
            "distances_pred_to_gt": to_true,
            "surfel_areas_gt": areas_true,
            "surfel_areas_pred": areas_predicted,
        }
    )


def _nearest(surface: Surface, other: Surface) -> NDArray[np.float64]:
    """Returns how far from each element of a surface the other one is, (n,) in mm; inf if it has no element."""
    if not len(other.places_mm) or not len(surface.places_mm):
        return np.full(len(surface.places_mm), np.inf)
    # Places are on a lattice and so already even: balancing the tree would only cost time.
    tree = KDTree(other.places_mm, compact_nodes=False, balanced_tree=False)
    return tree.query(surface.places_mm)[0]


def _sorted(distances: NDArray[np.float64], areas: NDArray[np.float64]) -> tuple[NDArray, NDArray]:
    order = np.lexsort((areas, distances))
    return distances[order], areas[order]
