"""The header of a NIfTI file, believed where it is consistent.

Libraries repair a header that contradicts itself, each in its own way and silently. Here each contradiction is an error
that names the fields. The fields are those of the standard, https://nifti.nimh.nih.gov/nifti-1.
"""

import logging
from dataclasses import dataclass

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from kits_tf.base.errors import InputError
from kits_tf.ct.geometry import Grid, check_affine

# Bytes of the largest header, that of NIfTI-2.
HEADER_BYTES = 540
# sizeof_hdr in either byte order
_NIFTI1_SIZES = (b"\x5c\x01\x00\x00", b"\x00\x00\x01\x5c")
_NIFTI2_SIZES = (b"\x1c\x02\x00\x00", b"\x00\x00\x02\x1c")
# Codes of xyzt_units for space; 0 is unknown, which every program takes as millimeters.
_MM_PER_UNIT = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}
_UNIT_NAMES = {0: "no unit", 1: "meters", 2: "millimeters", 3: "micrometers"}
# Voxels of a CT of a body, with a wide margin: beyond them the unit is wrong.
_VOXEL_MM = (0.01, 100.0)
# pixdim and the columns of the sform are rounded to 32 bits each, and some programs round pixdim to 3 digits.
_SPACING_SHARE = 0.01
# Quaternions of half a turn that other programs rounded to 3 or 4 digits are a hair longer than 1.
_LONG_QUATERNION = 1e-3
# Of a turn by 180 degrees, whose w is 0, rounding to 32 bits leaves as much; nibabel has the same bound.
_ROUNDED_W2 = 3 * float(np.finfo(np.float32).eps)
_FORM_CODES = range(6)
# Beginnings of files that are often named as NIfTI files.
_OTHER_KINDS = {
    b"PK\x03\x04": "a zip file",
    b"\x1f\x8b": "a file that was compressed twice",
    b"NRRD": "an NRRD file",
    b"ObjectType": "a MetaImage file",
    b"<": "a page of HTML or XML",
    b"version https://git-lfs": "a pointer of Git LFS, not the file itself (git lfs pull fetches it)",
    b"/annex/": "a pointer of git-annex, not the file itself",
    b"\x89PNG": "a PNG picture",
    b"\x89HDF": "an HDF5 file",
}

# What nibabel would repair is refused here, and what it only remarks on is no news to a user.
logging.getLogger("nibabel.global").setLevel(logging.ERROR)


@dataclass(frozen=True, eq=False)
class NiftiHeader:
    """What a header says that is needed here.

    Attributes:
        is_nifti2: whether it is of NIfTI-2.
        affine: (4, 4) float64, voxel centers to world mm.
    """

    is_nifti2: bool
    affine: NDArray[np.float64]


def parse_header(raw: bytes, name: str) -> NiftiHeader:
    """Returns what the first HEADER_BYTES bytes of a NIfTI file say.

    Args:
        raw: these bytes, or all of a shorter file.
        name: name of the file for errors.

    Raises:
        InputError: they are no header of a single NIfTI file, or contradict themselves.
    """
    is_nifti2 = raw[:4] in _NIFTI2_SIZES
    if not is_nifti2 and raw[:4] not in _NIFTI1_SIZES:
        raise InputError(f"{name}: expected a whole NIfTI file, got {_kind_of(raw)}")
    kind, num_bytes = (nib.Nifti2Header, 540) if is_nifti2 else (nib.Nifti1Header, 348)
    if len(raw) < num_bytes:
        raise InputError(f"{name}: expected a whole NIfTI file, got {len(raw)} bytes of its header of {num_bytes}")
    header = kind(raw[:num_bytes], check=False)
    _check_storage(header, num_bytes, name)
    return NiftiHeader(is_nifti2, _affine(header, name))


def _kind_of(raw: bytes) -> str:
    if not raw:
        return "an empty file"
    if raw[128:132] == b"DICM":
        return "a DICOM file; give the folder of its series"
    if raw[257:262] == b"ustar":
        return "a tar file"
    return next((kind for start, kind in _OTHER_KINDS.items() if raw.startswith(start)), "another kind of file")


def _check_storage(header: nib.Nifti1Header, num_bytes: int, name: str) -> None:
    """Raises InputError unless the fields say in one way where the voxels are and of what type."""
    magic = bytes(header["magic"].tobytes())[:3].rstrip(b"\0")
    if magic in (b"ni1", b"ni2"):
        raise InputError(f"{name}: expected a single NIfTI file, got a header whose voxels are in a file .img")
    if magic not in (b"n+1", b"n+2"):
        raise InputError(f"{name}: expected a NIfTI file, got magic {magic!r}, an Analyze file or another kind")
    dims = header["dim"]
    if not 1 <= dims[0] <= 7:
        raise InputError(f"{name}: expected 1 to 7 axes, got dim[0] {dims[0]}")
    if (dims[1 : dims[0] + 1] < 0).any():
        raise InputError(f"{name}: expected sizes above 0, got dim {dims.tolist()}")
    code, bits = int(header["datatype"]), int(header["bitpix"])
    if code not in nib.nifti1.data_type_codes.code:
        raise InputError(f"{name}: expected a datatype of NIfTI, got {code}")
    dtype = np.dtype(nib.nifti1.data_type_codes.dtype[code])
    if dtype.itemsize * 8 != bits:
        raise InputError(f"{name}: expected bitpix {dtype.itemsize * 8} for {dtype}, got {bits}")
    offset, first = float(header["vox_offset"]), num_bytes + 4
    if not offset >= first or offset % 1 != 0:
        expected = f"a whole vox_offset of {first} or more, behind the header"
        raise InputError(f"{name}: expected {expected}, got {offset:g}")
    for field in ("scl_slope", "scl_inter"):
        if np.isinf(header[field]):
            raise InputError(f"{name}: expected a finite {field}, got {header[field]}")


def _affine(header: nib.Nifti1Header, name: str) -> NDArray[np.float64]:
    """Returns the affine in mm: the sform, the qform, or either if they agree."""
    qform_code, sform_code = int(header["qform_code"]), int(header["sform_code"])
    if qform_code not in _FORM_CODES or sform_code not in _FORM_CODES:
        raise InputError(f"{name}: expected codes 0 to 5, got qform_code {qform_code} and sform_code {sform_code}")
    if qform_code == 0 and sform_code == 0:
        raise InputError(f"{name}: expected a qform or an sform, both codes are 0: left and right are unknown")
    pixdim = header["pixdim"][1:4].astype(np.float64)
    if not (np.isfinite(pixdim).all() and (pixdim > 0).all()):
        raise InputError(f"{name}: expected a spacing above 0 mm along every axis, got pixdim {pixdim.tolist()}")
    forms = [_sform(header, pixdim, name)] if sform_code else []
    forms += [_qform(header, name)] if qform_code else []
    i, j, k = (int(size) for size in header["dim"][1:4])
    if not Grid((i, j, k), forms[0]).same_as(Grid((i, j, k), forms[-1])):
        sform, qform = (form.tolist() for form in forms)
        raise InputError(f"{name}: qform {qform} and sform {sform} disagree, expected the same")
    affine = check_affine(forms[0], name)
    return np.diag([*[_mm_per_unit(header, pixdim, name)] * 3, 1.0]) @ affine


def _sform(header: nib.Nifti1Header, pixdim: NDArray[np.float64], name: str) -> NDArray[np.float64]:
    sform = check_affine(header.get_sform(), name)
    sizes = np.linalg.norm(sform[:3, :3], axis=0)
    if (np.abs(sizes - pixdim) > _SPACING_SHARE * np.maximum(sizes, pixdim)).any():
        spacing = f"{np.round(sizes, 5).tolist()} in the sform and {np.round(pixdim, 5).tolist()} in pixdim"
        raise InputError(f"{name}: expected one spacing, got {spacing}")
    return sform


def _qform(header: nib.Nifti1Header, name: str) -> NDArray[np.float64]:
    """Returns the affine of the quaternion, cut to length 1 where an sform is there for all who read the file."""
    fields = ["quatern_b", "quatern_c", "quatern_d"]
    vector = np.array([header[field] for field in fields], np.float64)
    length = float(np.linalg.norm(vector))
    tolerance = _LONG_QUATERNION if header["sform_code"] else abs(header.quaternion_threshold) / 2
    if not length <= 1 + tolerance:
        raise InputError(f"{name}: expected a quaternion of length 1, got {length:.7g} of quatern_b, c and d alone")
    header = header.copy()
    header["pixdim"][0] = -1 if header["pixdim"][0] < 0 else 1  # the standard takes 0 as 1
    for field, value in zip(fields, vector / max(length, 1.0), strict=True):
        header[field] = value
    return np.asarray(header.get_qform(), np.float64)


def _mm_per_unit(header: nib.Nifti1Header, pixdim: NDArray[np.float64], name: str) -> float:
    unit = int(header["xyzt_units"]) & 7
    if unit not in _MM_PER_UNIT:
        raise InputError(f"{name}: expected meters, millimeters or micrometers as xyzt_units, got code {unit}")
    sizes, (low, high) = pixdim * _MM_PER_UNIT[unit], _VOXEL_MM
    if (sizes < low).any() or (sizes > high).any():
        spacing = f"pixdim {np.round(pixdim, 6).tolist()} in {_UNIT_NAMES[unit]}"
        raise InputError(f"{name}: expected voxels of {low:g} to {high:g} mm, got {spacing}: is the unit wrong?")
    return _MM_PER_UNIT[unit]
