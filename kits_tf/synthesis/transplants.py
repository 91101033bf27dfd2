"""Kidneys in other bodies: out of the masks of a data set, with their tumors, or out of another body's label map."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from kits_tf.ct.components import SPECK_SHARE, components_26
from kits_tf.ct.geometry import Spacing, bounding_box, resampled_shape
from kits_tf.ct.labels import CHALLENGE_KIDNEY, CHALLENGE_TUMOR
from kits_tf.ct.sides import PAIR_MM
from kits_tf.ct.volume import Volume
from kits_tf.synthesis.bodies import SIDES, Body
from kits_tf.synthesis.fields import resized
from kits_tf.synthesis.pose import Bends, places, rotation

# A kidney that would overlap bone by more than this share is moved, forward and away from the spine.
_MOST_OVERLAP = 0.002
_MOVES_MM = (0.0, 4.0, 8.0, 12.0, 16.0, 20.0, 24.0)
# How a kidney that is put elsewhere differs from what it was.
_SCALE, _AXIS_SCALE = (0.85, 1.12), (0.92, 1.08)
_DEGREES = (18.0, 18.0, 18.0)
# Room for what is turned.
_ROOM = 1.4
_BENDS = Bends((10, 25), (0.5, 2.5))
Slices = tuple[slice, slice, slice]


@dataclass(frozen=True, eq=False)
class Kidney:
    """A kidney with its cysts and tumors.

    Attributes:
        labels: (z, y, x) uint8, the challenge's labels of this kidney alone: 0, 1 kidney, 2 tumor.
        side: one of SIDES.
        spacing_mm: size of the voxels, which are cubes.
    """

    labels: NDArray[np.uint8]
    side: str
    spacing_mm: float


def whole_kidneys(mask: Volume, spacing_mm: float) -> list[Kidney]:
    """Returns the kidneys of a mask that the scan does not cut off, on cubes of `spacing_mm`.

    Two components far apart are the right and the left kidney; a single one has the side on which it lies in the scan.
    Specks are left out. A mask without kidneys gives [].

    Args:
        mask: mask in the challenge's labels; cysts become kidney.
        spacing_mm: voxel size of the result.
    """
    components = components_26(mask.array > 0)
    sizes = np.bincount(components.ravel(), minlength=2)[1:]
    boxes = ndimage.find_objects(components)
    large = [(i + 1, box) for i, box in enumerate(boxes) if sizes[i] >= SPECK_SHARE * sizes.max()]
    centers = [(box[2].start + box[2].stop) / 2 for _, box in large]
    is_pair = len(large) > 1 and np.ptp(centers) * mask.grid.spacing_mm[2] > PAIR_MM
    middle = (min(centers) + max(centers)) / 2 if is_pair else mask.array.shape[2] / 2
    kidneys = []
    for (number, box), center in zip(large, centers, strict=True):
        if box[0].start > 0 and box[0].stop < len(mask.array):
            labels = np.where(components[box] == number, mask.array[box], 0)
            side = SIDES[int(center > middle)]  # x runs to the left
            kidneys.append(Kidney(_on_cubes(labels, mask.grid.spacing_mm, spacing_mm), side, spacing_mm))
    return kidneys


def own_kidneys(body: Body, spacing_mm: float) -> list[Kidney]:
    """Returns a body's kidneys with their cysts, the right one first, on cubes of `spacing_mm`."""
    masks = [np.isin(body.structures, body.kidney(side)) for side in SIDES]
    parts = [mask[bounding_box(mask)].astype(np.uint8) * np.uint8(CHALLENGE_KIDNEY) for mask in masks]
    return [
        Kidney(_on_cubes(part, body.spacing_mm, spacing_mm), side, spacing_mm)
        for part, side in zip(parts, SIDES, strict=True)
    ]


def mirrored(kidney: Kidney) -> Kidney:
    """Returns the kidney of the other side that is its mirror image."""
    return replace(kidney, labels=kidney.labels[..., ::-1], side=SIDES[1 - SIDES.index(kidney.side)])


def varied(rng: np.random.Generator, kidney: Kidney) -> Kidney:
    """Returns a kidney that is scaled by 0.78 to 1.21, turned by up to 18 degrees, and bent a little, at random."""
    scale = rng.uniform(*_SCALE) * rng.uniform(*_AXIS_SCALE, 3)
    z, y, x = (np.ceil(np.array(kidney.labels.shape) * scale * _ROOM).astype(int) + 4).tolist()
    matrix = np.diag(1 / scale) @ rotation(rng, _DEGREES)
    bends = [_BENDS.draw(rng, (z, y, x), kidney.spacing_mm) / kidney.spacing_mm for _ in range(3)]
    at = [place + bend for place, bend in zip(places((z, y, x), matrix, kidney.labels.shape), bends, strict=True)]
    masks = (kidney.labels > 0, kidney.labels == CHALLENGE_TUMOR)
    foreground, tumor = (ndimage.map_coordinates(mask.astype(np.float32), at, order=1) for mask in masks)
    labels = _labels(foreground, tumor)
    return replace(kidney, labels=labels[bounding_box(labels > 0)])


def transplant(
    kidney: Kidney, center: Sequence[float], labels: NDArray[np.uint8], bone: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Puts a kidney into a scan's labels, near a place and, if there is room, where it meets no bone.

    Where no place has room, the one of least overlap is taken. Voxels of bone stay bone, and what lies beyond the scan
    is lost.

    Args:
        kidney: kidney to put, on voxels of the scan's size.
        center: (z, y, x) of the place, in voxels.
        labels: (z, y, x) uint8, the challenge's labels of the scan, which are changed.
        bone: (z, y, x) bool, where there is bone.

    Returns:
        (z, y, x) bool, where the kidney is.
    """
    outward = 1 if kidney.side == "left" else -1
    moves = sorted(itertools.product(_MOVES_MM, _MOVES_MM), key=sum)
    start = np.asarray(center) - (np.array(kidney.labels.shape) - 1) / 2
    firsts = [np.rint(start + np.array([0, -y, outward * x]) / kidney.spacing_mm).astype(int) for y, x in moves]
    overlaps = [_overlap(kidney.labels > 0, first, bone) for first in firsts]
    free = [i for i, overlap in enumerate(overlaps) if overlap <= _MOST_OVERLAP]
    inner, outer = _common(kidney.labels.shape, firsts[free[0] if free else int(np.argmin(overlaps))], bone.shape)
    inside = np.zeros(labels.shape, bool)
    inside[outer] = (kidney.labels[inner] > 0) & ~bone[outer]
    labels[outer][inside[outer]] = kidney.labels[inner][inside[outer]]
    return inside


def _overlap(kidney: NDArray[np.bool_], place: NDArray[np.int64], bone: NDArray[np.bool_]) -> float:
    """Returns which share of a kidney lies on bone if its first voxel is at a place."""
    inner, outer = _common(kidney.shape, place, bone.shape)
    return float((kidney[inner] & bone[outer]).sum() / kidney.sum())


def _common(part: Sequence[int], place: NDArray[np.int64], whole: Sequence[int]) -> tuple[Slices, Slices]:
    """Returns the box of a part, and that of the whole, which are the same voxels if the part begins at a place."""
    first = [max(0, -int(p)) for p in place]
    stop = [max(f, min(n, w - int(p))) for f, n, w, p in zip(first, part, whole, place, strict=True)]
    z, y, x = (slice(f, s) for f, s in zip(first, stop, strict=True))
    k, j, i = (slice(f + int(p), s + int(p)) for f, s, p in zip(first, stop, place, strict=True))
    return (z, y, x), (k, j, i)


def _on_cubes(labels: NDArray[np.uint8], spacing_mm: Spacing, cube_mm: float) -> NDArray[np.uint8]:
    """Returns labels on cubes."""
    shape = resampled_shape(labels.shape, spacing_mm, (cube_mm, cube_mm, cube_mm))
    return _labels(*(resized(m.astype(np.float32), shape) for m in (labels > 0, labels == CHALLENGE_TUMOR)))


def _labels(foreground: NDArray[np.float32], tumor: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Returns the labels of interpolated masks: foreground, and tumor within it, where the mask is above one half."""
    kidney_or_tumor = np.where(tumor > 0.5, CHALLENGE_TUMOR, CHALLENGE_KIDNEY)
    return np.where(foreground > 0.5, kidney_or_tumor, 0).astype(np.uint8)
