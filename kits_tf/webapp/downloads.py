"""Files of a study for its user: scan, mask, and measurements."""

import io
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from kits_tf.analysis.case_masks import CaseMasks
from kits_tf.analysis.measurements import write_measurements
from kits_tf.config import DicomSettings
from kits_tf.ct.dicom_seg import write_segmentation
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
    require_findings(study)
    return File(f"{study.name}.nii.gz", study.mask_path.read_bytes(), "application/gzip")


def dicom_segmentation(study: Study) -> File:
    """Returns the mask as DICOM SEG.

    Raises:
        RefusedError: there is no mask yet, or the scan did not come as a DICOM series.
        InputError: nothing is labeled.
    """
    findings = require_findings(study)
    if not study.is_series:
        raise RefusedError(404, "expected a scan that came as DICOM; of a NIfTI file there is a NIfTI mask only")
    upload = read_upload(study, DicomSettings())
    assert upload.series is not None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mask.dcm"
        labels, classes = read_labels(study.mask_path).as_stored(), findings.scheme.classes
        write_segmentation(path, labels, classes, upload.series, findings.warnings)
        return File(f"{study.name}.dcm", path.read_bytes(), "application/dicom")


def tables(study: Study) -> File:
    """Returns kidneys.csv, lesions.csv, pairs.csv, measurements.json, and warnings.txt if there are any, in a zip file.

    Raises:
        RefusedError: there is no mask yet.
    """
    findings = require_findings(study)
    content = io.BytesIO()
    with tempfile.TemporaryDirectory() as folder:
        write_measurements({study.name: findings.measurements}, Path(folder))
        if findings.warnings:
            (Path(folder) / "warnings.txt").write_text("\n".join(findings.warnings) + "\n", encoding="utf-8")
        with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(Path(folder).iterdir()):
                archive.write(path, path.name)
    return File(f"{study.name}_measurements.zip", content.getvalue(), "application/zip")


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
        warnings=findings.warnings,
    )
    return File(f"{study.name}_measurements.pdf", content, "application/pdf")
