"""Sizes of masks in mm, on grids whose voxels are not cubes. Masks are (z, y, x) bool, spacings (z, y, x) in mm."""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.spatial import ConvexHull, QhullError
from scipy.spatial.distance import pdist

from kits_tf.ct.components import border
from kits_tf.ct.geometry import Spacing

# Width of the filter that smooths a mask's steps, in the largest voxel size.
_SIGMA_VOXELS = 0.8
_SAMPLES = 10_000


def border_points(mask: NDArray[np.bool_], spacing_mm: Spacing) -> NDArray[np.float64]:
    """Returns the centers of voxels inside that have one of their six neighbors outside, (n, 3) in mm."""
    return np.argwhere(border(mask)) * np.array(spacing_mm)


def principal_extents_mm(mask: NDArray[np.bool_], spacing_mm: Spacing) -> tuple[float, float, float]:
    """Returns how far a mask that is not empty reaches along its principal axes, the longest axis first.

    An extent is the distance of the outermost voxel centers, and the smallest voxel size: in all directions but those
    of the grid itself, centers come that close to the border, or closer.
    """
    places = np.argwhere(mask) * np.array(spacing_mm)
    axes = np.linalg.eigh(np.cov(places.T, ddof=0))[1][:, ::-1]
    length, width, thickness = np.ptp(border_points(mask, spacing_mm) @ axes, axis=0) + min(spacing_mm)
    return float(length), float(width), float(thickness)


def largest_diameter_mm(mask: NDArray[np.bool_], spacing_mm: Spacing) -> float:
    """Returns the largest distance between two voxel centers of a mask, and the smallest voxel size; 0 of none."""
    points = border_points(mask, spacing_mm)
    return _farthest(points) + min(spacing_mm) if len(points) else 0.0


def largest_axial_diameter_mm(mask: NDArray[np.bool_], spacing_mm: Spacing) -> float:
    """Returns the largest diameter of a mask within one plane along z, as radiologists measure; 0 of none."""
    planes = [border_points(plane[None], spacing_mm)[:, 1:] for plane in mask if plane.any()]
    return max(map(_farthest, planes)) + min(spacing_mm[1:]) if planes else 0.0


def surface_area_mm2(mask: NDArray[np.bool_], spacing_mm: Spacing) -> float:
    """Returns the area of the surface of a mask without handles or holes, and without the steps of its voxels.

    By the coarea formula the integral of |grad f| is the mean area of the level sets of f (Federer 1959, "Curvature
    measures", Trans. AMS 93), here the mask smoothed by a Gaussian of sigma. That takes 4 pi sigma^2 off a ball, which
    is put back: the mean of the squared curvature, integrated, is at least that of a ball.
    """
    sigma_mm = _SIGMA_VOXELS * max(spacing_mm)
    sigmas = [sigma_mm / size_mm for size_mm in spacing_mm]
    padded = np.pad(mask, [(math.ceil(4 * sigma) + 1,) * 2 for sigma in sigmas]).astype(np.float32)
    squared = np.zeros(padded.shape, np.float32)
    for axis, size_mm in enumerate(spacing_mm):
        order = [int(axis == other) for other in range(3)]
        squared += (gaussian_filter(padded, sigmas, order) / size_mm) ** 2
    smoothed = np.sqrt(squared).sum(dtype=np.float64) * np.prod(spacing_mm)
    return float(smoothed + 4 * np.pi * sigma_mm**2)


def sphericity(volume_mm3: float, area_mm2: float) -> float:
    """Returns the area of the ball of a volume over an area: 1 for a ball (Wadell 1935, J. Geol. 43)."""
    return float(np.pi ** (1 / 3) * (6 * volume_mm3) ** (2 / 3) / area_mm2)


def share_inside_hull(points: NDArray[np.float64], around: NDArray[np.float64]) -> float:
    """Returns which share of points (n, 3) lies in the convex hull of others (m, 3); 0 where that has no volume.

    Of more than 10,000 points a random choice is taken, which is right to one percent.
    """
    try:
        equations = ConvexHull(around).equations
    except (QhullError, ValueError):
        return 0.0
    if len(points) > _SAMPLES:
        points = np.random.default_rng(0).choice(points, _SAMPLES, replace=False)
    return float((points @ equations[:, :3].T + equations[:, 3] <= 1e-6).all(axis=1).mean())


def _farthest(points: NDArray[np.float64]) -> float:
    """Returns the largest distance between any two points, (n, 2 or 3)."""
    if len(points) > points.shape[1] + 1:
        try:
            points = points[ConvexHull(points).vertices]
        except QhullError:  # all in a line or plane
            points = np.unique(points, axis=0)
    return float(pdist(points).max(initial=0.0))
