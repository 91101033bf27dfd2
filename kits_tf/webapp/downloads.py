"""Files of a study for its user: scan, mask, and measurements."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from kits_tf.analysis.case_masks import CaseMasks
from kits_tf.analysis.measurements import write_measurements
from kits_tf.base.errors import InputError
from kits_tf.config import DicomSettings
from kits_tf.ct.dicom_seg import SegmentationNote, write_segmentation
from kits_tf.ct.volume import read_image, read_labels
from kits_tf.webapp.findings import Findings
from kits_tf.webapp.studies import RefusedError, Study
from kits_tf.webapp.worker import read_upload


@dataclass(frozen=True)
class File:
    """A file for a user.

    Attributes:
        name: name of the file.
        content: its bytes.
        media_type: type of the content, as in "image/png".
    """

    name: str
    content: bytes
    media_type: str


def require_findings(study: Study) -> Findings:
    """Returns the findings of a study's mask.

    Raises:
        RefusedError: there is no mask yet.
    """
    if study.findings is None:
        raise RefusedError(409, "there is no mask yet")
    return study.findings


def scan(study: Study) -> File:
    """Returns the scan as NIfTI.

    Raises:
        RefusedError: there is no mask yet.
    """
    require_findings(study)
    return File(f"{study.name}_scan.nii.gz", study.scan_path.read_bytes(), "application/gzip")


def mask(study: Study) -> File:
    """Returns the mask as NIfTI.

    Raises:
        RefusedError: there is no mask yet.
    """
    with study.mask_lock:
        require_findings(study)
        return File(f"{study.file_stem}.nii.gz", study.mask_path.read_bytes(), "application/gzip")


def reference(study: Study) -> File:
    """Returns the mask that came beside the scan, with sides, as NIfTI.

    Raises:
        RefusedError: none came, it cannot be used, or there is no mask yet.
    """
    require_findings(study)
    if study.reference is None or study.reference.scheme is None:
        raise RefusedError(404, "no mask that could be used came beside the scan")
    return File(f"{study.name}_reference.nii.gz", study.reference_path.read_bytes(), "application/gzip")


def dicom_segmentation(study: Study) -> File:
    """Returns the mask as DICOM SEG.

    Raises:
        RefusedError: there is no mask yet, the scan did not come as a DICOM series, or its slices lack what a DICOM SEG
            refers to.
    """
    findings = require_findings(study)
    if not study.is_series:
        raise RefusedError(404, "expected a scan that came as DICOM; of a NIfTI file there is a NIfTI mask only")
    if study.segmentation_problem:
        raise RefusedError(409, study.segmentation_problem)
    upload = read_upload(study, DicomSettings())
    assert upload.series is not None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mask.dcm"
        labels, classes = read_labels(study.mask_path).as_stored(), findings.scheme.classes
        try:
            by_hand = ["The mask was corrected by hand."] if findings.is_corrected else []
            comments = [*findings.measurements.warnings, *by_hand]
            note = SegmentationNote(comments=comments, is_corrected=findings.is_corrected)
            write_segmentation(path, labels, classes, upload.series, note)
        except InputError as error:
            raise RefusedError(409, str(error).removeprefix(f"{path}: ")) from None
        return File(f"{study.file_stem}.dcm", path.read_bytes(), "application/dicom")


def kidneys(study: Study) -> File:
    """Returns the measurements of the kidneys as CSV.

    Raises:
        RefusedError: there is no mask yet.
    """
    return _table(study, "kidneys")


def lesions(study: Study) -> File:
    """Returns the measurements of the lesions as CSV; its heads alone if there are none.

    Raises:
        RefusedError: there is no mask yet.
    """
    return _table(study, "lesions")


def _table(study: Study, kind: str) -> File:
    findings = require_findings(study)
    with tempfile.TemporaryDirectory() as folder:
        write_measurements({study.name: findings.measurements}, Path(folder))
        return File(f"{study.file_stem}_{kind}.csv", (Path(folder) / f"{kind}.csv").read_bytes(), "text/csv")


def document(study: Study) -> File:
    """Returns measurements and pictures as PDF.

    Raises:
        RefusedError: there is no mask yet.
    """
    from kits_tf.views.pages.measurements_document import measurements_document  # matplotlib takes a second

    with study.mask_lock:  # or a correction could come between mask and measurements
        findings = require_findings(study)
        mask = read_labels(study.mask_path)
    image = read_image(study.scan_path)
    case = CaseMasks(
        case_id=study.name,
        hu=image.array,
        truth=None,
        predicted=mask.array,
        scheme=findings.scheme,
        spacing_mm=image.grid.spacing_mm,
    )
    content = measurements_document(
        case,
        findings.measurements,
        model=mask.metadata.model,
        is_corrected=findings.is_corrected,
        warnings=findings.measurements.warnings,
    )
    return File(f"{study.file_stem}_measurements.pdf", content, "application/pdf")
