"""Attributes of slices, checked where they are numbers: how many, finite, and of the right sign."""

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kits_tf.base.errors import InputError
from kits_tf.base.words import listed
from kits_tf.ct.dicom_files import UNREADABLE, text_of

if TYPE_CHECKING:
    from pydicom import Dataset

_SAME_DIRECTION = 1e-3
# Names in a message that stands for all.
MOST_NAMES = 3
_PLACES = {"ImagePositionPatient": 3, "ImageOrientationPatient": 6, "PixelSpacing": 2, "Rows": 1, "Columns": 1}
_POSITIVE = ("PixelSpacing", "Rows", "Columns", "RescaleSlope")


def numbers(header: "Dataset", name: str, count: int, file: str) -> NDArray[np.float64]:
    """Returns the numbers of an attribute.

    Args:
        header: attributes of a slice.
        name: keyword of the attribute.
        count: number of values that it must have.
        file: name of the slice for errors.

    Returns:
        (count,) float64.

    Raises:
        InputError: it is missing, empty, no numbers, of another count, not finite, or not above 0 where it must be.
    """
    kind = "positive numbers" if name in _POSITIVE else "numbers"
    rule = f"{file}: expected {count} {kind} in {name}" if count > 1 else f"{file}: expected a number in {name}"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value = header.get(name)
            values = np.array([float(each) for each in np.ravel(value)]) if value is not None else np.empty(0)
    except UNREADABLE:
        raise InputError(f"{rule}, found {_as_stored(header, name)}") from None
    if not values.size:
        raise InputError(f"{rule}, found {'an empty value' if name in header else 'no such attribute'}")
    if values.size != count or not np.isfinite(values).all() or (name in _POSITIVE and values.min() <= 0):
        raise InputError(f"{rule}{' above 0' if name in _POSITIVE else ''}, found {_as_stored(header, name)}")
    return values


def check_headers(headers: Sequence["Dataset"], names: Sequence[str], source: str) -> None:
    """Checks that each file is one slice in HU, and that all have the same size, direction and spacing.

    Args:
        headers: attributes of the slices.
        names: names of the slices' files.
        source: path for errors.

    Raises:
        InputError: they are not.
    """
    for header, file in zip(headers, names, strict=True):
        if text_of(header, "NumberOfFrames") and numbers(header, "NumberOfFrames", 1, file)[0] > 1:
            raise InputError(
                f"{source}: expected one slice a file, found several (enhanced CT); dcm2niix makes a NIfTI"
            )
    _check_units(headers, names, source)
    values = {
        name: np.array([numbers(header, name, count, file) for header, file in zip(headers, names, strict=True)])
        for name, count in {**_PLACES, "RescaleSlope": 1, "RescaleIntercept": 1}.items()
    }
    for name in ("ImageOrientationPatient", "PixelSpacing", "Rows", "Columns"):
        if np.abs(values[name] - values[name][0]).max() > _SAME_DIRECTION:
            raise InputError(f"{source}: expected the same {name} in every slice, found different ones")
    for header, file in zip(headers, names, strict=True):
        if len(headers) == 1 and text_of(header, "SliceThickness"):
            numbers(header, "SliceThickness", 1, file)


def _check_units(headers: Sequence["Dataset"], names: Sequence[str], source: str) -> None:
    """Raises InputError unless all slices say how their pixels become Hounsfield units."""
    for name in ("RescaleSlope", "RescaleIntercept"):
        without = [file for header, file in zip(headers, names, strict=True) if _is_missing(header, name)]
        if without:
            raise InputError(
                f"{source}: expected {name} in every slice, without it pixels are not Hounsfield units; found none in "
                f"{len(without)} of {len(names)}: {listed(without, MOST_NAMES)}"
            )
    kinds = [text_of(header, "RescaleType").upper() for header in headers]
    others = [file for kind, file in zip(kinds, names, strict=True) if kind not in ("", "HU")]
    if others:
        kind = next(kind for kind in kinds if kind not in ("", "HU"))
        raise InputError(
            f"{source}: expected RescaleType HU, found {kind!r} in {len(others)} of {len(names)}: "
            f"{listed(others, MOST_NAMES)}; "
            "where they are HU all the same, set it to HU or give the scan as NIfTI"
        )


def _is_missing(header: "Dataset", name: str) -> bool:
    return name not in header or header.get_item(name).value in (None, b"", "")


def _as_stored(header: "Dataset", name: str) -> str:
    """Returns a value as it stands in the file, for a message."""
    value = header.get_item(name).value
    if isinstance(value, bytes):
        text = value.decode("ascii", "replace").strip(" \0")
    else:
        text = str(value) if isinstance(value, str) else "\\".join(map(str, np.ravel(value)))
    return f"'{text[:80]}'" if text.isprintable() else ascii(text[:80])
