"""What the steps of a chain do to a mask after the network: rules about kidneys and tumors."""

from collections.abc import Callable
from dataclasses import dataclass

import cc3d
import fill_voids
import numpy as np
from edt import edt
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from kits_tf.ct.components import components_26, without_specks
from kits_tf.ct.geometry import bounding_box
from kits_tf.ct.labels import CHALLENGE_KIDNEY, CHALLENGE_TUMOR, Scheme, challenge_lookup, from_challenge

Labels = NDArray[np.uint8]


@dataclass(frozen=True)
class Context:
    """What a step may ask of the scan under a mask.

    Attributes:
        scheme: of the labels.
        spacing_mm: voxel sizes (z, y, x).
        hu: (z, y, x) int16, on the mask's grid.
    """

    scheme: Scheme
    spacing_mm: tuple[float, float, float]
    hu: NDArray[np.int16]

    def meaning(self, label: int) -> NDArray[np.bool_]:
        """Returns which labels of the scheme are the challenge's `label`, (classes,) bool."""
        return challenge_lookup(self.scheme.classes) == label


def keep_kidneys(labels: Labels, context: Context) -> Labels:
    """Returns the 26-connected components that are no specks beside the largest: one, two or more of them."""
    return labels * without_specks(labels > 0)


def drop_specks(labels: Labels, context: Context, smallest_ml: float) -> Labels:
    """Returns labels in which each smaller component of one label has the label that surrounds it most."""
    result = labels.copy()
    smallest = smallest_ml * 1000 / float(np.prod(context.spacing_mm))
    for label in range(1, len(context.scheme.classes)):
        _refill(result, labels == label, lambda count: count < smallest)
    return result


def fill_holes(labels: Labels, context: Context) -> Labels:
    """Returns labels in which background that foreground encloses has the label that surrounds it most."""
    box = bounding_box(labels)
    result = labels.copy()
    inside = result[box]
    holes = fill_voids.fill(inside > 0) & (inside == 0)
    _refill(inside, holes, lambda count: True)
    return result


def tumor_touches(labels: Labels, context: Context) -> Labels:
    """Returns labels without the components of tumor that no voxel of kidney or cyst is a neighbor of."""
    result = labels.copy()
    is_tumor = context.meaning(CHALLENGE_TUMOR)
    for mask, ring in _components(is_tumor[labels]):
        others = labels[mask.box][ring]
        if not (others > 0).any():
            result[mask.box][mask.inside] = 0
    return result


def open_foreground(labels: Labels, context: Context, radius_mm: float) -> Labels:
    """Returns labels where a ball of a radius, in mm, fits into the foreground: what is thinner is lost."""
    box, inside = _with_margin(labels, context, radius_mm)
    core = edt(inside > 0, anisotropy=context.spacing_mm) > radius_mm
    result = np.zeros_like(labels)
    result[box] = inside * (edt(~core, anisotropy=context.spacing_mm) <= radius_mm) if core.any() else 0
    return result


def close_foreground(labels: Labels, context: Context, radius_mm: float) -> Labels:
    """Returns labels in which gaps that no ball of a radius, in mm, fits into have the nearest label."""
    box, inside = _with_margin(labels, context, radius_mm)
    far = edt(inside == 0, anisotropy=context.spacing_mm) > radius_mm
    gaps = (inside == 0) & ~far
    if far.any():
        gaps &= edt(~far, anisotropy=context.spacing_mm) > radius_mm
    if not gaps.any():
        return labels
    nearest = distance_transform_edt(inside == 0, context.spacing_mm, return_distances=False, return_indices=True)
    result = labels.copy()
    result[box] = np.where(gaps, inside[tuple(nearest)], inside)
    return result


def assign_sides(labels: Labels, context: Context) -> Labels:
    """Returns labels with the sides of kidneys as geometry tells them, as for records, if the scheme has sides."""
    if not context.meaning(CHALLENGE_KIDNEY)[labels].any():
        return labels
    official = challenge_lookup(context.scheme.classes)[labels]
    return from_challenge(official, context.scheme, context.hu, context.spacing_mm)[0]


@dataclass(frozen=True)
class _Component:
    box: tuple[slice, ...]
    inside: NDArray[np.bool_]


def _components(mask: NDArray[np.bool_]) -> list[tuple[_Component, NDArray[np.bool_]]]:
    """Returns the 26-connected components of a mask, each in a box with room around it, and the ring around each."""
    components = components_26(mask)
    found = []
    for i, box in enumerate(cc3d.statistics(components)["bounding_boxes"]):
        if i:
            wide = tuple(slice(max(0, part.start - 1), part.stop + 1) for part in box)
            inside = components[wide] == i
            found.append((_Component(wide, inside), _grown(inside) & ~inside))
    return found


def _grown(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Returns a mask and the 26 neighbors of its voxels."""
    for axis in range(3):
        moved = np.moveaxis(mask, axis, 0)
        wider = moved.copy()
        wider[1:] |= moved[:-1]
        wider[:-1] |= moved[1:]
        mask = np.moveaxis(wider, 0, axis)
    return mask


def _refill(labels: Labels, mask: NDArray[np.bool_], is_chosen: Callable[[int], bool]) -> None:
    """Gives each component of a mask with a chosen count of voxels the label that is most frequent around it."""
    if not mask.any():
        return
    for component, ring in _components(mask):
        if is_chosen(int(component.inside.sum())):
            around = labels[component.box][ring]
            labels[component.box][component.inside] = np.bincount(around).argmax() if around.size else 0


def _with_margin(labels: Labels, context: Context, radius_mm: float) -> tuple[tuple[slice, ...], Labels]:
    """Returns the box of the foreground with room for a ball around it, as far as the scan reaches."""
    room = np.ceil(radius_mm / np.array(context.spacing_mm)).astype(int) + 1
    box = tuple(
        slice(max(0, part.start - more), part.stop + more)
        for part, more in zip(bounding_box(labels), room.tolist(), strict=True)
    )
    return box, labels[box]
