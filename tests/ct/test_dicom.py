"""Series written by pydicom: HU are a plane over the patient's space, by the standard's own formula (C.7.6.2.1.1)."""

import shutil
import tempfile
import zipfile
from dataclasses import replace
from pathlib import Path

import highdicom
import nibabel as nib
import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.uid import JPEGLSLossless, RLELossless
from series import COLUMN, GRADIENT, NORMAL, OBLIQUE, ROW, SHAPE, SPACING, write_series, write_slice

from kits_tf import config, predict
from kits_tf.base.errors import InputError
from kits_tf.ct import dicom
from kits_tf.ct.dicom_seg import SegmentationNote, write_segmentation
from kits_tf.ct.volume import AIR_HU, Volume

SETTINGS = config.DicomSettings()
ACCEPT = config.DicomSettings(irregular_slices="accept")


def check_world(volume, tolerance: float = 0.76, where: np.ndarray | bool = True) -> None:
    """Checks that the HU at voxels are those of their places in the world, which for NIfTI is right, anterior."""
    voxels = np.moveaxis(np.indices(volume.grid.shape), 0, -1)
    world = nib.affines.apply_affine(volume.grid.affine, voxels) * [-1, -1, 1]
    np.testing.assert_array_less(np.abs(volume.array - world @ GRADIENT), np.where(where, tolerance, np.inf))


def read(folder: Path, settings: config.DicomSettings = SETTINGS) -> dicom.SeriesScan:
    return dicom.read_series(dicom.find_series(folder, settings), settings, str(folder))


@pytest.mark.parametrize("axes", [(ROW, COLUMN), OBLIQUE, (ROW, -COLUMN)])
def test_every_voxel_is_where_the_standard_says(tmp_path: Path, axes: tuple) -> None:
    scan = read(write_series(tmp_path, [6.0, 0.0, 2.0, 4.0], axes))
    assert scan.volume.array.dtype == np.int16 and sorted(scan.volume.array.shape) == [4, *SHAPE]
    check_world(scan.volume)
    along = [np.dot(header.ImagePositionPatient, np.cross(*axes)) for header in scan.headers]
    assert along == sorted(along) and scan.corners.tolist() == [[i, 0, 0] for i in range(4)]


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless])
def test_compressed_slices_and_zip_files_give_the_same(tmp_path: Path, syntax: str) -> None:
    plain = read(write_series(tmp_path / "plain", [0.0, 2.0, 4.0])).volume
    folder = shutil.copytree(tmp_path / "plain", tmp_path / "packed")
    for path in folder.iterdir():
        data = pydicom.dcmread(path)
        data.compress(syntax, generate_instance_uid=False)
        data.save_as(path)
    shutil.make_archive(str(tmp_path / "scan"), "zip", folder)
    for path in (folder, tmp_path / "scan.zip"):
        np.testing.assert_array_equal(read(path).volume.array, plain.array)


def test_a_single_slice_is_no_scan(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected a series of many slices, found one: .*/q0"):
        read(write_series(tmp_path, [0.0], SliceThickness=5.0))


@pytest.mark.parametrize(
    ("places", "message"),
    [
        ([0.0, 2.0, 2.0, 4.0], "expected one slice a place, found .* and .* at one"),
        (
            [0.0, 2.0, 6.0, 8.0, 10.0],
            r"found 4.00 mm after .* where 2.00 mm is usual \(1 such gap\): slices are missing; export the series "
            r"again with all of them, since what lies between them is not known \(--irregular",
        ),
        ([0.0, 2.0, 4.0, 7.0, 9.0], "expected evenly spaced slices, found 3.00 mm"),
    ],
)
def test_irregular_slices_are_refused(tmp_path: Path, places: list[float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(write_series(tmp_path, places))


def test_places_may_be_rounded(tmp_path: Path) -> None:
    scan = read(write_series(tmp_path, [round(0.625 * i, 1) for i in range(9)]))
    assert scan.corners[:, 0].tolist() == list(range(9))


def test_uneven_slices_are_interpolated_on_request(tmp_path: Path) -> None:
    scan = read(write_series(tmp_path, [0.0, 2.0, 6.0, 8.0, 11.0, 13.0]), ACCEPT)
    check_world(scan.volume, tolerance=1.01)  # rounded before and after
    assert len(scan.volume.array) == round(13 / 2) + 1
    even = np.linspace(0, 13, len(scan.volume.array))
    assert np.abs(even[scan.corners[:, 0]] - [0, 2, 6, 8, 11, 13]).max() <= 1.1


@pytest.mark.parametrize("drift", [0.5 * COLUMN, -0.5 * COLUMN, 0.3 * COLUMN - 0.4 * ROW])
def test_a_tilted_gantry_is_refused_and_set_upright_on_request(tmp_path: Path, drift: np.ndarray) -> None:
    headers = [write_slice(tmp_path / f"{number}", number * (2.0 * NORMAL + drift)) for number in range(7)]
    with pytest.raises(InputError, match="expected slices above each other, found a gantry tilted by 14.0 degrees"):
        read(tmp_path)
    scan = read(tmp_path, ACCEPT)
    axes = scan.volume.stored.affine[:3, :3]
    np.testing.assert_allclose(axes.T @ axes, np.diag([2.0, *SPACING]) ** 2, atol=1e-9)
    stored = scan.volume.as_stored()
    inside = np.zeros(stored.shape, np.uint8)
    for k, i, j in scan.corners:  # but for an edge, where the air beyond has a share
        inside[k, i + 1 : i + SHAPE[0] - 1, j + 1 : j + SHAPE[1] - 1] = 1
    where = Volume.from_stored(inside, scan.volume.stored.affine).array > 0
    check_world(scan.volume, tolerance=1.01, where=where)
    assert stored[0, 0, 0] == AIR_HU or stored[-1, 0, 0] == AIR_HU
    # At the pixels of its slices, the volume has the HU that they had, but for half a pixel of shift.
    for found, header in zip(scan.on_slices(stored), headers, strict=True):
        near = np.abs(found - (header.pixel_array * 0.5 - 1024)) <= 0.5 * np.abs(GRADIENT).sum() * max(SPACING)
        assert near[1:-1, 1:-1].all()


def test_several_slices_in_a_file_are_refused(tmp_path: Path) -> None:
    write_slice(tmp_path / "a", np.zeros(3), NumberOfFrames=3)
    with pytest.raises(InputError, match="expected one slice a file, found several"):
        read(tmp_path)


def test_one_series_of_several_is_chosen(tmp_path: Path) -> None:
    write_series(tmp_path / "thin", [0.0, 2.0])
    write_series(tmp_path / "thick", [0.0, 2.0, 4.0], SeriesInstanceUID="1.2.3.5", SeriesDescription="Thorax 5.0")
    write_series(tmp_path / "scout", [0.0], SeriesInstanceUID="1.2.3.6", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    write_series(tmp_path / "mr", [0.0], SeriesInstanceUID="1.2.3.7", Modality="MR")
    (tmp_path / "README").write_text("not DICOM")
    with pytest.raises(
        InputError, match=r"expected one series, found 2 .*1.2.3.5 'Thorax 5.0', 3 slices; .* 'Abdomen 2.0', 2"
    ):
        dicom.find_series(tmp_path, SETTINGS)
    for text in ("1.2.3.5", "Thorax"):
        assert len(dicom.find_series(tmp_path, replace(SETTINGS, series=text)).files) == 3
    with pytest.raises(InputError, match="expected one series, found 0 that fit --series=Neck"):
        dicom.find_series(tmp_path, replace(SETTINGS, series="Neck"))
    for folder, message in (("mr", "a CT series in DICOM files, found MR$"), ("none", "found no file$")):
        (tmp_path / "none").mkdir(exist_ok=True)
        with pytest.raises(InputError, match=message):
            dicom.find_series(tmp_path / folder, SETTINGS)


def test_damaged_slices_are_named(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "cut", [0.0, 2.0])
    path = sorted(folder.iterdir())[0]
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(InputError, match=f"expected a whole series, .*{path.name} .cut: 50 bytes of its pixels"):
        read(folder)
    with pytest.raises(InputError, match="expected the same PixelSpacing in every slice"):
        write_slice(write_series(tmp_path / "two", [0.0]) / "b", 2 * NORMAL, PixelSpacing=[1.0, 1.0])
        read(tmp_path / "two")
    for content, reason in (
        (b"PK nothing", "it cannot be read: File is not a zip file"),
        (b"PK\x03\x04 and half of it", "it ends too early: copy it again"),
        (b"", "found an empty file"),
    ):
        (tmp_path / "broken.zip").write_bytes(content)
        with pytest.raises(InputError, match=f"broken.zip: expected a zip file of DICOM slices, {reason}$"):
            read(tmp_path / "broken.zip")


def test_predict_writes_a_dicom_seg_that_refers_to_the_slices(tmp_path: Path, run_dir: Path, capsys) -> None:
    # A plane of HU between 100 and 300, which is no body, but as bright as what the network was trained to find.
    folder = write_series(tmp_path / "scan", [4.0 * i for i in range(6)], RescaleIntercept=-524)
    settings = predict.Predict(
        model=str(run_dir), output_dir=str(tmp_path / "out"), scans=config.ScanSettings(accept_intensities=True)
    )
    predict.main(settings, [str(folder)])
    masks = f"{tmp_path}/out/scan.nii.gz, {tmp_path}/out/scan.dcm"
    assert capsys.readouterr().out.startswith(f"{folder} -> {masks}: right kidney ")
    mask = nib.load(tmp_path / "out" / "scan.nii.gz")
    found = highdicom.seg.segread(tmp_path / "out" / "scan.dcm")
    assert [s.segment_label for s in map(found.get_segment_description, found.segment_numbers)] == [
        "right_kidney", "left_kidney", "tumor"
    ]  # fmt: skip
    headers = read(folder).headers
    assert {segment.SegmentAlgorithmType for segment in found.SegmentSequence} == {"AUTOMATIC"}
    labels = found.get_pixels_by_source_instance(
        [header.SOPInstanceUID for header in headers],
        combine_segments=True,
        ignore_spatial_locations=True,
        assert_missing_frames_are_empty=True,
    )
    np.testing.assert_array_equal(labels, np.asarray(mask.dataobj))
    assert labels.any()


def test_an_empty_mask_is_a_dicom_seg_without_a_word(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    scan = read(write_series(tmp_path / "scan", [0.0, 2.0]))
    labels = np.zeros(scan.volume.stored.shape, np.uint8)
    write_segmentation(tmp_path / "a.dcm", labels, ("background", "kidney"), scan, SegmentationNote())
    assert not pydicom.dcmread(tmp_path / "a.dcm").pixel_array.any()
    assert not caplog.messages


def test_slices_without_identity_get_no_dicom_seg(tmp_path: Path) -> None:
    scan = read(write_series(tmp_path, [0.0, 2.0], StudyInstanceUID=""))
    with pytest.raises(InputError, match="no DICOM SEG: expected StudyInstanceUID in every slice"):
        write_segmentation(
            tmp_path / "a.dcm", np.zeros((2, *SHAPE), np.uint8), ("background", "kidney"), scan, SegmentationNote()
        )


def test_a_zip_file_that_claims_more_than_a_body_is_refused_unread(tmp_path: Path) -> None:
    with (
        zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("slice", "w", force_zip64=True) as member,
    ):
        member.write(bytes(128) + b"DICM")
        for _ in range(300):
            member.write(bytes(1_000_000))
    assert (tmp_path / "bomb.zip").stat().st_size < 1_000_000
    with pytest.raises(InputError, match="bomb.zip: expected 0.256 GB at most of a file in a zip, got 0.3"):
        read(tmp_path / "bomb.zip")


@given(st.data())
@settings(max_examples=150)
def test_damaged_zip_files_and_slices_are_read_or_refused(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_series(folder / "slices", [0, 2, 4])
        method = data.draw(st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]))
        with zipfile.ZipFile(folder / "scan.zip", "w", method) as archive:
            for path in (folder / "slices").iterdir():
                archive.write(path, path.name)
        content = bytearray((folder / "scan.zip").read_bytes())
        for _ in range(data.draw(st.integers(1, 4))):
            change = data.draw(st.binary(min_size=1, max_size=3))
            place = int(data.draw(st.floats(0, 1)) * (len(content) - 1))  # UIDs differ in length
            content[place : place + len(change)] = change
        (folder / "scan.zip").write_bytes(content)
        try:
            volume = read(folder / "scan.zip").volume
            assert volume.array.dtype == np.int16 and volume.array.ndim == 3
        except InputError as error:
            assert str(folder / "scan.zip") in str(error) and "\n" not in str(error)
