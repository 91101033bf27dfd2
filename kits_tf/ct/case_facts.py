"""What the files of a case hold, in numbers: what an audit judges and the manifest keeps."""

from dataclasses import dataclass

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from kits_tf.ct.components import SPECK_SHARE, components_26
from kits_tf.ct.geometry import axis_codes, bounding_box
from kits_tf.ct.labels import CHALLENGE_CLASSES, CHALLENGE_TUMOR
from kits_tf.ct.volume import Volume

# A tumor component below this is not counted as a tumor of its own.
TUMOR_ML = 0.5
# Ends of the axes (z, y, x) of an (I, P, L) array: index 0, then the last.
_ENDS = (("superior", "inferior"), ("anterior", "posterior"), ("right", "left"))


@dataclass(frozen=True)
class LabelFacts:
    """Of a case's mask, in the challenge's labels, at native size.

    Attributes:
        dtype: of the file.
        volumes_ml: of each label but background, by the challenge's names, as far as they occur.
        parts: 26-connected components of kidney, tumor and cyst together that are no specks.
        specks: components below SPECK_SHARE of the largest.
        tumors: 26-connected components of tumor above TUMOR_ML.
        scan_ends: ends of the scan that a label reaches, as in "superior".
        hu_mean: of all voxels with a label; None if there are none.
    """

    dtype: str
    volumes_ml: dict[str, float]
    parts: int
    specks: int
    tumors: int
    scan_ends: tuple[str, ...]
    hu_mean: float | None


@dataclass(frozen=True)
class CaseFacts:
    """Of a case's files, at native size.

    Attributes:
        shape_zyx: voxels in (I, P, L).
        spacing_zyx_mm: voxel sizes.
        axes: axis order of the scan's file, as in "IPL".
        dtype: of the scan's file.
        hu_range: the lowest and the highest HU of the scan.
        scan_crc32: of the scan's HU in (I, P, L): equal scans have equal ones, whatever their files look like.
        labels: of the mask; None for a case without.
    """

    shape_zyx: tuple[int, int, int]
    spacing_zyx_mm: tuple[float, float, float]
    axes: str
    dtype: str
    hu_range: tuple[int, int]
    scan_crc32: int
    labels: LabelFacts | None


def case_facts(image: Volume, mask: Volume | None) -> CaseFacts:
    """Returns the facts of a scan, int16 HU, and its challenge mask, uint8, both as read from files."""
    return CaseFacts(
        image.grid.shape,
        image.grid.spacing_mm,
        axis_codes(image.stored.affine),
        _stored_dtype(image),
        (int(image.array.min()), int(image.array.max())),
        isal_zlib.crc32(np.ascontiguousarray(image.array)),
        None if mask is None else _label_facts(image, mask),
    )


def _label_facts(image: Volume, mask: Volume) -> LabelFacts:
    dtype = _stored_dtype(mask)
    if not mask.array.any():
        return LabelFacts(dtype, {}, 0, 0, 0, (), None)
    box = bounding_box(mask.array)
    labels, voxel_ml = mask.array[box], float(np.prod(mask.grid.spacing_mm)) / 1000
    counts = np.bincount(labels.ravel(), minlength=len(CHALLENGE_CLASSES)).tolist()
    parts = _component_sizes(labels > 0)
    is_speck = parts < SPECK_SHARE * parts.max()
    tumors = _component_sizes(labels == CHALLENGE_TUMOR) * voxel_ml
    return LabelFacts(
        dtype,
        {name: count * voxel_ml for name, count in zip(CHALLENGE_CLASSES[1:], counts[1:], strict=True) if count},
        int((~is_speck).sum()),
        int(is_speck.sum()),
        int((tumors > TUMOR_ML).sum()),
        _reached_ends(box, mask.array.shape),
        float(image.array[box][labels > 0].mean()),
    )


def _stored_dtype(volume: Volume) -> str:
    source = volume.array if volume.header is None else volume.header.get_data_dtype()
    return np.dtype(getattr(source, "dtype", source)).newbyteorder("=").name


def _component_sizes(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Returns the voxels of each 26-connected component; (0,) of an empty mask."""
    return np.bincount(components_26(mask).ravel())[1:]


def _reached_ends(box: tuple[slice, slice, slice], shape: tuple[int, ...]) -> tuple[str, ...]:
    reached = []
    for (first, last), span, size in zip(_ENDS, box, shape, strict=True):
        reached += [first] if span.start == 0 else []
        reached += [last] if span.stop == size else []
    return tuple(reached)
