"""The numbers of a file -> HU or labels, or what they are instead."""

import numpy as np
from numpy.typing import NDArray

from kits_tf.base.errors import InputError
from kits_tf.base.paths import AnyPath

# Whole labels of a float array come back as 1.00002 or 2.9999999 where nibabel kept them by slope and intercept. What
# is farther off, as 0.9882, is a share or a mean of labels.
_LABEL_ROUNDING = 1e-3
# No tissue or implant exceeds 16 bits, save for single voxels of metal. Where negative numbers were kept as unsigned
# ones, air does: all of it, or the noise of air below -1024, 1 % of a scan.
_LARGEST_BEYOND_SHARE = 1e-3


def to_hounsfield(array: NDArray, path: AnyPath) -> NDArray[np.int16]:
    """Returns numbers of a file, of any shape and type, as int16 HU: fractions rounded, values beyond it clipped.

    Raises:
        InputError: they are no numbers, NaN or infinite, or more of them exceed int16 than metal does.
    """
    if array.dtype == np.int16:
        return array
    if array.dtype.kind not in "iuf":
        raise InputError(f"{path}: expected numbers in Hounsfield units, got {array.dtype}")
    if not np.isfinite(array).all():
        raise InputError(f"{path}: expected finite Hounsfield units, got NaN or infinity")
    return clipped_hounsfield(np.rint(array) if array.dtype.kind == "f" else array, path)


def clipped_hounsfield(array: NDArray, source: AnyPath | str) -> NDArray[np.int16]:
    """Returns whole numbers as int16, those beyond it clipped.

    Args:
        array: whole numbers in HU, of any shape and type.
        source: file for errors.

    Raises:
        InputError: more voxels exceed int16 than metal does.
    """
    limits = np.iinfo(np.int16)
    if array.size and (highest := array.max()) > limits.max:
        count = np.count_nonzero(array > limits.max)
        if count > _LARGEST_BEYOND_SHARE * array.size:
            percent = 100 * count / array.size
            raise InputError(
                f"{source}: expected Hounsfield units, found values up to {highest:.0f}, {percent:.1f} % of the "
                f"voxels above {limits.max}: were negative numbers kept as unsigned ones?"
            )
        array = np.minimum(array, limits.max)
    if array.size and array.min() < limits.min:
        array = np.maximum(array, limits.min)
    return array.astype(np.int16)


def to_labels(array: NDArray, path: AnyPath) -> NDArray[np.uint8]:
    """Returns numbers of a file, of any shape and type, as uint8 labels.

    Raises:
        InputError: one is further from a whole number in 0..255 than rounding makes it.
    """
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind not in "iuf":
        raise InputError(f"{path}: expected whole numbers as labels, got {array.dtype}")
    labels = np.rint(array) if array.dtype.kind == "f" else array
    is_label = (labels >= 0) & (labels <= np.iinfo(np.uint8).max)
    if array.dtype.kind == "f":
        with np.errstate(invalid="ignore"):  # infinity less infinity
            is_label &= np.abs(array - labels) <= _LABEL_ROUNDING
    if not is_label.all():
        other = array[~is_label][0]
        question = ": a scan rather than a mask?" if other < 0 else ""
        raise InputError(f"{path}: expected labels that are whole numbers in 0..255, found {other:.7g}{question}")
    return labels.astype(np.uint8)
