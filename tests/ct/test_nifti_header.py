"""Headers that contradict themselves, changed field by field with NumPy, and read by nibabel where they are good."""

import gzip
import logging
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from conftest import affine_of, rotation

from kits_tf.base.errors import InputError
from kits_tf.ct import volume

ARRAY = np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6) - 60
SPACING = (2.0, 0.75, 0.5)
BOTH, QFORM, SFORM = (1, 1), (1, 0), (0, 1)


def image_of(codes: tuple[int, int] = BOTH, affine: np.ndarray | None = None) -> nib.Nifti1Image:
    affine = affine_of("IPL", SPACING) if affine is None else affine
    image = nib.Nifti1Image(ARRAY, affine)
    image.set_qform(affine, codes[0])
    image.set_sform(affine, codes[1])
    return image


def changed(path: Path, codes: tuple[int, int] = BOTH, **fields: object) -> Path:
    """Writes a file whose header fields are set without any check."""
    content = bytearray(image_of(codes).to_bytes())
    header = np.frombuffer(bytes(content[:348]), nib.nifti1.header_dtype).copy()
    for field, value in fields.items():
        header[field][0] = value
    content[:348] = header.tobytes()
    path.write_bytes(bytes(content))
    return path


def refused(path: Path, message: str) -> None:
    for read in (volume.read_image, volume.read_grid):
        with pytest.raises(InputError, match=message) as caught:
            read(path)
        assert "\n" not in str(caught.value) and path.name in str(caught.value)


@pytest.mark.parametrize("codes", [BOTH, QFORM, SFORM])
def test_meters_and_microns_are_the_same_grid_as_millimeters(tmp_path: Path, codes: tuple[int, int]) -> None:
    expected = affine_of("IPL", SPACING)
    for unit, per_mm in (("mm", 1.0), ("meter", 1e-3), ("micron", 1e3), ("unknown", 1.0)):
        affine = np.diag([per_mm, per_mm, per_mm, 1]) @ expected
        image = image_of(codes, affine)
        image.header.set_xyzt_units(unit, "sec")
        nib.save(image, tmp_path / f"{unit}.nii.gz")
        read = volume.read_image(tmp_path / f"{unit}.nii.gz")
        np.testing.assert_allclose(read.stored.affine, expected, atol=1e-4)
        np.testing.assert_allclose(read.grid.spacing_mm, SPACING, rtol=1e-5)
        assert volume.read_grid(tmp_path / f"{unit}.nii.gz").same_as(read.stored)
        # Viewers take the fields as they are: the mask has the scan's own.
        volume.write_labels(tmp_path / f"{unit}_mask.nii.gz", (read.array > 0).astype(np.uint8), like=read)
        mask, scan = (nib.load(tmp_path / f"{name}.nii.gz") for name in (f"{unit}_mask", unit))
        assert (mask.affine == scan.affine).all() and mask.header["xyzt_units"] == scan.header["xyzt_units"]
        assert volume.read_labels(tmp_path / f"{unit}_mask.nii.gz").stored.same_as(read.stored)


@pytest.mark.parametrize(
    ("unit", "message"),
    [
        (1, r"voxels of 0.01 to 100 mm, got pixdim \[2.0, 0.75, 0.5\] in meters: is the unit wrong\?"),
        (3, r"voxels of 0.01 to 100 mm, got pixdim \[2.0, 0.75, 0.5\] in micrometers"),
        (4, "expected meters, millimeters or micrometers as xyzt_units, got code 4"),
        (7, "xyzt_units, got code 7"),
    ],
)
def test_a_unit_that_cannot_be_is_refused(tmp_path: Path, unit: int, message: str) -> None:
    refused(changed(tmp_path / "a.nii", xyzt_units=unit), message)
    refused(changed(tmp_path / "b.nii", xyzt_units=unit | 16), message)  # milliseconds beside it


@pytest.mark.parametrize("codes", [BOTH, QFORM])
@pytest.mark.parametrize("bad", [0.0, -0.75, np.nan, np.inf])
def test_a_spacing_that_is_none_is_refused(tmp_path: Path, codes: tuple[int, int], bad: float) -> None:
    path = changed(tmp_path / "a.nii", codes, pixdim=[1, 2, bad, 0.5, 0, 0, 0, 0])
    refused(path, r"expected a spacing above 0 mm along every axis, got pixdim \[2.0, ")


def test_two_spacings_in_one_header_are_refused(tmp_path: Path) -> None:
    fields = {"srow_x": [1, 0, 0, 0], "srow_y": [0, 1, 0, 0], "srow_z": [0, 0, 1, 0]}
    path = changed(tmp_path / "a.nii", SFORM, pixdim=[1, 2, 2, 4, 0, 0, 0, 0], **fields)
    refused(path, r"expected one spacing, got \[1.0, 1.0, 1.0\] in the sform and \[2.0, 2.0, 4.0\] in pixdim")
    rounded = changed(tmp_path / "b.nii", SFORM, pixdim=[1, 2.001, 0.7503, 0.5, 0, 0, 0, 0])
    np.testing.assert_allclose(volume.read_image(rounded).grid.spacing_mm, SPACING)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"vox_offset": 0}, "expected a whole vox_offset of 352 or more, behind the header, got 0"),
        ({"vox_offset": 348}, "vox_offset of 352 or more, behind the header, got 348"),
        ({"vox_offset": 352.5}, "vox_offset of 352 or more, behind the header, got 352.5"),
        ({"vox_offset": np.nan}, "vox_offset of 352 or more, behind the header, got nan"),
        ({"vox_offset": np.inf}, "vox_offset of 352 or more, behind the header, got inf"),
        ({"magic": b"ni1"}, "a header whose voxels are in a file .img"),
        ({"magic": b""}, "got magic b''"),
        ({"dim": [0, 4, 5, 6, 1, 1, 1, 1]}, r"expected 1 to 7 axes, got dim\[0\] 0"),
        ({"dim": [3, 4, -5, 6, 1, 1, 1, 1]}, "expected sizes above 0, got dim"),
        ({"bitpix": 8}, "expected bitpix 16 for int16, got 8"),
        ({"datatype": 3}, "expected a datatype of NIfTI, got 3"),
        ({"scl_slope": np.inf}, "expected a finite scl_slope, got inf"),
        ({"scl_slope": 1, "scl_inter": -np.inf}, "expected a finite scl_inter, got -inf"),
        ({"qform_code": 9}, "expected codes 0 to 5, got qform_code 9 and sform_code 1"),
        ({"sform_code": -1}, "expected codes 0 to 5, got qform_code 1 and sform_code -1"),
        ({"quatern_b": 1.01}, "expected a quaternion of length 1, got 1.*"),
        ({"quatern_b": np.nan}, "expected a quaternion of length 1, got nan"),
    ],
)
def test_a_header_that_contradicts_itself_is_refused(tmp_path: Path, fields: dict[str, object], message: str) -> None:
    refused(changed(tmp_path / "a.nii", **fields), message)


@pytest.mark.parametrize("too_long", [1e-6, 1e-4, 5e-4])
def test_a_quaternion_a_hair_too_long_beside_a_good_sform_is_read(tmp_path: Path, too_long: float) -> None:
    affine = affine_of("LPS", (0.5, 0.75, 2.0))  # half a turn: w is 0
    content = bytearray(image_of(BOTH, affine).to_bytes())
    header = np.frombuffer(bytes(content[:348]), nib.nifti1.header_dtype).copy()
    for axis in "bcd":
        header[f"quatern_{axis}"] *= 1 + too_long
    content[:348] = header.tobytes()
    (tmp_path / "a.nii").write_bytes(content)
    read = volume.read_image(tmp_path / "a.nii")
    np.testing.assert_allclose(read.stored.affine, affine, atol=1e-6)
    np.testing.assert_array_equal(read.as_stored(), ARRAY)
    volume.write_labels(tmp_path / "mask.nii.gz", (read.array > 0).astype(np.uint8), like=read)
    assert (nib.load(tmp_path / "mask.nii.gz").affine == affine.astype(np.float32)).all()
    header["sform_code"] = 0
    content[:348] = header.tobytes()
    (tmp_path / "b.nii").write_bytes(content)
    refused(tmp_path / "b.nii", "expected a quaternion of length 1, got 1.0")


@pytest.mark.parametrize("fields", [{"scl_slope": 0}, {"scl_slope": np.nan}])
def test_no_slope_is_no_scaling_by_the_standard(tmp_path: Path, fields: dict[str, float]) -> None:
    np.testing.assert_array_equal(volume.read_image(changed(tmp_path / "a.nii", **fields)).as_stored(), ARRAY)


def test_good_headers_of_other_programs_stay_good(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    sheared = affine_of("IPL", SPACING)
    sheared[1, 0] = 0.02
    oblique, left_handed = rotation((9, -7, 20)) @ affine_of("LPS", SPACING), affine_of("LAS", SPACING)
    for codes, affine in ((SFORM, sheared), (BOTH, oblique), (BOTH, left_handed), (QFORM, left_handed)):
        for kind in (nib.Nifti1Image, nib.Nifti2Image):
            image = kind.from_image(image_of(codes, affine))
            nib.save(image, tmp_path / "a.nii")
            np.testing.assert_allclose(volume.read_image(tmp_path / "a.nii").stored.affine, image.affine, atol=1e-4)
    swapped = nib.Nifti1Image(ARRAY, oblique, nib.Nifti1Header(endianness=">"))
    nib.save(swapped, tmp_path / "b.nii")
    np.testing.assert_array_equal(volume.read_image(tmp_path / "b.nii").as_stored(), ARRAY)
    np.testing.assert_allclose(volume.read_grid(tmp_path / "b.nii").affine, oblique, atol=1e-4)
    with caplog.at_level(logging.INFO):  # qfac 0 is 1 by the standard
        volume.read_image(changed(tmp_path / "c.nii", pixdim=[0, *SPACING, 0, 0, 0, 0], qform_code=0))
        volume.read_image(changed(tmp_path / "d.nii", vox_offset=360, dim=[3, 4, 5, 5, 1, 1, 1, 1]))
    assert not caplog.messages


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda _: b"", "an empty file"),
        (lambda _: b"PK\x03\x04" + bytes(600), "a zip file"),
        (lambda _: b"<!DOCTYPE html>" + bytes(600), "a page of HTML or XML"),
        (lambda _: b"version https://git-lfs.github.com/spec/v1", "a pointer of Git LFS"),
        (lambda _: bytes(128) + b"DICM" + bytes(500), "a DICOM file; give the folder"),
        (lambda _: bytes(257) + b"ustar" + bytes(500), "a tar file"),
        (lambda nifti: gzip.compress(gzip.compress(nifti)), "a file that was compressed twice"),
        (lambda _: b"hello", "another kind of file"),
        (lambda nifti: nifti[:100], "100 bytes of its header of 348"),
    ],
)
@pytest.mark.parametrize("suffix", ["nii", "nii.gz"])
def test_another_kind_of_file_is_named(tmp_path: Path, make: Callable, kind: str, suffix: str) -> None:
    (tmp_path / f"a.{suffix}").write_bytes(make(image_of().to_bytes()))
    refused(tmp_path / f"a.{suffix}", f"expected a whole NIfTI file, got {kind}")


def test_a_file_that_was_cut_off_or_damaged_says_so_in_plain_words(tmp_path: Path) -> None:
    content = image_of().to_bytes()
    packed = gzip.compress(content)
    for name, given, reason in (
        ("a.nii", content[:-20], "it ends too early: copy it again"),
        ("a.nii.gz", packed[: len(packed) // 2], "it ends too early: copy it again"),
        ("b.nii.gz", packed[:-8] + bytes([packed[-8] ^ 1]) + packed[-7:], "it is damaged: copy it again"),
        ("c.nii.gz", packed[:-1] + bytes([packed[-1] ^ 1]), "it is damaged: copy it again"),
    ):
        (tmp_path / name).write_bytes(given)
        with pytest.raises(InputError, match=f"{name}: expected a whole NIfTI file, {reason}$"):
            volume.read_image(tmp_path / name)


def test_content_says_whether_it_is_compressed(tmp_path: Path) -> None:
    content = image_of().to_bytes()
    (tmp_path / "gzipped.nii").write_bytes(gzip.compress(content))
    (tmp_path / "plain.nii.gz").write_bytes(content)
    # Two members, as programs write that compress with several threads.
    (tmp_path / "members.nii.gz").write_bytes(gzip.compress(content[:400]) + gzip.compress(content[400:]))
    for name in ("gzipped.nii", "plain.nii.gz", "members.nii.gz"):
        np.testing.assert_array_equal(volume.read_image(tmp_path / name).as_stored(), ARRAY)


def test_voxels_that_the_header_leaves_out_are_refused(tmp_path: Path) -> None:
    content = image_of().to_bytes()
    for suffix, pack in (("nii", bytes), ("nii.gz", gzip.compress)):
        (tmp_path / f"a.{suffix}").write_bytes(pack(content + bytes(2 * 4 * 5)))
        with pytest.raises(InputError, match=r"voxels of shape \(4, 5, 6\) and no more, found 40 bytes, 1.0 planes"):
            volume.read_image(tmp_path / f"a.{suffix}")
        (tmp_path / f"b.{suffix}").write_bytes(pack(content + bytes(12)))  # less than a plane is padding
        np.testing.assert_array_equal(volume.read_image(tmp_path / f"b.{suffix}").as_stored(), ARRAY)
