"""What the files of a case hold, in numbers: what an audit judges and the manifest keeps."""

from dataclasses import dataclass

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from kits_tf.ct.components import SPECK_SHARE, components_26
from kits_tf.ct.geometry import Spacing, Triple, axis_codes, bounding_box
from kits_tf.ct.hounsfield import hounsfield_problem
from kits_tf.ct.labels import CHALLENGE_CLASSES, CHALLENGE_TUMOR
from kits_tf.ct.volume import Volume

# A tumor component below this is not counted as a tumor of its own.
TUMOR_ML = 0.5
# Ends of the axes (z, y, x) of an (I, P, L) array: index 0, then the last.
_ENDS = (("superior", "inferior"), ("anterior", "posterior"), ("right", "left"))


@dataclass(frozen=True, kw_only=True)
class LabelFacts:
    """What the mask of a case holds, in the challenge's labels, at native size.

    Attributes:
        dtype: type of the file's values, as "uint8".
        volumes_ml: volume of each label but background that occurs, by the challenge's names.
        parts: number of 26-connected components of kidney, tumor and cyst together, without specks.
        specks: number of components below SPECK_SHARE of the largest.
        tumors: number of 26-connected components of tumor above TUMOR_ML.
        scan_ends: ends of the scan that a label reaches, as "superior".
        hu_mean: mean HU of all voxels with a label; None if there are none.
    """

    dtype: str
    volumes_ml: dict[str, float]
    parts: int
    specks: int
    tumors: int
    scan_ends: tuple[str, ...]
    hu_mean: float | None


@dataclass(frozen=True, kw_only=True)
class CaseFacts:
    """What the files of a case hold, at native size.

    Attributes:
        shape_zyx: voxels in (I, P, L).
        spacing_zyx_mm: voxel sizes.
        axes: axis order of the scan's file, as "IPL".
        dtype: type of the values in the scan's file, as "int16".
        hu_range: the lowest and the highest HU of the scan.
        scan_crc32: CRC-32 of the scan's HU in (I, P, L): equal scans have equal ones even if their files differ.
        labels: facts of the mask; None for a case without one.
        hounsfield_problem: why the scan cannot be CT in Hounsfield units; "" if it can. Manifests of before have none.
    """

    shape_zyx: Triple
    spacing_zyx_mm: Spacing
    axes: str
    dtype: str
    hu_range: tuple[int, int]
    scan_crc32: int
    labels: LabelFacts | None
    hounsfield_problem: str = ""


def case_facts(image: Volume, mask: Volume | None) -> CaseFacts:
    """Returns the facts of a scan, int16 HU, and its challenge mask, uint8, both as read from files."""
    return CaseFacts(
        shape_zyx=image.grid.shape,
        spacing_zyx_mm=image.grid.spacing_mm,
        axes=axis_codes(image.stored.affine),
        dtype=_stored_dtype(image),
        hu_range=(int(image.array.min()), int(image.array.max())),
        scan_crc32=isal_zlib.crc32(np.ascontiguousarray(image.array)),
        labels=None if mask is None else _label_facts(image, mask),
        hounsfield_problem=hounsfield_problem(image.array),
    )


def _label_facts(image: Volume, mask: Volume) -> LabelFacts:
    dtype = _stored_dtype(mask)
    if not mask.array.any():
        return LabelFacts(dtype=dtype, volumes_ml={}, parts=0, specks=0, tumors=0, scan_ends=(), hu_mean=None)
    box = bounding_box(mask.array)
    labels, voxel_ml = mask.array[box], float(np.prod(mask.grid.spacing_mm)) / 1000
    counts = np.bincount(labels.ravel(), minlength=len(CHALLENGE_CLASSES)).tolist()
    sizes = _component_sizes(labels > 0)
    is_speck = sizes < SPECK_SHARE * sizes.max()
    tumors_ml = _component_sizes(labels == CHALLENGE_TUMOR) * voxel_ml
    voxels = zip(CHALLENGE_CLASSES[1:], counts[1:], strict=True)
    return LabelFacts(
        dtype=dtype,
        volumes_ml={name: count * voxel_ml for name, count in voxels if count},
        parts=int((~is_speck).sum()),
        specks=int(is_speck.sum()),
        tumors=int((tumors_ml > TUMOR_ML).sum()),
        scan_ends=_reached_ends(box, mask.array.shape),
        hu_mean=float(image.array[box][labels > 0].mean()),
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
