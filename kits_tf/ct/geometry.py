"""Where voxels are: affines, axis orders and grids, in NumPy.

Arrays are (z, y, x) in the orientation (I, P, L) that every KiTS19 case has: z runs to the patient's
feet, y to the back, x to the LEFT. World coordinates are NIfTI's: right, anterior and superior are
positive. An affine maps voxel centers (i, j, k, 1) to world millimeters.
"""

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kits_tf.base.errors import InputError

# (z, y, x): voxels, and mm.
Triple = tuple[int, int, int]
Spacing = tuple[float, float, float]

# Voxel axis (z, y, x) -> world axis it runs along, and always towards the negative end: I, P, L.
CANONICAL_WORLD_AXES = (2, 1, 0)
PERMUTATIONS = tuple(itertools.permutations(range(3)))
# Two affines of one shape are the same grid if no voxel center moves by more than this share of the smallest voxel.
SAME_GRID_VOXELS = 0.25
_AXIS_ENDS = (("L", "R"), ("P", "A"), ("I", "S"))


def voxel_sizes(affine: ArrayLike) -> NDArray[np.float64]:
    """Returns the distance in mm between neighbors along each voxel axis, (3,) float64."""
    return np.sqrt((np.asarray(affine, np.float64)[:3, :3] ** 2).sum(axis=0))


def check_affine(affine: ArrayLike, name: str) -> NDArray[np.float64]:
    """Returns the affine as (4, 4) float64.

    Raises:
        InputError: it is not a finite, invertible 4 x 4 affine with positive spacing; the message starts with `name`.
    """
    affine = np.asarray(affine, np.float64)
    if affine.shape != (4, 4) or not np.isfinite(affine).all():
        raise InputError(f"{name}: expected a finite 4 x 4 affine, got {affine.tolist()}")
    sizes = voxel_sizes(affine)
    if (sizes <= 0).any():
        raise InputError(f"{name}: expected a spacing above 0 mm along every axis, got {sizes.tolist()}")
    if abs(np.linalg.det(affine[:3, :3] / sizes)) < 1e-3:
        raise InputError(f"{name}: expected three independent axes, got the singular affine {affine[:3, :3].tolist()}")
    return affine


@dataclass(frozen=True)
class Orientation:
    """How stored axes (i, j, k) become (z, y, x).

    Attributes:
        permutation: stored axis that becomes each of z, y and x.
        flips: whether it is reversed on the way.
    """

    permutation: Triple
    flips: tuple[bool, bool, bool]

    @property
    def inverse(self) -> "Orientation":
        """The orientation that brings (z, y, x) back to (i, j, k)."""
        i, j, k = (self.permutation.index(stored) for stored in range(3))
        return Orientation((i, j, k), (self.flips[i], self.flips[j], self.flips[k]))


def orientation(affine: ArrayLike) -> Orientation:
    """Returns the orientation that brings an array with this affine closest to (I, P, L).

    Of the six axis orders it takes the one whose direction cosines along the world axes have the largest sum, so
    each voxel axis serves once, however oblique or sheared the affine is.
    """
    cosines = np.asarray(affine, np.float64)[:3, :3] / voxel_sizes(affine)
    along = [sum(abs(cosines[w, p[a]]) for a, w in enumerate(CANONICAL_WORLD_AXES)) for p in PERMUTATIONS]
    i, j, k = PERMUTATIONS[int(np.argmax(along))]
    z, y, x = (bool(cosines[w, p] > 0) for w, p in zip(CANONICAL_WORLD_AXES, (i, j, k), strict=True))
    return Orientation((i, j, k), (z, y, x))


def orientation_of(codes: str) -> Orientation:
    """Returns the orientation of an array whose axes run to the given directions, as in "RAS".

    Raises:
        ValueError: the codes are not one of L and R, one of P and A, and one of I and S.
    """
    worlds = [next((w for w, ends in enumerate(_AXIS_ENDS) if code in ends), None) for code in codes]
    if len(codes) != 3 or set(worlds) != {0, 1, 2}:
        raise ValueError(f"codes: expected a direction for each axis as in 'RAS', got {codes!r}")
    affine = np.zeros((4, 4))
    for axis, world in enumerate(worlds):
        affine[world, axis] = 1 if codes[axis] in "RAS" else -1
    return orientation(affine)


def axis_codes(affine: ArrayLike) -> str:
    """Returns the direction each voxel axis runs to, as in "IPL" or "RAS"."""
    to_canonical = orientation(affine)
    codes = [""] * 3
    for axis, world in enumerate(CANONICAL_WORLD_AXES):
        codes[to_canonical.permutation[axis]] = _AXIS_ENDS[world][int(to_canonical.flips[axis])]
    return "".join(codes)


def reorient(array: NDArray, way: Orientation) -> NDArray:
    """Returns a view of a stored (i, j, k) array as (z, y, x)."""
    return np.flip(array.transpose(way.permutation), tuple(axis for axis in range(3) if way.flips[axis]))


def undo_reorient(array: NDArray, way: Orientation) -> NDArray:
    """Returns a view of a (z, y, x) array in stored order; the exact inverse of `reorient`."""
    return reorient(array, way.inverse)


@dataclass(frozen=True, eq=False, repr=False)
class Grid:
    """Where the voxels of an array are.

    Attributes:
        shape: voxels along each axis of the array.
        affine: (4, 4) float64, voxel centers to world mm.
    """

    shape: Triple
    affine: NDArray[np.float64]

    @property
    def spacing_mm(self) -> Spacing:
        """Voxel sizes along the array's axes in mm."""
        z, y, x = voxel_sizes(self.affine)
        return float(z), float(y), float(x)

    def reoriented(self, way: Orientation) -> "Grid":
        """Returns the grid of `reorient(array, way)`: the same world points, other indices."""
        matrix = np.zeros((4, 4))
        matrix[3, 3] = 1
        for axis, (stored, flip) in enumerate(zip(way.permutation, way.flips, strict=True)):
            matrix[stored, axis] = -1 if flip else 1
            matrix[stored, 3] = self.shape[stored] - 1 if flip else 0
        z, y, x = (self.shape[p] for p in way.permutation)
        return Grid((z, y, x), self.affine @ matrix + 0.0)  # + 0.0: no negative zeros, whatever was flipped

    def resampled(self, spacing_mm: Spacing) -> "Grid":
        """Returns the grid of about `spacing_mm` that fills the same box in space.

        The shape rule is max(1, round(size * spacing / new spacing)); outer faces of the box stay where they are, so
        the true spacing is size * spacing / new size, and new center i lies at old index
        (i + 0.5) * size / new size - 0.5.
        """
        shape = resampled_shape(self.shape, self.spacing_mm, spacing_mm)
        scale = np.array(self.shape) / np.array(shape)
        step = np.diag([*scale, 1.0])
        step[:3, 3] = 0.5 * scale - 0.5
        return Grid(shape, self.affine @ step)

    def same_as(self, other: "Grid") -> bool:
        """Returns whether both grids put every corner voxel at the same world point, within SAME_GRID_VOXELS.

        That leaves room for affines that were rounded or went through a quaternion, not for a shift one could see.
        """
        if self.shape != other.shape:
            return False
        corners = np.array([*itertools.product(*[(0, n - 1) for n in self.shape])])
        moved = corners @ (self.affine - other.affine)[:3, :3].T + (self.affine - other.affine)[:3, 3]
        return bool(np.linalg.norm(moved, axis=1).max() <= SAME_GRID_VOXELS * min(self.spacing_mm))

    def __repr__(self) -> str:
        return f"Grid({size_text(self)}, axes {axis_codes(self.affine)})"


def size_text(grid: Grid) -> str:
    """Returns shape and voxel sizes of a grid, as in "26 x 60 x 60 voxels of 8 x 6 x 6 mm"."""
    shape, spacing = (" x ".join(f"{size:.4g}" for size in sizes) for sizes in (grid.shape, grid.spacing_mm))
    return f"{shape} voxels of {spacing} mm"


def grid_mismatch(expected: Grid, got: Grid, whose: str) -> str:
    """Returns in which way a grid is not the expected one, as in "expected the scan's grid ..."; "" if it is the same.

    Args:
        expected: grid that there should be.
        got: grid that there is.
        whose: word for what the expected grid is that of, as "scan".
    """
    if expected.same_as(got):
        return ""
    if expected.shape != got.shape:
        shapes = [" x ".join(map(str, grid.shape)) for grid in (expected, got)]
        return f"expected the {whose}'s grid of {shapes[0]} voxels, got {shapes[1]}"
    affines = [grid.affine[:3].round(3).tolist() for grid in (expected, got)]
    return f"expected the {whose}'s place and axes {affines[0]}, got {affines[1]}"


def resampled_shape(shape: Triple, spacing_mm: Spacing, new_spacing_mm: Spacing) -> Triple:
    """Returns max(1, round(size * spacing / new spacing)) for each axis, half to even."""
    z, y, x = np.maximum(1, np.rint(np.array(shape) * np.array(spacing_mm) / np.array(new_spacing_mm))).astype(int)
    return int(z), int(y), int(x)


def bounding_box(array: NDArray) -> tuple[slice, slice, slice]:
    """Returns the smallest box around all that is not 0 in an unsigned or bool array; an empty box if all is 0."""
    spans = [slice(None)] * 3
    for axis in np.argsort(np.abs(array.strides))[::-1]:  # one that is cheap to search first: the rest has less to do
        others = tuple(a for a in range(3) if a != axis)
        inside = np.flatnonzero(array[tuple(spans)].max(axis=others, initial=0))
        if not len(inside):
            return (slice(0, 0),) * 3
        spans[axis] = slice(int(inside[0]), int(inside[-1]) + 1)
    return spans[0], spans[1], spans[2]
