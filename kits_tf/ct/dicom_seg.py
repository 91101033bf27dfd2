"""Masks -> DICOM SEG that refers to the scan's series, by highdicom, which the extra `dicom` brings."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kits_tf.base.errors import InputError
from kits_tf.base.files import name_in_errors, written_whole
from kits_tf.base.version import __version__
from kits_tf.ct.dicom import SeriesScan

if TYPE_CHECKING:
    from pydicom import Dataset

# Attributes of a slice by which a DICOM SEG refers to it.
_REFERRED_TO = ("SOPInstanceUID", "SOPClassUID", "SeriesInstanceUID", "StudyInstanceUID")
# Codes of SNOMED CT: category and type of what is segmented.
_ANATOMY, _ABNORMAL = ("123037004", "Anatomical Structure"), ("49755003", "Morphologically Altered Structure")
_KIDNEY = ("64033007", "Kidney")
_SEGMENTS = {
    "right_kidney": (_ANATOMY, _KIDNEY),
    "left_kidney": (_ANATOMY, _KIDNEY),
    "kidney": (_ANATOMY, _KIDNEY),
    "tumor": (_ABNORMAL, ("108369006", "Neoplasm")),
    "cyst": (_ABNORMAL, ("367643001", "Cyst")),
}


def segmentation_problem(scan: SeriesScan) -> str:
    """Returns why no DICOM SEG can refer to the slices of a series; "" if one can."""
    missing = [name for name in _REFERRED_TO if any(not header.get(name) for header in scan.headers)]
    return f"expected {', '.join(missing)} in every slice, found slices without" if missing else ""


@dataclass(frozen=True, kw_only=True)
class SegmentationNote:
    """What a DICOM SEG says of its mask.

    Attributes:
        comments: sentences that whoever uses it must know, kept as its Image Comments.
        is_corrected: whether a person has changed the network's mask, which makes it semiautomatic.
    """

    comments: Sequence[str] = ()
    is_corrected: bool = False


def write_segmentation(
    path: Path, labels: NDArray[np.uint8], classes: Sequence[str], scan: SeriesScan, note: SegmentationNote
) -> None:
    """Writes a mask as DICOM SEG that refers to the slices, under a temporary name first.

    Args:
        path: file to write, *.dcm.
        labels: (i, j, k) uint8 labels, as stored in the volume of `scan`.
        classes: names of the labels, background first.
        scan: series that was segmented.
        note: comments, and whether the mask was corrected.

    Raises:
        InputError: the slices lack what a DICOM SEG must refer to.
    """
    if problem := segmentation_problem(scan):
        raise InputError(f"{path}: no DICOM SEG: {problem}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about names of patients and other fields that are copied
            segments = _segments(classes, is_corrected=note.is_corrected)
            segmentation = _segmentation(scan.on_slices(labels), segments, scan.headers)
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{path}: no DICOM SEG: expected slices that it can refer to: {reason}") from None
    if note.comments:
        segmentation.ImageComments = " ".join(note.comments)
    path.parent.mkdir(parents=True, exist_ok=True)
    with name_in_errors(path), written_whole(path) as partial:
        segmentation.save_as(partial)


def _segmentation(labels: NDArray[np.uint8], segments: Sequence[Any], headers: Sequence["Dataset"]) -> Any:
    import highdicom as hd
    from pydicom.uid import generate_uid

    return hd.seg.Segmentation(
        source_images=list(headers),
        pixel_array=labels,
        omit_empty_frames=bool(labels.any()),  # it keeps all of an empty mask, and says so otherwise
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=segments,
        series_instance_uid=generate_uid(),
        series_number=(headers[0].get("SeriesNumber") or 0) + 1000,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="kits_tf",
        manufacturer_model_name="kits_tf",
        software_versions=__version__,
        device_serial_number="0",
        series_description="kidneys and kidney tumors, kits_tf",
    )


def _segments(classes: Sequence[str], *, is_corrected: bool) -> list[Any]:
    """Returns the description of each class but background."""
    import highdicom as hd
    from pydicom.sr.codedict import codes
    from pydicom.sr.coding import Code

    types = hd.seg.SegmentAlgorithmTypeValues
    return [
        hd.seg.SegmentDescription(
            segment_number=number,
            segment_label=name,
            segmented_property_category=Code(_SEGMENTS[name][0][0], "SCT", _SEGMENTS[name][0][1]),
            segmented_property_type=Code(_SEGMENTS[name][1][0], "SCT", _SEGMENTS[name][1][1]),
            algorithm_type=types.SEMIAUTOMATIC if is_corrected else types.AUTOMATIC,
            algorithm_identification=hd.AlgorithmIdentificationSequence(
                "kits_tf", codes.DCM.ArtificialIntelligence, __version__
            ),
        )
        for number, name in enumerate(classes)
        if number
    ]
