"""A case as small volumes for a viewer: scan and masks around the kidneys, on a grid so coarse that they fit."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kits_tf.analysis.case_masks import CaseMasks
from kits_tf.ct.components import border
from kits_tf.ct.crop import crop_around
from kits_tf.ct.geometry import Grid
from kits_tf.ct.labels import Scheme
from kits_tf.ct.preprocess import as_tensor, resample, resample_labels
from kits_tf.ct.volume import compress, encode
from kits_tf.views.drawings import style
from kits_tf.views.drawings.planes import landmarks

# Voxel sizes to choose from, the finest first.
SIZES_MM = (1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 7.0)
_MARGIN_MM = 25.0
# Gray levels of the scan: finer ones would be noise, which does not compress.
_LEVELS = 64
# A voxel of the scan takes at least as much once it is compressed: grids that cannot fit are skipped.
_BYTES_PER_VOXEL = 0.3
_KERNEL = "linear"


@dataclass(frozen=True)
class ViewerVolumes:
    """The files of one case, all on one grid.

    Attributes:
        voxel_mm: least voxel size; along an axis where the scan's own is larger, that one stays.
        focus_mm: first place to show, in world mm of the affine.
        scan: .nii.gz file, uint8: the soft-tissue window in 64 steps.
        masks: .nii.gz files, uint8 labels: the predictions, then the truth, of which only the outline is labeled.
    """

    voxel_mm: float
    focus_mm: list[float]
    scan: bytes
    masks: list[bytes]


def viewer_volumes(cases: Sequence[CaseMasks], grid: Grid, most_bytes: int) -> ViewerVolumes:
    """Returns a case on the finest grid on which its files take `most_bytes` or less; without one, on the coarsest.

    Args:
        cases: case with each of its predictions; scan and truth are those of the first.
        grid: grid of the scan.
        most_bytes: limit of all files together.
    """
    first = cases[0]
    crop = crop_around(np.maximum.reduce([first.known, *(c.predicted for c in cases)]), _MARGIN_MM, grid.spacing_mm)
    focus = landmarks(first)[0].center
    focus_mm = (grid.affine @ [*focus, 1])[:3].tolist()
    for voxel_mm in SIZES_MM:
        z, y, x = (max(voxel_mm, spacing) for spacing in grid.spacing_mm)
        thinned = crop.grid(grid).resampled((z, y, x))
        if voxel_mm != SIZES_MM[-1] and np.prod(thinned.shape) * _BYTES_PER_VOXEL > most_bytes:
            continue
        scan = _file(_gray(resample(as_tensor(crop.of(first.hu)), thinned.shape, _KERNEL).numpy()), thinned)
        masks = [_thin_labels(crop.of(case.predicted), case.scheme, thinned) for case in cases]
        masks.append(_outline(_thin_labels(crop.of(first.known), first.scheme, thinned)))
        files = [_file(mask, thinned) for mask in masks]
        if len(scan) + sum(map(len, files)) <= most_bytes:
            break
    return ViewerVolumes(voxel_mm, focus_mm, scan, files)


def _thin_labels(labels: NDArray[np.uint8], scheme: Scheme, grid: Grid) -> NDArray[np.uint8]:
    return resample_labels(as_tensor(labels), grid.shape, _KERNEL, len(scheme.classes)).numpy()


def _outline(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Returns the labels of the voxels that lie at the border of their structure; 0 elsewhere."""
    is_border = np.any([border(labels == label) for label in range(1, labels.max() + 1)], axis=0)
    return np.where(is_border, labels, 0).astype(np.uint8)


def _file(array: NDArray[np.uint8], grid: Grid) -> bytes:
    return compress(encode(array, grid.affine))


def _gray(hu: NDArray[np.int16]) -> NDArray[np.uint8]:
    low, high = style.SOFT_TISSUE_HU
    step = np.rint(np.clip((hu - low) / (high - low), 0, 1) * (_LEVELS - 1))
    return (step * (255 // (_LEVELS - 1))).astype(np.uint8)
