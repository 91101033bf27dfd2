import gzip
import os
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from conftest import ALL_AXIS_CODES, affine_of, rotation

from kits_tf.base.errors import InputError
from kits_tf.ct import volume

ARRAY = np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6) - 60


def save(path: Path, array: np.ndarray = ARRAY, affine: np.ndarray | None = None) -> Path:
    nib.save(nib.Nifti1Image(array, affine_of("IPL") if affine is None else affine, dtype=array.dtype), path)
    return path


@pytest.mark.parametrize("codes", ALL_AXIS_CODES)
def test_reads_any_orientation_as_ipl_with_world_points_kept(tmp_path: Path, codes: str) -> None:
    affine = rotation((3, 5, -4)) @ affine_of(codes, (0.5, 1.0, 2.0))
    read = volume.read_image(save(tmp_path / "a.nii", affine=affine))
    assert nib.aff2axcodes(read.grid.affine) == ("I", "P", "L")
    at_index = {value: index for index, value in np.ndenumerate(ARRAY)}
    for index in ((0, 0, 0), (1, 2, 3), tuple(n - 1 for n in read.array.shape)):
        stored_index = at_index[read.array[index]]
        expected = nib.affines.apply_affine(nib.load(tmp_path / "a.nii").affine, stored_index)
        np.testing.assert_allclose(nib.affines.apply_affine(read.grid.affine, index), expected, atol=1e-5)
    np.testing.assert_array_equal(read.as_stored(), ARRAY)


@pytest.mark.parametrize("form", ["sform", "qform", "both"])
@pytest.mark.parametrize("codes", ["IPL", "RAS", "LPS", "ASR"])
def test_written_mask_has_the_input_geometry_to_the_bit(tmp_path: Path, codes: str, form: str) -> None:
    image = nib.Nifti1Image(ARRAY, rotation((3, 5, -4)) @ affine_of(codes, (0.5, 1.0, 2.0)))
    image.set_qform(image.affine, 0 if form == "sform" else 1)
    image.set_sform(image.affine, 0 if form == "qform" else 1)
    nib.save(image, tmp_path / "scan.nii.gz")
    read = volume.read_image(tmp_path / "scan.nii.gz")
    volume.write_labels(tmp_path / "out" / "mask.nii.gz", (read.array > 0).astype(np.uint8), like=read)
    mask = nib.load(tmp_path / "out" / "mask.nii.gz")
    assert (mask.affine == nib.load(tmp_path / "scan.nii.gz").affine).all()
    assert mask.get_data_dtype() == np.uint8
    np.testing.assert_array_equal(np.asarray(mask.dataobj), ARRAY > 0)
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["mask.nii.gz"]


@pytest.mark.parametrize(
    "dtype", [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.float32, np.float64]
)
def test_reads_any_number_type_as_int16(tmp_path: Path, dtype: type) -> None:
    array = (ARRAY % 100).astype(dtype)
    read = volume.read_image(save(tmp_path / "a.nii.gz", array))
    assert read.array.dtype == np.int16
    np.testing.assert_array_equal(read.as_stored(), array)


def test_applies_slope_and_intercept_and_rounds(tmp_path: Path) -> None:
    image = nib.Nifti1Image(np.arange(24, dtype=np.uint16).reshape(2, 3, 4), affine_of("IPL"))
    image.header.set_slope_inter(2.2, -1024)
    nib.save(image, tmp_path / "a.nii")
    read = volume.read_image(tmp_path / "a.nii")
    np.testing.assert_array_equal(read.as_stored().ravel(), np.rint(np.asarray(image.dataobj).ravel() * 2.2 - 1024))


def test_clips_beyond_int16_instead_of_wrapping(tmp_path: Path) -> None:
    array = np.full((10, 10, 10), 1.5)
    array[0, 0, :2] = 40000.4, -40000
    read = volume.read_image(save(tmp_path / "a.nii", array))
    assert read.as_stored()[0, 0, :3].tolist() == [32767, -32768, 2]


def test_takes_4d_with_one_frame_and_refuses_two(tmp_path: Path) -> None:
    assert volume.read_image(save(tmp_path / "a.nii", ARRAY[..., None])).array.shape == (4, 5, 6)
    with pytest.raises(InputError, match=r"b.nii: expected one volume with three axes, got shape \(4, 5, 6, 2\)"):
        volume.read_image(save(tmp_path / "b.nii", np.stack([ARRAY, ARRAY], axis=-1)))


def test_refuses_nan(tmp_path: Path) -> None:
    array = ARRAY.astype(np.float32)
    array[1, 1, 1] = np.nan
    with pytest.raises(InputError, match=r"a.nii: expected finite Hounsfield units, got NaN or infinity"):
        volume.read_image(save(tmp_path / "a.nii", array))


@pytest.mark.parametrize("keep", [0, 10, 100, -20, -1])
def test_refuses_a_truncated_gzip(tmp_path: Path, keep: int) -> None:
    noise = np.random.default_rng(0).integers(-1000, 1000, (20, 20, 20)).astype(np.int16)
    whole = save(tmp_path / "whole.nii.gz", noise).read_bytes()
    (tmp_path / "cut.nii.gz").write_bytes(whole[:keep])
    with pytest.raises(InputError, match=r"cut.nii.gz: expected a whole NIfTI file") as caught:
        volume.read_image(tmp_path / "cut.nii.gz")
    assert "\n" not in str(caught.value)


def test_refuses_a_header_that_claims_more_than_the_file_has(tmp_path: Path) -> None:
    content = gzip.decompress(save(tmp_path / "a.nii.gz").read_bytes())
    (tmp_path / "a.nii").write_bytes(content[:-40])
    with pytest.raises(InputError, match=r"a.nii: expected a whole NIfTI file"):
        volume.read_image(tmp_path / "a.nii")


@pytest.mark.parametrize("suffix", ["nii", "nii.gz"])
@pytest.mark.parametrize("size", [(40, 50, 60), (4000, 4000, 4000), (32767, 32767, 32767)])
def test_refuses_a_header_that_claims_any_size(tmp_path: Path, size: tuple[int, int, int], suffix: str) -> None:
    content = bytearray(nib.Nifti1Image(ARRAY, affine_of("IPL")).to_bytes())
    content[42:48] = np.array(size, "<i2").tobytes()
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(gzip.compress(bytes(content)) if suffix.endswith("gz") else bytes(content))
    with pytest.raises(InputError, match="a.nii.*: expected a whole NIfTI file") as caught:
        volume.read_image(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("byte", [30, 100, -6])
def test_refuses_a_flipped_byte_in_a_gzip(tmp_path: Path, byte: int) -> None:
    noise = np.random.default_rng(0).integers(-1000, 1000, (20, 20, 20)).astype(np.int16)
    content = bytearray(save(tmp_path / "a.nii.gz", noise).read_bytes())
    content[byte] ^= 0x10
    (tmp_path / "a.nii.gz").write_bytes(content)
    with pytest.raises(InputError, match="a.nii.gz: expected"):
        volume.read_image(tmp_path / "a.nii.gz")


def test_reads_slab_by_slab_what_nibabel_reads_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    array = np.random.default_rng(0).integers(-1000, 3000, (5, 6, 7, 1)).astype(np.float32) / 3
    image = nib.Nifti1Image(array, affine_of("PSR"))
    nib.save(image, tmp_path / "a.nii.gz")
    for voxels in (1, 5 * 6 * 3, 10**6):
        monkeypatch.setattr(volume, "_SLAB_VOXELS", voxels)
        np.testing.assert_array_equal(volume.read_image(tmp_path / "a.nii.gz").as_stored(), np.rint(array[..., 0]))


@pytest.mark.parametrize("codes", ["IPL", "IRA", "LIP", "PSR", "AIL", "RAS"])  # every order of the axes
def test_reads_more_than_one_block_and_slab_in_any_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, codes: str
) -> None:
    monkeypatch.setattr(volume, "_SLAB_VOXELS", 70 * 41 * 36)
    hu = np.random.default_rng(0).integers(-1000, 3000, (70, 41, 37)).astype(np.int16)
    mask = np.zeros(hu.shape, np.uint8)
    mask[3:66, 5:39, 2:9] = hu[3:66, 5:39, 2:9] % 3
    ornt = nib.orientations
    turn = ornt.ornt_transform(ornt.axcodes2ornt(codes), ornt.axcodes2ornt("IPL"))
    for array, read in ((hu, volume.read_image), (mask, volume.read_labels), (mask * 0, volume.read_labels)):
        found = read(save(tmp_path / "a.nii.gz", array, affine_of(codes))).array
        np.testing.assert_array_equal(found, ornt.apply_orientation(array, turn))


def test_reads_big_endian_and_nifti2(tmp_path: Path) -> None:
    header = nib.Nifti1Header(endianness=">")
    for name, image in (
        ("big.nii", nib.Nifti1Image(ARRAY.astype(">i2"), affine_of("RAS"), header)),
        ("two.nii.gz", nib.Nifti2Image(ARRAY, affine_of("RAS"))),
    ):
        nib.save(image, tmp_path / name)
        read = volume.read_image(tmp_path / name)
        np.testing.assert_array_equal(read.as_stored(), ARRAY)
        np.testing.assert_array_equal(read.stored.affine, affine_of("RAS"))


def test_refuses_what_is_no_nifti(tmp_path: Path) -> None:
    (tmp_path / "a.nii").write_text("hello")
    with pytest.raises(InputError, match="a.nii: expected a whole NIfTI file"):
        volume.read_image(tmp_path / "a.nii")
    with pytest.raises(InputError, match=r"a.png: expected a file named \*.nii.gz or \*.nii"):
        volume.read_image(tmp_path / "a.png")
    with pytest.raises(InputError, match="gone.nii: expected a NIfTI file, found none"):
        volume.read_image(tmp_path / "gone.nii")


def test_refuses_a_spacing_of_zero(tmp_path: Path) -> None:
    image = nib.Nifti1Image(ARRAY, affine_of("IPL"))
    content = bytearray(image.to_bytes())
    content[280:292] = np.zeros(3, "<f4").tobytes()  # srow_x, whose third entry is the spacing along x
    (tmp_path / "a.nii").write_bytes(content)
    with pytest.raises(
        InputError, match=r"a.nii: expected a spacing above 0 mm along every axis, got \[1.0, 1.0, 0.0\]"
    ):
        volume.read_image(tmp_path / "a.nii")


def test_refuses_no_orientation_at_all(tmp_path: Path) -> None:
    image = nib.Nifti1Image(ARRAY, affine_of("IPL"))
    image.header["sform_code"] = 0
    (tmp_path / "a.nii").write_bytes(image.to_bytes()[:254] + b"\0\0" + image.to_bytes()[256:])
    with pytest.raises(InputError, match="a.nii: expected a qform or an sform"):
        volume.read_image(tmp_path / "a.nii")


def test_refuses_qform_and_sform_that_disagree(tmp_path: Path) -> None:
    image = nib.Nifti1Image(ARRAY, affine_of("IPL"))
    image.set_sform(affine_of("IPL"), 1)
    image.set_qform(affine_of("IPR"), 1)
    nib.save(image, tmp_path / "a.nii")
    with pytest.raises(InputError, match=r"a.nii: qform .* and sform .* disagree"):
        volume.read_image(tmp_path / "a.nii")


def test_qform_and_sform_may_differ_by_rounding(tmp_path: Path) -> None:
    # Nearly half a turn: the quaternion loses half of float32's digits, up to 0.2 mm at a far corner.
    affine = rotation((0.02, 0.01, 0)) @ affine_of("LPS", (0.7, 0.7, 3.0))
    image = nib.Nifti1Image(np.zeros((512, 512, 4), np.uint8), affine)
    image.set_sform(affine, 1)
    image.set_qform(affine, 1)
    nib.save(image, tmp_path / "a.nii.gz")
    read = volume.read_labels(tmp_path / "a.nii.gz")
    np.testing.assert_allclose(read.stored.affine, affine, atol=1e-5)


def test_masks_with_only_a_qform_read_as_with_only_an_sform(tmp_path: Path) -> None:
    affine = affine_of("IPL", (3.0, 0.919921875, 0.919921875))
    image = nib.Nifti1Image(ARRAY.astype(np.uint16) % 3, affine)
    for name, qform, sform in (("q", 1, 0), ("s", 0, 1)):
        image.set_qform(affine, qform)
        image.set_sform(affine, sform)
        nib.save(image, tmp_path / f"{name}.nii.gz")
    q, s = (volume.read_labels(tmp_path / f"{name}.nii.gz") for name in "qs")
    assert q.grid.same_as(s.grid)
    np.testing.assert_allclose(q.grid.affine, s.grid.affine, atol=1e-5)
    np.testing.assert_array_equal(q.array, s.array)


def test_labels_may_be_stored_as_floats_but_must_be_whole(tmp_path: Path) -> None:
    labels = (np.abs(ARRAY) % 3).astype(np.float32)
    read = volume.read_labels(save(tmp_path / "a.nii", labels))
    assert read.array.dtype == np.uint8
    np.testing.assert_array_equal(read.as_stored(), labels)
    for bad in (0.5, -1, 300, np.nan):
        labels[0, 0, 0] = bad
        with pytest.raises(InputError, match=r"b.nii: expected labels that are whole numbers in 0..255"):
            volume.read_labels(save(tmp_path / "b.nii", labels))


def test_the_same_mask_is_the_same_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, now in (("a", 1e9), ("b", 2e9)):
        monkeypatch.setattr(time, "time", lambda now=now: now)
        volume.write_stored(tmp_path / f"{name}.nii.gz", ARRAY, affine_of("IPL"))
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()
    np.testing.assert_array_equal(np.asarray(nib.load(tmp_path / "a.nii.gz").dataobj), ARRAY)


def test_a_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def disk_full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", disk_full)
    with pytest.raises(OSError, match="a.nii.gz: cannot be written: No space"):
        volume.write_stored(tmp_path / "a.nii.gz", ARRAY, affine_of("IPL"))
    assert list(tmp_path.iterdir()) == []
