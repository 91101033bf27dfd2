"""A mask that a person has changed on the page, instead of the network's."""

import tempfile
from pathlib import Path

from kits_tf.analysis.masks import read_on_grid_of
from kits_tf.base.errors import InputError
from kits_tf.ct.volume import read_image, write_labels
from kits_tf.webapp.outcome import Outcome, outcome_of
from kits_tf.webapp.studies import RefusedError, Study


def correct(study: Study, content: bytes) -> Outcome:
    """Puts another mask in the place of a study's and returns what is told of it.

    Args:
        study: that has a mask.
        content: of a NIfTI file, not compressed, with the labels of the mask that is there.

    Raises:
        RefusedError: there is no mask yet, or it lies on another grid, or has labels that the one that is there does
            not have.
    """
    before = study.outcome
    if before is None:
        raise RefusedError(409, "there is no mask yet that could be corrected")
    image = read_image(study.scan_path)
    with tempfile.NamedTemporaryFile(dir=study.folder, suffix=".nii") as file:
        file.write(content)
        file.flush()
        try:
            labels = read_on_grid_of(image, Path(file.name), "scan", before.scheme)
        except InputError:
            raise RefusedError(400, "expected a mask of this scan, with the labels that it has") from None
    write_labels(study.mask_path, labels, image, before.scheme.classes)
    study.outcome = outcome_of(study.mask_path, image, before.confidence, is_corrected=True)
    return study.outcome
