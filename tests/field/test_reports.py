"""Situations that others reported in public, from the command line to the line that is printed."""

import shutil
from pathlib import Path

import h5py
import nibabel as nib
import numpy as np
import pydicom
import pytest
from command_line import run
from fake_model import save_fake_model
from series import write_series

from kits_tf.ct.volume import read_image
from kits_tf.serving.versions import find_saved_model


@pytest.fixture
def mask() -> nib.Nifti1Image:
    """Two kidneys and a tumor in the challenge's labels, on voxels of 1 x 2 x 3 mm."""
    labels = np.zeros((24, 20, 16), np.uint8)
    labels[3:8, 5:12, 4:12], labels[15:20, 5:12, 4:12], labels[4:6, 6:8, 5:8] = 1, 1, 2
    return nib.Nifti1Image(labels, np.diag([1.0, 2, 3, 1]))


@pytest.fixture
def scan_path(data_dir: Path) -> Path:
    return data_dir / "case_00000" / "imaging.nii.gz"


def save(image: nib.Nifti1Image, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(image, path)
    return path


def test_weights_that_are_nan_are_refused(
    run_dir: Path, scan_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    shutil.copytree(run_dir, tmp_path / "run")
    with h5py.File(tmp_path / "run" / "best.weights.h5", "r+") as file:
        arrays: list[h5py.Dataset] = []
        file.visititems(lambda _, item: arrays.append(item) if isinstance(item, h5py.Dataset) else None)
        arrays[0][...] = np.nan
    ending = run(capsys, "predict", f"--model={tmp_path / 'run'}", f"--output_dir={tmp_path / 'masks'}", scan_path)
    assert ending.status == 1 and "best.weights.h5: expected finite weights, found NaN or infinity in" in ending.err


def test_a_model_whose_copy_was_cut_short_is_refused(
    model_dir: Path, scan_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    shutil.copytree(model_dir, tmp_path / "model")
    variables = tmp_path / "model" / "1" / "variables" / "variables.data-00000-of-00001"
    variables.write_bytes(variables.read_bytes()[:-5000])
    ending = run(capsys, "predict", f"--model={tmp_path / 'model'}", f"--output_dir={tmp_path / 'masks'}", scan_path)
    assert ending.status == 1 and "1: expected a SavedModel that kits_tf exported: " in ending.err


def test_a_version_may_begin_with_zeros(tmp_path: Path) -> None:
    save_fake_model(tmp_path / "model").rename(tmp_path / "model" / "00000012")
    assert find_saved_model(tmp_path / "model") == tmp_path / "model" / "00000012"


def test_a_version_must_be_a_number(scan_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    save_fake_model(tmp_path / "model").rename(tmp_path / "model" / "v1")
    ending = run(capsys, "predict", f"--model={tmp_path / 'model'}", f"--output_dir={tmp_path / 'masks'}", scan_path)
    assert ending.status == 1 and "v1: expected the number of a version as the folder's name" in ending.err


def test_an_older_model_beside_an_incomplete_one_is_not_taken_in_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = save_fake_model(tmp_path / "model")
    (tmp_path / "model" / "2").mkdir()
    messages: list[str] = []
    monkeypatch.setattr("kits_tf.serving.versions.logger.warning", lambda text, *args: messages.append(text % args))
    assert find_saved_model(tmp_path / "model") == first
    assert messages == [f"{tmp_path / 'model'}: version 2 holds no saved_model.pb, version 1 is used"]


@pytest.mark.parametrize("values", ["negative", "255", "fractions"])
def test_masks_with_other_values_are_refused(
    mask: nib.Nifti1Image, values: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    labels = np.asarray(mask.dataobj)
    changed = {
        "negative": np.where(labels == 2, -1, labels).astype(np.int8),
        "255": np.where(labels > 0, 255, 0).astype(np.uint8),
        "fractions": (0.9882 * labels).astype(np.float32),
    }[values]
    path = save(nib.Nifti1Image(changed, mask.affine), tmp_path / "masks" / "case_00000.nii.gz")
    ending = run(capsys, "measure", path.parent, "--label_scheme=kits19", f"--output_dir={tmp_path / 'measured'}")
    other = {"negative": "whole numbers in 0..255, found -1", "255": "255", "fractions": "found 0.9882"}[values]
    assert ending.status == 1 and f"{path}: expected labels" in ending.err and other in ending.err


def test_a_mask_whose_scale_is_nan_is_read_as_stored(
    mask: nib.Nifti1Image, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    path = save(mask, tmp_path / "masks" / "case_00000.nii")
    header = bytearray(path.read_bytes())
    header[112:120] = np.full(2, np.nan, "<f4").tobytes()  # scl_slope and scl_inter
    path.write_bytes(header)
    ending = run(capsys, "measure", path.parent, "--label_scheme=kits19", f"--output_dir={tmp_path / 'measured'}")
    # Two boxes of 5 x 7 x 8 voxels of 6 mm3, without the 2 x 2 x 3 of the tumor: 3.29 mL.
    assert ending.status == 0 and " 3.3 " in ending.out


def test_a_mask_mirrored_by_its_affine_is_not_scored(
    mask: nib.Nifti1Image, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    save(mask, tmp_path / "truth" / "case_00000.nii.gz")
    mirrored = nib.Nifti1Image(np.asarray(mask.dataobj), np.diag([-1.0, 2, 3, 1]))
    save(mirrored, tmp_path / "masks" / "case_00000.nii.gz")
    folders = [f"--predictions_dir={tmp_path / 'masks'}", f"--truth_dir={tmp_path / 'truth'}"]
    ending = run(capsys, "evaluate", *folders, "--label_scheme=kits19")
    assert ending.status == 1 and "case_00000.nii.gz: expected the true mask's" in ending.err


@pytest.mark.parametrize("name", ["PatientID", "FrameOfReferenceUID"])
def test_slices_of_two_patients_are_no_scan(
    run_dir: Path, name: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    folder = write_series(tmp_path / "series", [0, 2, 4, 6, 8, 10])
    for path in sorted(folder.iterdir())[:3]:
        data = pydicom.dcmread(path)
        setattr(data, name, "1.2.3")
        data.save_as(path)
    ending = run(capsys, "predict", f"--model={run_dir}", f"--output_dir={tmp_path / 'masks'}", folder)
    assert ending.status == 1 and f"expected one {name} in all slices, found 2: " in ending.err


def test_values_that_wrapped_around_are_no_hounsfield_units(
    run_dir: Path, scan_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    image = nib.load(scan_path)
    hu = np.asarray(image.dataobj).astype(np.int32)
    # All that is below 0, or only the noise of air below -1000 or padding.
    for offset in (0, 1000):
        path = tmp_path / f"wrapped{offset}.nii.gz"
        wrapped = (hu + offset).astype(np.uint16).astype(np.int32) - offset
        nib.save(nib.Nifti1Image(wrapped, image.affine, dtype=np.int32), path)
        ending = run(capsys, "predict", f"--model={run_dir}", f"--output_dir={tmp_path / 'masks'}", path)
        share = 100 * (wrapped > 32767).mean()
        assert share > 0.1 and ending.status == 1
        assert f"{path}: expected Hounsfield units, found values up to {wrapped.max()}, {share:.1f} %" in ending.err


def test_metal_beyond_16_bits_is_clipped(tmp_path: Path) -> None:
    hu = np.zeros((40, 40, 40), np.int32)
    hu[:4, :4, :4] = 40000  # 0.1 %
    nib.save(nib.Nifti1Image(hu, np.eye(4), dtype=np.int32), tmp_path / "metal.nii")
    assert read_image(tmp_path / "metal.nii").array.max() == 32767


def test_labels_that_nibabel_scaled_are_whole(
    mask: nib.Nifti1Image, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    image = nib.Nifti1Image(np.asarray(mask.dataobj).astype(np.float64), mask.affine)
    image.set_data_dtype(np.uint16)
    path = save(image, tmp_path / "masks" / "case_00000.nii.gz")
    ending = run(capsys, "measure", path.parent, "--label_scheme=kits19", f"--output_dir={tmp_path / 'measured'}")
    # Two boxes of 5 x 7 x 8 voxels of 6 mm3, without the 2 x 2 x 3 of the tumor: 3.29 mL.
    assert ending.status == 0 and " 3.3 " in ending.out
