"""What a user takes home of a study: scan, mask, and measurements."""

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
from kits_tf.webapp.outcome import Outcome
from kits_tf.webapp.studies import RefusedError, Study
from kits_tf.webapp.worker import read_upload


@dataclass(frozen=True)
class File:
    """A file for a user: its name, its content, and the kind of that, as in "image/png"."""

    name: str
    content: bytes
    kind: str


def outcome(study: Study) -> Outcome:
    """Returns what is told of a study's mask.

    Raises:
        RefusedError: it has none.
    """
    if study.outcome is None:
        raise RefusedError(409, "there is no mask yet")
    return study.outcome


def scan(study: Study) -> File:
    """Returns the scan as NIfTI; this and what follows raise RefusedError where there is no mask yet."""
    outcome(study)
    return File(f"{study.name}_scan.nii.gz", study.scan_path.read_bytes(), "application/gzip")


def mask(study: Study) -> File:
    """Returns the mask as NIfTI."""
    outcome(study)
    return File(f"{study.name}.nii.gz", study.mask_path.read_bytes(), "application/gzip")


def segmentation(study: Study) -> File:
    """Returns the mask as DICOM SEG.

    Raises:
        RefusedError: there is no mask yet, or the scan did not come as a DICOM series.
        InputError: nothing is labeled.
    """
    classes = outcome(study).scheme.classes
    if not study.is_series:
        raise RefusedError(404, "expected a scan that came as DICOM; of a NIfTI file there is a NIfTI mask only")
    loaded = read_upload(study, DicomSettings())
    assert loaded.series is not None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mask.dcm"
        write_segmentation(path, read_labels(study.mask_path).as_stored(), classes, loaded.series)
        return File(f"{study.name}.dcm", path.read_bytes(), "application/dicom")


def tables(study: Study) -> File:
    """Returns kidneys.csv, lesions.csv, pairs.csv and measurements.json in a zip file."""
    found, content = outcome(study), io.BytesIO()
    with tempfile.TemporaryDirectory() as folder:
        write_measurements({study.name: found.measurements}, Path(folder))
        with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(Path(folder).iterdir()):
                archive.write(path, path.name)
    return File(f"{study.name}_measurements.zip", content.getvalue(), "application/zip")


def document(study: Study) -> File:
    """Returns measurements and pictures as PDF."""
    from kits_tf.views.pages.measurements_document import measurements_document  # matplotlib takes a second

    found, image = outcome(study), read_image(study.scan_path)
    labels = read_labels(study.mask_path).array
    case = CaseMasks(study.name, image.array, None, labels, found.scheme, image.grid.spacing_mm)
    content = measurements_document(case, found.measurements, is_corrected=found.is_corrected)
    return File(f"{study.name}_measurements.pdf", content, "application/pdf")
