"""Files on disk <-> volumes in memory. With `nifti_header` the only module that knows nibabel."""

import contextlib
import hashlib
import math
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

import nibabel as nib
import numpy as np
from isal import igzip, igzip_lib
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError, ImageDataError
from nibabel.wrapstruct import WrapStructError
from numpy.typing import NDArray

from kits_tf.base.errors import InputError
from kits_tf.base.files import name_in_errors, written_whole
from kits_tf.base.paths import AnyPath, as_path
from kits_tf.ct.geometry import Grid, Triple, bounding_box, orientation, reorient, size_text, undo_reorient
from kits_tf.ct.mask_metadata import NO_METADATA, MaskMetadata, metadata_in
from kits_tf.ct.nifti_header import HEADER_BYTES, parse_header
from kits_tf.ct.voxel_values import to_hounsfield, to_labels

AIR_HU = -1024
# Probabilities and other shares are kept as whole numbers of 16 bits, since NIfTI has no such
# fractions; this number stands for 1.
SHARE_QUANTA = 65535
SUFFIXES = (".nii.gz", ".nii")
_UNREADABLE = (
    WrapStructError,
    OSError,
    EOFError,
    MemoryError,
    ValueError,
    cast(type[Exception], igzip_lib.IsalError),  # its stub calls it an instance
    HeaderDataError,
    ImageDataError,
    ImageFileError,
)
_GZIP = b"\x1f\x8b"
# What nibabel says of a file that was cut off, and zlib of one whose bytes were changed.
_CUT_OFF = re.compile(r"Expected \d+ bytes, got \d+ bytes")
_DAMAGED = re.compile(r"CRC check failed|Incorrect length|Error -\d")
# Voxels read at a time: 128 MB where the file holds float64.
_SLAB_VOXELS = 1 << 24
# A block copied from one axis order to another: voxels of a row of the target, and rows.
_LINE, _ROWS = 32, 8
_GEOMETRY_FIELDS = (
    *("pixdim", "xyzt_units", "qform_code", "sform_code", "srow_x", "srow_y", "srow_z"),
    *("quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z"),
)


@dataclass(frozen=True, eq=False, repr=False)
class Volume:
    """A scan or a mask, oriented to (I, P, L).

    Attributes:
        array: (z, y, x); int16 HU of a scan, uint8 labels of a mask. Contiguous if it was read from a file.
        grid: grid of `array`.
        stored: grid of the same voxels in the order (i, j, k) of the file.
        header: NIfTI header of the file, so that a mask can be written with the very same geometry; None for a volume
            that came from no file.
    """

    array: NDArray
    grid: Grid
    stored: Grid
    header: nib.Nifti1Header | None = None

    @classmethod
    def from_stored(cls, array: NDArray, affine: NDArray, header: nib.Nifti1Header | None = None) -> "Volume":
        """Returns the volume of an array (i, j, k) in any axis order and its (4, 4) affine."""
        stored, way = Grid(array.shape, np.asarray(affine, np.float64)), orientation(affine)
        return cls(reorient(array, way), stored.reoriented(way), stored, header)

    def as_stored(self) -> NDArray:
        """Returns `array` in the order (i, j, k) of the file, contiguous."""
        return np.ascontiguousarray(undo_reorient(self.array, orientation(self.stored.affine)))

    def digest(self) -> str:
        """Returns the SHA-256, in hexadecimal, of shape, voxels and affine in (I, P, L): of the same scan in any file.

        The affine counts to a thousandth of a millimeter, as formats keep it in different precisions.
        """
        digest = hashlib.sha256(repr(self.array.shape).encode())
        digest.update(np.rint(self.grid.affine * 1000).astype("<i8").tobytes())
        digest.update(np.ascontiguousarray(self.array).astype("<i2", copy=False).data)
        return digest.hexdigest()

    @property
    def metadata(self) -> MaskMetadata:
        """What the file of a mask says of it."""
        return NO_METADATA if self.header is None else metadata_of(self.header)

    def __repr__(self) -> str:
        return f"Volume({size_text(self.grid)}, {self.array.dtype})"


def read_image(path: str | os.PathLike) -> Volume:
    """Returns a CT scan as int16 HU.

    Slope and intercept of the header are applied; fractions are rounded, values beyond int16 clipped.

    Raises:
        InputError: the file is missing, cut short, no 3-D NIfTI, without a usable affine, or holds NaN or infinity, or
            more values beyond int16 than metal has.
    """
    return _read(path, np.int16, to_hounsfield)


def read_labels(path: str | os.PathLike) -> Volume:
    """Returns a mask as uint8 labels.

    Raises:
        InputError: the file is missing, cut short, no 3-D NIfTI or without a usable affine, or a value is not a whole
            number in 0..255.
    """
    return _read(path, np.uint8, to_labels)


def write_labels(path: str | os.PathLike, labels: NDArray[np.uint8], like: Volume, classes: Sequence[str] = ()) -> None:
    """Writes labels (z, y, x) as uint8 NIfTI on the stored grid of `like`, by `write_stored`.

    Args:
        path: file to write; its folder is made.
        labels: (z, y, x) uint8, on the grid of `like`.
        like: scan or mask to take the geometry from.
        classes: names of labels 0, 1, ..., which are kept in the file.
    """
    metadata = MaskMetadata(classes=tuple(classes))
    write_stored(path, replace(like, array=labels).as_stored(), like.stored.affine, like.header, metadata)


def write_stored(
    path: str | os.PathLike,
    array: NDArray,
    affine: NDArray,
    header: nib.Nifti1Header | None = None,
    metadata: MaskMetadata = NO_METADATA,
) -> None:
    """Writes an array (i, j, k) as NIfTI, compressed if the path ends in .gz, under a temporary name first.

    Args:
        path: file to write; its folder is made.
        array: values to write, in their dtype.
        affine: (4, 4), voxel centers to world mm.
        header: header to take the geometry from, to the last bit; None takes `affine`.
        metadata: what the file is to say of itself.
    """
    _write(Path(path), encode(array, affine, header, metadata=metadata))


def write_shares(
    path: str | os.PathLike,
    shares: NDArray[np.uint16],
    affine: NDArray,
    header: nib.Nifti1Header | None = None,
    metadata: MaskMetadata = NO_METADATA,
) -> None:
    """Writes shares (i, j, k, ...) of SHARE_QUANTA as NIfTI; readers get numbers in 0..1. See `write_stored`."""
    _write(Path(path), encode(shares, affine, header, slope=1 / SHARE_QUANTA, metadata=metadata))


def encode(
    array: NDArray,
    affine: NDArray,
    header: nib.Nifti1Header | None = None,
    slope: float = 1.0,
    metadata: MaskMetadata = NO_METADATA,
) -> bytes:
    """Returns an array (i, j, k, ...) as the bytes of a NIfTI file.

    Args:
        array: values to write, in their dtype.
        affine: (4, 4), voxel centers to world mm.
        header: header to take the geometry from, to the last bit; None takes `affine`.
        slope: factor that readers multiply the values by.
        metadata: what the file is to say of itself, kept as a comment in JSON.
    """
    if header is None:
        image = nib.Nifti1Image(array, affine)
    else:
        # Field by field: an affine rebuilt from a quaternion would differ in the last bit from the input's.
        fresh = type(header)()
        fresh.set_data_dtype(array.dtype)
        fresh.set_data_shape(array.shape)
        for field in _GEOMETRY_FIELDS:
            fresh[field] = header[field]
        image = (nib.Nifti2Image if isinstance(header, nib.Nifti2Header) else nib.Nifti1Image)(array, None, fresh)
    if slope != 1.0:
        image.header.set_slope_inter(slope, 0)
    if metadata.classes:
        image.header.set_intent("label")
    if metadata != NO_METADATA:
        image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", metadata.to_json().encode()))
    return image.to_bytes()


def compress(content: bytes) -> bytes:
    """Returns the bytes of a .gz file; the same content is the same file, whenever it is made."""
    return igzip.compress(content, mtime=0)


def has_nifti_suffix(path: str | os.PathLike) -> bool:
    """Returns whether a file is called .nii or .nii.gz, in whatever case."""
    return Path(path).name.lower().endswith(SUFFIXES)


def strip_suffix(path: str | os.PathLike) -> str:
    """Returns the file's name without .nii or .nii.gz.

    Raises:
        InputError: the name ends otherwise.
    """
    name = Path(path).name
    for suffix in SUFFIXES:
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    raise InputError(f"{path}: expected a file named *.nii.gz or *.nii")


def read_grid(path: str | os.PathLike) -> Grid:
    """Returns where the voxels of a NIfTI file are, in the order (i, j, k) of the file, from its header alone.

    Raises:
        InputError: the file is missing, no 3-D NIfTI or without a usable affine, or its header cannot be read.
    """
    path = as_path(path)
    with _nifti(path) as nifti:
        return nifti.grid


def read_metadata(path: str | os.PathLike) -> MaskMetadata:
    """Returns what the file of a mask or of a map says of it, from its header alone.

    Raises:
        InputError: the file is missing, or its header cannot be read.
    """
    with _nifti(as_path(path)) as nifti:
        return metadata_of(nifti.image.header)


def metadata_of(header: nib.Nifti1Header) -> MaskMetadata:
    """Returns what the header of a mask says of it."""
    return metadata_in(extension.get_content() for extension in header.extensions)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with name_in_errors(path), written_whole(path) as partial:
        partial.write_bytes(compress(content) if path.name.lower().endswith(".gz") else content)


def _read(path: str | os.PathLike, dtype: type[np.generic], convert: Callable[[NDArray, AnyPath], NDArray]) -> Volume:
    path = as_path(path)
    with _nifti(path) as nifti:
        stored, image = nifti.grid, nifti.image
        way = orientation(stored.affine)
        array = _empty([stored.shape[axis] for axis in way.permutation], np.dtype(dtype))
        _fill(undo_reorient(array, way), image.dataobj, lambda slab: convert(slab, path))
        _check_end(nifti)
    return Volume(array, stored.reoriented(way), stored, image.header)


class _Nifti(NamedTuple):
    """A NIfTI file that is open.

    Attributes:
        path: its path.
        image: nibabel's image, of which no voxel is read yet.
        affine: (4, 4), voxel centers to world mm.
        file: stream of its bytes, decompressed.
    """

    path: AnyPath
    image: nib.Nifti1Image
    affine: NDArray
    file: BinaryIO

    @property
    def grid(self) -> Grid:
        """The grid of its voxels, as stored; InputError if it is no single volume."""
        return Grid(_shape(self.image, self.path), self.affine)


@contextlib.contextmanager
def _nifti(path: AnyPath) -> Iterator[_Nifti]:
    """Opens a NIfTI file; its content says whether it is compressed, whatever its name.

    Raises:
        InputError: there is none, its header contradicts itself, or it cannot be read, here or in the body of the
            `with`.
    """
    strip_suffix(path)
    if not path.is_file():
        raise InputError(f"{path}: expected a NIfTI file, found none")
    try:
        with _opened(path) as file:
            header = parse_header(file.read(HEADER_BYTES), str(path))
            file.seek(0)
            kind = nib.Nifti2Image if header.is_nifti2 else nib.Nifti1Image
            yield _Nifti(path, kind.from_stream(file), header.affine, file)
    except InputError:
        raise
    except _UNREADABLE as error:
        raise InputError(f"{path}: expected a whole NIfTI file, {_what_is_wrong(error)}") from error


def _what_is_wrong(error: Exception) -> str:
    """Returns in plain words why a file cannot be read."""
    reason = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, EOFError) or _CUT_OFF.match(reason):
        return "it ends too early: copy it again"
    if _DAMAGED.match(reason):
        return "it is damaged: copy it again"
    return f"reading it failed: {reason}"


@contextlib.contextmanager
def _opened(path: AnyPath) -> Iterator[BinaryIO]:
    with path.open("rb") as file:
        is_compressed = file.read(len(_GZIP)) == _GZIP
        file.seek(0)
        if not is_compressed:
            yield file
            return
        with igzip.open(file, "rb") as unzipped:
            yield unzipped


def _check_end(nifti: _Nifti) -> None:
    """Reads a file to its end, where gzip has its checksum.

    Raises:
        InputError: there are voxels left that the header does not know of.
    """
    source, rest = nifti.image.dataobj, 0
    nifti.file.seek(source.offset + math.prod(source.shape) * source.dtype.itemsize)
    while block := nifti.file.read(1 << 22):
        rest += len(block)
    i, j, _ = nifti.grid.shape
    plane = i * j * source.dtype.itemsize
    if rest >= plane:
        planes = f"{rest} bytes, {rest / plane:.1f} planes, behind them"
        raise InputError(f"{nifti.path}: expected the voxels of shape {nifti.grid.shape} and no more, found {planes}")


def _empty(shape: list[int], dtype: np.dtype) -> NDArray:
    """Returns an array to fill, starting at a multiple of 64 bytes, which TensorFlow takes without a copy."""
    num_bytes = math.prod(shape) * dtype.itemsize
    memory = np.empty(num_bytes + 64, np.uint8)
    start = -memory.ctypes.data % 64
    return memory[start : start + num_bytes].view(dtype).reshape(shape)


def _shape(image: nib.Nifti1Image, path: AnyPath) -> Triple:
    shape = image.shape
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) != 3 or 0 in shape:
        raise InputError(f"{path}: expected one volume with three axes, got shape {shape}")
    return shape


def _fill(stored: NDArray, source: nib.arrayproxy.ArrayProxy, convert: Callable[[NDArray], NDArray]) -> None:
    """Copies a file's voxels into `stored` (i, j, k) slab by slab: a scan of float64 is never whole in memory."""
    i, j, k = stored.shape
    step = max(1, _SLAB_VOXELS // (i * j))
    if step > _LINE:
        step -= step % _LINE  # whole blocks of `_copy`
    rest = (0,) * (len(source.shape) - 3)
    for start in range(0, k, step):
        slab = slice(start, min(start + step, k))
        voxels = convert(np.asanyarray(source[(slice(None), slice(None), slab, *rest)]))
        if voxels.dtype == np.uint8:  # a mask, most of which is 0
            stored[..., slab] = 0
            box = bounding_box(voxels)
            _copy(stored[..., slab][box], voxels[box])
        else:
            _copy(stored[..., slab], voxels)


def _copy(target: NDArray, source: NDArray) -> None:
    """Copies an array; where another axis is contiguous in the target, in blocks that fit the processor's cache."""
    target_axis, source_axis = (int(np.argmin(np.abs(array.strides))) for array in (target, source))
    if target_axis == source_axis:
        target[...] = source
        return
    third = 3 - target_axis - source_axis
    for first in range(0, target.shape[target_axis], _LINE):
        for row in range(0, target.shape[third], _ROWS):
            block = [slice(None)] * 3
            block[target_axis], block[third] = slice(first, first + _LINE), slice(row, row + _ROWS)
            target[tuple(block)] = source[tuple(block)]
