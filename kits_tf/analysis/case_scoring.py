"""The files of a case -> its scores and what its labels are compared with, in any process."""

import numpy as np
from numpy.typing import NDArray

from kits_tf.analysis.label_doubts import label_counts
from kits_tf.analysis.mask_files import MaskFile, MaskFolder, in_scheme
from kits_tf.analysis.mask_pair import MaskPair
from kits_tf.analysis.masks import hu_or_air
from kits_tf.analysis.scores import CaseScores, score_pair
from kits_tf.base.errors import InputError
from kits_tf.config import GridSettings
from kits_tf.ct.cases import read_labeled
from kits_tf.ct.labels import Scheme, with_sides
from kits_tf.ct.layouts import CaseFiles
from kits_tf.ct.volume import Volume


def read_truth(files: CaseFiles, scheme: Scheme) -> tuple[Volume, NDArray[np.uint8]]:
    """Returns the scan of a case and its true labels (z, y, x), both at native size.

    Raises:
        InputError: scan or mask cannot be used, or the data has no mask of the case.
    """
    scan = read_labeled(files, scheme)
    if scan.labels is None:
        raise InputError(f"{files.image}: expected a true mask to compare with, {files.case_id} has none")
    return scan.image, scan.labels


def score_case(files: CaseFiles, masks: MaskFolder, mlperf_grid: GridSettings) -> CaseScores:
    """Returns the scores of a case of the data that a folder has a mask of.

    Raises:
        InputError: scan, true or predicted mask cannot be used.
    """
    image, truth = read_truth(files, masks.scheme)
    mask = masks.find(files.case_id)
    labels = mask.read_on_grid_of(image, "scan")
    pair = MaskPair(
        truth=truth,
        predicted=in_scheme(labels, mask.scheme, masks.scheme),
        scheme=masks.scheme,
        spacing_mm=image.grid.spacing_mm,
        training_grid=mlperf_grid,
    )
    return score_pair(files.case_id, pair, label_counts(sided(truth, masks.scheme, image), labels))


def score_masks(true: MaskFile, predicted: MaskFile | None, scheme: Scheme, mlperf_grid: GridSettings) -> CaseScores:
    """Returns the scores of two masks in a scheme that both can be given in, or of a true mask without a predicted one.

    Raises:
        InputError: a mask cannot be used.
    """
    volume = true.read()
    truth = in_scheme(volume.array, true.scheme, scheme)
    labels = np.zeros_like(truth) if predicted is None else predicted.read_on_grid_of(volume, "true mask")
    pair = MaskPair(
        truth=truth,
        predicted=labels if predicted is None else in_scheme(labels, predicted.scheme, scheme),
        scheme=scheme,
        spacing_mm=volume.grid.spacing_mm,
        training_grid=mlperf_grid,
        is_missing=predicted is None,
    )
    structures, _ = with_sides(truth, scheme, hu_or_air(None, truth.shape), volume.grid.spacing_mm)
    return score_pair(true.name, pair, label_counts(structures, labels))


def sided(truth: NDArray[np.uint8], scheme: Scheme, image: Volume) -> NDArray[np.uint8]:
    """Returns true labels (z, y, x) of a scheme in the one with sides, as `label_counts` takes them."""
    return with_sides(truth, scheme, image.array, image.grid.spacing_mm)[0]
