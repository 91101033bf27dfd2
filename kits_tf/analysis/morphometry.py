"""From a mask to its measurements."""

from dataclasses import dataclass, replace

import cc3d
import numpy as np
from edt import edt
from numpy.typing import NDArray
from scipy.spatial import KDTree

from kits_tf.analysis import shapes
from kits_tf.analysis.lesions import SMALLEST_ML
from kits_tf.analysis.measurements import ABSENT, CUT_OFF, FUSED, SIDES, Kidney, LesionMeasures, Measurements
from kits_tf.ct.components import components_26, without_specks
from kits_tf.ct.geometry import bounding_box
from kits_tf.ct.labels import Scheme

LESIONS = ("tumor", "cyst")


def measure(
    labels: NDArray[np.uint8], scheme: Scheme, spacing_mm: shapes.Spacing, hu: NDArray[np.int16] | None = None
) -> Measurements:
    """Returns the measurements of a mask.

    Args:
        labels: (z, y, x) uint8 of `scheme`.
        scheme: one with sides.
        spacing_mm: voxel sizes (z, y, x).
        hu: the scan on the same grid.
    """
    place = bounding_box(labels)
    open_ends = _open_ends(place, labels.shape)
    start = tuple(part.start for part in place)
    box = _LabeledBox(labels[place], scheme, spacing_mm, None if hu is None else hu[place], open_ends, start)
    lesions = [lesion for kind in LESIONS if kind in scheme.classes for lesion in box.lesions(kind)]
    kidneys = tuple(box.kidney(side, lesions) for side in SIDES)
    volumes = [kidney.volume_ml for kidney in kidneys]
    known = [volume for volume in volumes if volume is not None]
    asymmetry = 2 * (known[0] - known[1]) / (known[0] + known[1]) if len(known) == len(SIDES) else None
    return Measurements((kidneys[0], kidneys[1]), tuple(lesion.measures for lesion in lesions), asymmetry)


@dataclass(frozen=True)
class _Lesion:
    measures: LesionMeasures
    volume_ml: float


def _open_ends(box: tuple[slice, ...], shape: tuple[int, ...]) -> list[tuple[bool, bool]]:
    """Returns for each axis whether a box reaches the first and the last plane of the scan."""
    return [(part.start == 0, part.stop == size) for part, size in zip(box, shape, strict=True)]


class _LabeledBox:
    """The box around what is labeled."""

    def __init__(
        self,
        labels: NDArray[np.uint8],
        scheme: Scheme,
        spacing_mm: shapes.Spacing,
        hu: NDArray[np.int16] | None,
        open_ends: list[tuple[bool, bool]],
        start: tuple[int, ...],
    ) -> None:
        self.labels, self.scheme, self.spacing_mm, self.hu = labels, scheme, spacing_mm, hu
        self.voxel_ml = float(np.prod(spacing_mm)) / 1000
        self._open_ends, self._start = open_ends, start
        self._kidneys = {side: labels == scheme.classes.index(f"{side}_kidney") for side in SIDES}
        self._trees = {
            side: KDTree(shapes.border_points(kidney, spacing_mm))
            for side, kidney in self._kidneys.items()
            if kidney.any()
        }
        # Beyond the box there is nothing, and so its border is the outside too.
        self._depth = (
            edt(labels > 0, anisotropy=spacing_mm, black_border=True) if labels.size else np.zeros(labels.shape)
        )

    def lesions(self, kind: str) -> list[_Lesion]:
        """Returns the lesions of a kind, the largest first."""
        components = components_26(self.labels == self.scheme.classes.index(kind))
        if not components.any():
            return []
        statistics = cc3d.statistics(components)
        large = np.flatnonzero(statistics["voxel_counts"] * self.voxel_ml >= SMALLEST_ML)
        found = [self._lesion(kind, components == i, statistics["bounding_boxes"][i]) for i in large if i]
        return sorted(found, key=lambda lesion: -lesion.volume_ml)

    def _lesion(self, kind: str, mask: NDArray[np.bool_], box: tuple[slice, ...]) -> _Lesion:
        inside = mask[box]
        volume_ml = float(inside.sum()) * self.voxel_ml
        origin_mm = np.array([part.start for part in box]) * np.array(self.spacing_mm)
        border = shapes.border_points(inside, self.spacing_mm) + origin_mm
        side, deepest_zyx = self._nearest_kidney(border), self._deepest(inside, box)
        mean_hu = None if self.hu is None else float(self.hu[mask].mean())
        std_hu = None if self.hu is None else float(self.hu[mask].std())
        of_any = LesionMeasures(kind=kind, side=side, deepest_zyx=deepest_zyx, mean_hu=mean_hu, std_hu=std_hu)
        if self._is_cut_off(mask):
            return _Lesion(replace(of_any, flags=(CUT_OFF,)), volume_ml)
        exophytic = None
        if side in self._trees:
            places = np.argwhere(inside) * np.array(self.spacing_mm) + origin_mm
            exophytic = 1 - shapes.share_inside_hull(places, self._trees[side].data)
        nearest = self._depth[box][inside].min() - min(self.spacing_mm)  # a voxel at the border has about one
        measures = replace(
            of_any,
            volume_ml=volume_ml,
            diameter_mm=shapes.largest_diameter_mm(inside, self.spacing_mm),
            axial_diameter_mm=shapes.largest_axial_diameter_mm(inside, self.spacing_mm),
            depth_mm=max(0.0, float(nearest)),
            exophytic_share=exophytic,
        )
        return _Lesion(measures, volume_ml)

    def kidney(self, side: str, lesions: list[_Lesion]) -> Kidney:
        """Returns a kidney, which has those of the lesions that are on its side."""
        mask = self._kidneys[side]
        if not mask.any():
            return Kidney(side=side, flags=(ABSENT,))
        tumors = [each for each in lesions if (each.measures.kind, each.measures.side) == ("tumor", side)]
        mean_hu = None if self.hu is None else float(self.hu[mask].mean())
        flags = [CUT_OFF] if self._is_cut_off(mask) or any(CUT_OFF in each.measures.flags for each in tumors) else []
        flags += [FUSED] if self._touch() else []
        if flags:
            return Kidney(side=side, flags=tuple(flags), mean_hu=mean_hu)
        body = without_specks(mask)
        body = body[bounding_box(body)]
        volume_ml, tumor_ml = float(mask.sum()) * self.voxel_ml, sum(each.volume_ml for each in tumors)
        area_mm2 = shapes.surface_area_mm2(body, self.spacing_mm)
        length, width, thickness = shapes.principal_extents_mm(body, self.spacing_mm)
        return Kidney(
            side=side,
            volume_ml=volume_ml,
            length_mm=length,
            width_mm=width,
            thickness_mm=thickness,
            surface_cm2=area_mm2 / 100,
            sphericity=shapes.sphericity(float(body.sum()) * self.voxel_ml * 1000, area_mm2),
            tumor_ml=tumor_ml,
            tumor_burden=tumor_ml / (volume_ml + tumor_ml),
            mean_hu=mean_hu,
        )

    def _deepest(self, inside: NDArray[np.bool_], box: tuple[slice, ...]) -> tuple[int, int, int]:
        """Returns the voxel of the scan that lies deepest within a mask, which fills a box of this one."""
        depth = edt(inside, anisotropy=self.spacing_mm, black_border=True)
        found = np.unravel_index(np.argmax(depth), depth.shape)
        z, y, x = (int(sum(parts)) for parts in zip(self._start, (part.start for part in box), found, strict=True))
        return z, y, x

    def _nearest_kidney(self, points: NDArray[np.float64]) -> str:
        distances = {side: float(tree.query(points)[0].mean()) for side, tree in self._trees.items()}
        return min(distances, key=distances.__getitem__, default="")

    def _is_cut_off(self, mask: NDArray[np.bool_]) -> bool:
        """Returns whether a mask lies in the first or last plane of the scan along an axis."""
        for axis, (first, last) in enumerate(self._open_ends):
            planes = np.moveaxis(mask, axis, 0)
            if (first and planes[0].any()) or (last and planes[-1].any()):
                return True
        return False

    def _touch(self) -> bool:
        """Returns whether a voxel of one kidney is a neighbor of one of the other."""
        right, left = (self._kidneys[side] for side in SIDES)
        if not right.any() or not left.any():
            return False
        near = bounding_box(right)
        grown = tuple(slice(max(0, part.start - 1), part.stop + 1) for part in near)
        both = components_26(right[grown] | left[grown])
        return bool(np.intersect1d(both[right[grown]], both[left[grown]]).size)
