"""A case of a data set: its scan and its true labels, read from its files at native size."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kits_tf.base.errors import GridMismatchError
from kits_tf.ct.geometry import grid_mismatch
from kits_tf.ct.labels import CHALLENGE_CLASSES, Scheme, check_labels, from_challenge
from kits_tf.ct.layouts import CaseFiles
from kits_tf.ct.sides import SideDecision
from kits_tf.ct.volume import Volume, read_image, read_labels


@dataclass(frozen=True, eq=False)
class LabeledScan:
    """A scan and its true labels at native size.

    Attributes:
        image: the scan.
        labels: (z, y, x) uint8 of a scheme; None for a case without a mask.
        sides: decision about left and right; None where none was needed.
    """

    image: Volume
    labels: NDArray[np.uint8] | None
    sides: SideDecision | None


def read_pair(files: CaseFiles) -> tuple[Volume, Volume | None]:
    """Returns the scan and the challenge mask of a case, both (I, P, L) at native size; None for no mask.

    Raises:
        GridMismatchError: the two lie on different grids.
        InputError: a file is missing or cannot be read, or a label is not 0, 1, 2 or 3.
    """
    files.check()
    image = read_image(files.image)
    if files.labels is None:
        return image, None
    mask = read_labels(files.labels)
    if mismatch := grid_mismatch(image.stored, mask.stored, "scan"):
        raise GridMismatchError(f"{files.labels}: {mismatch}")
    check_labels(mask.array, len(CHALLENGE_CLASSES), str(files.labels))
    return image, mask


def read_labeled(files: CaseFiles, scheme: Scheme) -> LabeledScan:
    """Returns the scan of a case and its true labels in a scheme.

    Raises:
        GridMismatchError: scan and mask lie on different grids.
        InputError: a file cannot be read, or a label is not 0, 1, 2 or 3.
    """
    return label_scan(*read_pair(files), scheme)


def label_scan(image: Volume, mask: Volume | None, scheme: Scheme) -> LabeledScan:
    """Returns a scan with its challenge mask, as `read_pair` returns them, in a scheme."""
    if mask is None:
        return LabeledScan(image, None, None)
    labels, sides = from_challenge(mask.array, scheme, image.array, image.grid.spacing_mm)
    return LabeledScan(image, labels, sides)
