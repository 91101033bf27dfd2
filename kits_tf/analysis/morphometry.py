"""Measuring a mask: from labels to `Measurements`."""

from dataclasses import dataclass, replace

import cc3d
import numpy as np
from edt import edt
from numpy.typing import NDArray
from scipy.spatial import KDTree

from kits_tf.analysis import shapes
from kits_tf.analysis.lesions import SMALLEST_ML
from kits_tf.analysis.measurements import ABSENT, FUSED, SIDES, Kidney, LesionMeasures, Measurements
from kits_tf.ct.components import components_26, without_specks
from kits_tf.ct.geometry import Spacing, bounding_box
from kits_tf.ct.labels import Scheme
from kits_tf.ct.mask_doubts import CUT_OFF, kidneys_touch, touches_border

LESIONS = ("tumor", "cyst")


def measure(
    labels: NDArray[np.uint8], scheme: Scheme, spacing_mm: Spacing, hu: NDArray[np.int16] | None = None
) -> Measurements:
    """Returns the measurements of a mask.

    Args:
        labels: (z, y, x) uint8 labels of `scheme`.
        scheme: scheme with sides.
        spacing_mm: voxel sizes (z, y, x).
        hu: scan on the same grid; without it there are no HU.
    """
    box = _LabeledBox(labels, scheme, spacing_mm, hu)
    lesions = [lesion for kind in LESIONS if kind in scheme.classes for lesion in box.lesions(kind)]
    right, left = (box.kidney(side, lesions) for side in SIDES)
    asymmetry = None
    if right.volume_ml is not None and left.volume_ml is not None:
        asymmetry = 2 * (right.volume_ml - left.volume_ml) / (right.volume_ml + left.volume_ml)
    return Measurements((right, left), tuple(lesion.measures for lesion in lesions), asymmetry)


@dataclass(frozen=True)
class _Lesion:
    """A lesion with its volume, which a kidney's tumor burden needs even of one that is cut off."""

    measures: LesionMeasures
    volume_ml: float


class _LabeledBox:
    """The box around all that is labeled, with what several measurements need of it.

    Args:
        labels: (z, y, x) uint8 labels of `scheme`.
        scheme: scheme with sides.
        spacing_mm: voxel sizes (z, y, x).
        hu: scan on the same grid, if there is one.
    """

    def __init__(
        self, labels: NDArray[np.uint8], scheme: Scheme, spacing_mm: Spacing, hu: NDArray[np.int16] | None
    ) -> None:
        box = bounding_box(labels)
        self.labels = labels[box]
        self.hu = None if hu is None else hu[box]
        self.scheme = scheme
        self.spacing_mm = spacing_mm
        self.voxel_ml = float(np.prod(spacing_mm)) / 1000
        self._box, self._shape = box, labels.shape
        self._kidneys = {side: self.labels == scheme.classes.index(f"{side}_kidney") for side in SIDES}
        self._trees = {
            side: KDTree(shapes.border_points(kidney, spacing_mm))
            for side, kidney in self._kidneys.items()
            if kidney.any()
        }
        # Beyond the box there is nothing, and so its border is the outside too.
        self._depth = np.zeros(self.labels.shape)
        if self.labels.size:
            self._depth = edt(self.labels > 0, anisotropy=spacing_mm, black_border=True)

    def lesions(self, kind: str) -> list[_Lesion]:
        """Returns the lesions of a kind, the largest first."""
        components = components_26(self.labels == self.scheme.classes.index(kind))
        if not components.any():
            return []
        statistics = cc3d.statistics(components)
        large = np.flatnonzero(statistics["voxel_counts"] * self.voxel_ml >= SMALLEST_ML)
        lesions = [self._lesion(kind, components == i, statistics["bounding_boxes"][i]) for i in large if i]
        return sorted(lesions, key=lambda lesion: -lesion.volume_ml)

    def _lesion(self, kind: str, mask: NDArray[np.bool_], box: tuple[slice, ...]) -> _Lesion:
        inside = mask[box]
        volume_ml = float(inside.sum()) * self.voxel_ml
        origin_mm = np.array([part.start for part in box]) * np.array(self.spacing_mm)
        border = shapes.border_points(inside, self.spacing_mm) + origin_mm
        side, deepest_zyx = self._nearest_kidney(border), self._deepest(inside, box)
        mean_hu = None if self.hu is None else float(self.hu[mask].mean())
        std_hu = None if self.hu is None else float(self.hu[mask].std())
        known = LesionMeasures(kind=kind, side=side, deepest_zyx=deepest_zyx, mean_hu=mean_hu, std_hu=std_hu)
        if touches_border(mask, self._box, self._shape):
            return _Lesion(replace(known, flags=(CUT_OFF,)), volume_ml)
        exophytic = None
        if side in self._trees:
            places = np.argwhere(inside) * np.array(self.spacing_mm) + origin_mm
            exophytic = 1 - shapes.share_inside_hull(places, self._trees[side].data)
        nearest = self._depth[box][inside].min() - min(self.spacing_mm)  # a voxel at the border has about one
        measures = replace(
            known,
            volume_ml=volume_ml,
            diameter_mm=shapes.largest_diameter_mm(inside, self.spacing_mm),
            axial_diameter_mm=shapes.largest_axial_diameter_mm(inside, self.spacing_mm),
            depth_mm=max(0.0, float(nearest)),
            exophytic_share=exophytic,
        )
        return _Lesion(measures, volume_ml)

    def kidney(self, side: str, lesions: list[_Lesion]) -> Kidney:
        """Returns a kidney; the tumors on its side are taken from the lesions."""
        mask = self._kidneys[side]
        if not mask.any():
            return Kidney(side=side, flags=(ABSENT,))
        tumors = [lesion for lesion in lesions if lesion.measures.kind == "tumor" and lesion.measures.side == side]
        mean_hu = None if self.hu is None else float(self.hu[mask].mean())
        is_cut_off = touches_border(mask, self._box, self._shape)
        is_cut_off |= any(CUT_OFF in tumor.measures.flags for tumor in tumors)
        flags = [CUT_OFF] * is_cut_off + [FUSED] * kidneys_touch(*self._kidneys.values())
        if flags:
            return Kidney(side=side, flags=tuple(flags), mean_hu=mean_hu)
        body = without_specks(mask)
        body = body[bounding_box(body)]
        volume_ml, tumor_ml = float(mask.sum()) * self.voxel_ml, sum(tumor.volume_ml for tumor in tumors)
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
        deepest = np.unravel_index(np.argmax(depth), depth.shape)
        starts = [part.start for part in box]
        outer = [part.start for part in self._box]
        z, y, x = (int(sum(parts)) for parts in zip(outer, starts, deepest, strict=True))
        return z, y, x

    def _nearest_kidney(self, points: NDArray[np.float64]) -> str:
        distances = {side: float(tree.query(points)[0].mean()) for side, tree in self._trees.items()}
        return min(distances, key=distances.__getitem__, default="")
