"""Pixels of a slice -> Hounsfield units; what pads the circle of the scanner becomes air."""

import warnings
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kits_tf.base.errors import InputError
from kits_tf.ct.dicom_attributes import numbers
from kits_tf.ct.dicom_files import DicomFile
from kits_tf.ct.volume import AIR_HU
from kits_tf.ct.voxel_values import clipped_hounsfield

if TYPE_CHECKING:
    from pydicom import Dataset
    from pydicom.uid import UID

# The scale of 12 bits, in which scanners store bodies. A padding value within it is that of tissue as well.
_HIGHEST_HU = 3071
_DECODERS = "pip install pylibjpeg[all] or python-gdcm decodes most, and gdcmconv --raw makes files without compression"


def decoded(file: DicomFile) -> NDArray[np.int16]:
    """Returns the HU of a slice, (rows, columns).

    Raises:
        InputError: its pixels cannot be decoded, or are no gray values.
    """
    from pydicom import dcmread

    data = None
    try:
        with file.open() as stream, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            data = dcmread(stream, force=True)
            if not hasattr(data.file_meta, "TransferSyntaxUID"):
                data.file_meta.TransferSyntaxUID = _syntax(data)
            _check_decodable(data, file.name)
            stored = data.pixel_array
    except InputError:
        raise
    except Exception as error:  # decoders raise what they like
        raise InputError(f"{file.name}: expected pixels that can be decoded{_failure(data, error)}") from None
    if stored.shape != (data.Rows, data.Columns):
        raise InputError(f"{file.name}: expected gray values (rows, columns), found {stored.shape}")
    slope, intercept = (np.float32(numbers(data, f"Rescale{name}", 1, file.name)[0]) for name in ("Slope", "Intercept"))
    hu = stored.astype(np.float32)
    hu *= slope
    hu += intercept
    if data.get("PixelPaddingValue") is not None:
        hu[_is_padding(stored, data, file.name) & ((hu < AIR_HU) | (hu > _HIGHEST_HU))] = AIR_HU
    return clipped_hounsfield(np.rint(hu, out=hu), file.name)


def _check_decodable(data: "Dataset", file: str) -> None:
    """Raises InputError if a slice has no pixels, or pixels that only a package that is not installed decodes."""
    from pydicom.pixels import get_decoder

    if "PixelData" in data and not data.PixelData:
        raise InputError(f"{file}: expected {data.Rows} x {data.Columns} pixels, found an empty PixelData")
    syntax = data.file_meta.TransferSyntaxUID
    if not syntax.is_compressed:
        return
    try:
        is_decodable = get_decoder(syntax).is_available
    except NotImplementedError:
        is_decodable = False
    if not is_decodable:
        raise InputError(f"{file}: expected pixels that can be decoded, found {syntax.name}: {_DECODERS}")


def _failure(data: "Dataset | None", error: Exception) -> str:
    """Returns why pixels were not decoded; of compressed ones all decoders fail, each for reasons of its own."""
    syntax = None if data is None else data.file_meta.get("TransferSyntaxUID")
    if syntax is not None and syntax.is_compressed:
        return f", found {syntax.name} that is damaged or unknown to the decoders that are installed: {_DECODERS}"
    return ": " + " ".join(str(error).split())[:200]


def _syntax(data: "Dataset") -> "UID":
    """Returns the transfer syntax of a file that does not say it, which is not compressed then."""
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    is_implicit, is_little_endian = data.original_encoding
    if is_implicit:
        return ImplicitVRLittleEndian
    return ExplicitVRLittleEndian if is_little_endian else ExplicitVRBigEndian


def _is_padding(stored: NDArray, data: "Dataset", file: str) -> NDArray[np.bool_]:
    """Returns where pixels have the padding value, or one between it and its limit."""
    first = _wrapped(numbers(data, "PixelPaddingValue", 1, file)[0], stored.dtype)
    if data.get("PixelPaddingRangeLimit") is None:
        return stored == first
    limit = _wrapped(numbers(data, "PixelPaddingRangeLimit", 1, file)[0], stored.dtype)
    return (stored >= min(first, limit)) & (stored <= max(first, limit))


def _wrapped(value: float, dtype: np.dtype) -> int:
    """Returns a padding value as pixels of a type have it: it is often written in the other sign."""
    bits = 8 * dtype.itemsize
    unsigned = int(value) % 2**bits
    return unsigned - 2**bits if dtype.kind == "i" and unsigned >= 2 ** (bits - 1) else unsigned
