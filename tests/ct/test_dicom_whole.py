"""Files of a series that are damaged, no DICOM, or no Hounsfield units: read right, or refused by name."""

import logging
import zipfile
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import MPEG2MPML, JPEGLosslessSV1, RLELossless
from series import write_series

from kits_tf import config
from kits_tf.base.errors import InputError
from kits_tf.ct import dicom

SETTINGS = config.DicomSettings()


def read(path: Path) -> dicom.SeriesScan:
    return dicom.read_series(dicom.find_series(path, SETTINGS), SETTINGS, str(path))


def series(folder: Path, **changes: object) -> tuple[Path, list[Path]]:
    write_series(folder, [0.0, 2.0, 4.0, 6.0], **changes)
    return folder, sorted(folder.iterdir())


def rewrite(path: Path, **changes: object) -> None:
    data = pydicom.dcmread(path)
    for name, value in changes.items():
        if value is None:
            delattr(data, name)
        else:
            setattr(data, name, value)
    data.save_as(path)


def store(path: Path, name: str, text: bytes) -> None:
    """Writes the bytes of an attribute past pydicom's checks: its value is a mark of the same length before."""
    mark = b"7" * max(8, len(text) + len(text) % 2)
    data = pydicom.dcmread(path)
    data[name] = pydicom.DataElement(name, "LO", mark.decode())
    data.save_as(path)
    content = path.read_bytes()
    assert content.count(mark) == 1
    path.write_bytes(content.replace(mark, text.ljust(len(mark))))


@pytest.mark.parametrize(
    ("content", "damage"),
    [
        (lambda whole: b"", "empty"),
        (lambda whole: whole[:200], "cut"),
        (lambda whole: whole[:700], "cut"),
        (lambda whole: whole[:-1], "cut: 1 bytes of its pixels"),
        (lambda whole: bytes(len(whole)), "zeros"),
        (lambda whole: b"<html>404</html>", "no DICOM"),
    ],
)
def test_a_damaged_slice_at_the_end_is_named(tmp_path: Path, content: object, damage: str) -> None:
    folder, paths = series(tmp_path / "scan")
    last = max(paths, key=lambda path: path.name[-1])
    last = last.rename(last.with_name(paths[1].name[0] + "99"))
    last.write_bytes(content(last.read_bytes()))
    for source in (folder, tmp_path / "scan.zip"):
        with zipfile.ZipFile(tmp_path / "scan.zip", "w") as archive:
            for path in folder.iterdir():
                archive.write(path, path.name)
        with pytest.raises(InputError, match=rf"expected a whole series.*{last.name} \({damage}"):
            read(source)


def test_compressed_slices_that_are_cut_are_refused(tmp_path: Path) -> None:
    folder, paths = series(tmp_path)
    for path in paths:
        data = pydicom.dcmread(path)
        data.compress(RLELossless, generate_instance_uid=False)
        data.save_as(path)
    paths[1].write_bytes(paths[1].read_bytes()[:-20])
    with pytest.raises(InputError, match=paths[1].name):
        read(folder)


def test_a_slice_without_pixels_is_named(tmp_path: Path) -> None:
    folder, paths = series(tmp_path)
    rewrite(paths[2], PixelData=b"")
    with pytest.raises(InputError, match=rf"{paths[2].name}: expected 6 x 9 pixels, found an empty PixelData"):
        read(folder)


@pytest.mark.parametrize(
    ("syntax", "name"), [(JPEGLosslessSV1, "JPEG Lossless"), (MPEG2MPML, "MPEG2"), (RLELossless, "RLE Lossless")]
)
def test_compressed_slices_that_no_decoder_reads_name_their_syntax(tmp_path: Path, syntax: str, name: str) -> None:
    folder, paths = series(tmp_path)
    for path in paths:
        data = pydicom.dcmread(path)
        data.file_meta.TransferSyntaxUID = syntax
        data.PixelData = pydicom.encaps.encapsulate([b"\xff\xd8\xff\xd9"])
        data["PixelData"].is_undefined_length = True
        data.save_as(path)
    with pytest.raises(InputError, match=rf"expected pixels that can be decoded, found {name}.*pylibjpeg") as error:
        read(folder)
    assert "NoneType" not in str(error.value)


@pytest.mark.parametrize("slope", [1.0, 2.0])
def test_signed_pixels_that_are_read_as_unsigned_are_refused(tmp_path: Path, slope: float) -> None:
    folder, paths = series(tmp_path, PixelRepresentation=1, RescaleSlope=slope, RescaleIntercept=0)
    for path in paths:
        rewrite(path, PixelData=np.full((6, 9), -1000, np.int16).tobytes())
    read(folder)
    for path in paths:
        rewrite(path, PixelRepresentation=0)
    with pytest.raises(InputError, match=rf"values up to {slope * 64536:.0f}, 100\.0 % of the voxels above 32767"):
        read(folder)


@pytest.mark.parametrize(("tilt", "warned"), [("15", True), ("0", False), ("-0.4", False), ("", False), (None, False)])
def test_a_tilt_that_only_the_header_has_is_said(
    tmp_path: Path, tilt: str | None, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    folder, _ = series(tmp_path, **({} if tilt is None else {"GantryDetectorTilt": tilt}))
    read(folder)
    assert ("GantryDetectorTilt says 15 degrees, the positions of the slices 0.0" in caplog.text) == warned
    assert ("GantryDetectorTilt" in caplog.text) == warned


@pytest.mark.parametrize("implicit", [True, False])
def test_files_without_a_preamble_are_read(tmp_path: Path, implicit: bool) -> None:
    folder, paths = series(tmp_path)
    right = read(folder).volume.array
    for path in paths:
        data = pydicom.dcmread(path)
        del data.file_meta, data.preamble
        pydicom.dcmwrite(path, data, implicit_vr=implicit, little_endian=True, enforce_file_format=False)
        assert path.read_bytes()[128:132] != b"DICM"
    np.testing.assert_array_equal(read(folder).volume.array, right)


def test_what_is_passed_over_is_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder, paths = series(tmp_path)
    for name in ("README", ".DS_Store", "._q0", "Thumbs.db", "notes.xml"):
        (folder / name).write_text("no DICOM")
    rewrite(paths[0], ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    (folder / "copy").write_bytes(paths[1].read_bytes())
    with caplog.at_level(logging.WARNING):
        assert len(read(folder).headers) == 3
    assert "skipped files: 2 (no DICOM), 1 (scout), 3 (system file)" in caplog.text
    assert "1 files are copies of others, and count once" in caplog.text
    rewrite(folder / "copy", PatientID="another")
    with pytest.raises(InputError, match="expected one slice of a SOPInstanceUID, found two that differ"):
        read(folder)


@pytest.mark.parametrize("name", ["RescaleSlope", "RescaleIntercept"])
@pytest.mark.parametrize("value", [None, ""])
@pytest.mark.parametrize("number", [1, 4])
def test_slices_without_rescale_are_refused(tmp_path: Path, name: str, value: str | None, number: int) -> None:
    folder, paths = series(tmp_path)
    for path in paths[:number]:
        rewrite(path, **{name: value})
    with pytest.raises(InputError, match=rf"expected {name} in every slice.*{number} of 4: .*{paths[0].name}"):
        read(folder)


def test_another_rescale_type_is_refused(tmp_path: Path) -> None:
    folder, paths = series(tmp_path, RescaleType="HU")
    read(folder)
    rewrite(paths[2], RescaleType="OD")
    with pytest.raises(InputError, match=f"expected RescaleType HU, found 'OD' in 1 of 4: .*{paths[2].name}"):
        read(folder)


def test_each_slice_has_its_own_slope(tmp_path: Path) -> None:
    folder, paths = series(tmp_path)
    rewrite(paths[1], RescaleSlope=0.25, RescaleIntercept=-500)
    scan = read(folder)
    for hu, header in zip(scan.on_slices(scan.volume.as_stored()), scan.headers, strict=True):
        path = next(p for p in paths if pydicom.dcmread(p).SOPInstanceUID == header.SOPInstanceUID)
        data = pydicom.dcmread(path)
        right = pydicom.pixels.apply_rescale(data.pixel_array, data)
        np.testing.assert_allclose(hu, right, atol=0.5)


@pytest.mark.parametrize(("sign", "padding"), [(0, 63536), (0, 65535), (1, -2000), (1, 63536)])
def test_padding_is_air(tmp_path: Path, sign: int, padding: int) -> None:
    folder, paths = series(tmp_path, RescaleSlope=1)
    for path in paths:
        data = pydicom.dcmread(path)
        pixels = np.full((data.Rows, data.Columns), 1064, np.uint16)
        pixels[0, 0] = padding % 65536
        data.PixelRepresentation, data.PixelData = sign, pixels.tobytes()
        data["PixelPaddingValue"] = pydicom.DataElement(0x00280120, "SS" if padding < 0 else "US", padding)
        data.save_as(path)
    hu = read(folder).volume.array
    assert sorted(np.unique(hu)) == [-1024, 40] and (hu == -1024).sum() == 4


def test_a_padding_value_of_tissue_is_left(tmp_path: Path) -> None:
    right = read(series(tmp_path / "without")[0]).volume.array
    water = series(tmp_path / "with", PixelPaddingValue=2048)[0]  # 0 HU
    np.testing.assert_array_equal(read(water).volume.array, right)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("PixelSpacing", b"2,0\\2,0"),
        ("PixelSpacing", b"unknown"),
        ("PixelSpacing", b"2.0"),
        ("PixelSpacing", b"0\\2.0"),
        ("PixelSpacing", b"-1\\2.0"),
        ("ImagePositionPatient", b"1\\2"),
        ("ImagePositionPatient", b"1\\2\\nan"),
        ("ImageOrientationPatient", b"1\\0\\0\\0\\1"),
        ("RescaleSlope", b"1,5"),
        ("RescaleSlope", b"0"),
        ("RescaleIntercept", b"inf"),
        ("NumberOfFrames", b"x"),
    ],
)
def test_attributes_that_are_no_numbers_are_named(tmp_path: Path, name: str, text: bytes) -> None:
    folder, paths = series(tmp_path)
    store(paths[1], name, text)
    with pytest.raises(InputError, match=f"{paths[1].name}: expected .* in {name}.*, found ") as caught:
        read(folder)
    assert text.decode() in str(caught.value)


@pytest.mark.parametrize("name", ["ImagePositionPatient", "PixelSpacing", "ImageOrientationPatient", "Rows"])
def test_empty_attributes_are_named(tmp_path: Path, name: str) -> None:
    folder, paths = series(tmp_path)
    data = pydicom.dcmread(paths[0])
    data[name].value = None
    data.save_as(paths[0])
    with pytest.raises(InputError, match=f"{paths[0].name}: expected .* in {name}, found an empty value"):
        read(folder)


def test_a_uid_for_each_slice_and_no_modality_are_said(tmp_path: Path) -> None:
    folder, paths = series(tmp_path)
    for number, path in enumerate(paths):
        rewrite(path, SeriesInstanceUID=f"1.2.{number}")
    with pytest.raises(InputError, match="expected one SeriesInstanceUID for all slices.*4 slices, each with one"):
        read(folder)
    rewrite(paths[0], Modality=None)
    with pytest.raises(InputError, match=f"{paths[0].name}: expected Modality CT, found no Modality"):
        read(folder)
