"""A case with its true and its predicted mask: what figures draw."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kits_tf.analysis.mask_files import MaskFolder
from kits_tf.ct.cases import LabeledScan, read_labeled
from kits_tf.ct.geometry import Spacing
from kits_tf.ct.labels import Scheme
from kits_tf.ct.layouts import CaseFiles


@dataclass(frozen=True)
class CaseMasks:
    """A case with its scan and masks, all on one grid.

    Attributes:
        case_id: identifier of the case.
        hu: (z, y, x) int16 scan in (I, P, L).
        truth: (z, y, x) uint8 labels of the scheme; None for a case without a true mask.
        predicted: labels of the same shape and scheme.
        scheme: meaning of the labels.
        spacing_mm: voxel sizes (z, y, x).
        warnings: sentences that everyone who sees the predicted mask must know.
    """

    case_id: str
    hu: NDArray[np.int16]
    truth: NDArray[np.uint8] | None
    predicted: NDArray[np.uint8]
    scheme: Scheme
    spacing_mm: Spacing
    warnings: tuple[str, ...] = ()

    @property
    def known(self) -> NDArray[np.uint8]:
        """The truth, or the prediction in its place."""
        return self.predicted if self.truth is None else self.truth


def read_case(files: CaseFiles, masks: MaskFolder) -> CaseMasks:
    """Returns a case with its scan, its truth, if the data has one, and its predicted mask.

    Raises:
        InputError: a file cannot be used, or the predicted mask lies on another grid or has another scheme's labels.
    """
    return with_prediction(files.case_id, read_labeled(files, masks.scheme), masks)


def with_prediction(case_id: str, scan: LabeledScan, masks: MaskFolder) -> CaseMasks:
    """Returns a labeled scan, in the scheme of the masks, with its predicted mask.

    Raises:
        InputError: the mask cannot be read, lies on another grid, or has a label that is not of the scheme.
    """
    predicted = masks.read_on_grid_of(scan.image, case_id)
    return CaseMasks(
        case_id=case_id,
        hu=scan.image.array,
        truth=scan.labels,
        predicted=predicted,
        scheme=masks.scheme,
        spacing_mm=scan.image.grid.spacing_mm,
        warnings=masks.masks[case_id].warnings,
    )
