"""A mask that a person has changed on the page, in place of the network's."""

import tempfile
from dataclasses import replace
from pathlib import Path

from kits_tf.analysis.mask_files import open_mask
from kits_tf.base.errors import InputError
from kits_tf.config import MaskSchemeSettings
from kits_tf.ct.volume import read_image, read_metadata, write_stored
from kits_tf.inference.identity import corrected
from kits_tf.webapp import findings
from kits_tf.webapp.studies import RefusedError, Study


def correct(study: Study, content: bytes) -> None:
    """Replaces the mask of a study, and its findings by those of the new one.

    Args:
        study: a study that has a mask.
        content: content of an uncompressed NIfTI file, with the labels of the mask that it replaces.

    Raises:
        RefusedError: there is no mask yet, or the new one lies on another grid or has other labels.
    """
    with study.mask_lock:
        before = study.findings
        if before is None:
            raise RefusedError(409, "there is no mask yet that could be corrected")
        image = read_image(study.scan_path)
        with tempfile.NamedTemporaryFile(dir=study.folder, suffix=".nii") as file:
            file.write(content)
            file.flush()
            settings = MaskSchemeSettings(label_scheme=before.scheme.name, cyst_as=before.scheme.cyst_as)
            try:
                mask = open_mask(Path(file.name), settings)
                if mask.scheme.classes != before.scheme.classes:
                    raise InputError(f"expected {before.scheme.classes}")
                labels = mask.read_on_grid_of(image, "scan")
            except InputError:
                raise RefusedError(400, "expected a mask of this scan, with the labels that it has") from None
        stored = replace(image, array=labels).as_stored()
        made = read_metadata(study.mask_path)
        metadata = replace(made, classes=before.scheme.classes, model=corrected(made.model))
        write_stored(study.mask_path, stored, image.stored.affine, image.header, metadata)
        study.findings = findings.find(study.mask_path, image, before.confidence)
