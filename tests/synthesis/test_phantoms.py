from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from kits_tf import phantom
from kits_tf.base.errors import InputError
from kits_tf.ct.layouts import data_note
from kits_tf.synthesis import phantoms

SPACING = (6.0, 4.0, 4.0)


def test_files_look_like_kits19(tmp_path: Path) -> None:
    phantoms.write_phantom(tmp_path / "case_00000", 0, SPACING, seed=1)
    image = nib.load(tmp_path / "case_00000" / "imaging.nii.gz")
    mask = nib.load(tmp_path / "case_00000" / "segmentation.nii.gz")
    assert nib.aff2axcodes(image.affine) == ("I", "P", "L")
    assert (image.affine == mask.affine).all() and image.shape == mask.shape
    assert image.get_data_dtype() == np.int16 and mask.get_data_dtype() == np.uint8
    assert image.header["qform_code"] == 0 and image.header["sform_code"] > 0
    assert set(np.unique(mask.dataobj)) == {0, 1, 2}


def test_same_seed_same_bytes_other_number_other_anatomy(tmp_path: Path) -> None:
    for name, number in (("a", 0), ("b", 0), ("c", 1)):
        phantoms.write_phantom(tmp_path / name, number, SPACING, seed=1)
    read = {name: (tmp_path / name / "segmentation.nii.gz").read_bytes() for name in "abc"}
    assert read["a"] == read["b"] != read["c"]


def test_cases_that_are_there_are_kept_unless_they_are_to_be_replaced(tmp_path: Path) -> None:
    patient = tmp_path / "case_00001/imaging.nii.gz"
    patient.parent.mkdir()
    patient.write_text("a patient's scan")
    settings = phantom.Phantom(output_dir=str(tmp_path), num_cases=2, phantom_spacing_zyx_mm=SPACING)
    with pytest.raises(InputError, match=rf"^{patient}: exists already and is kept; --overwrite replaces it$"):
        phantom.main(settings)
    assert [path.name for path in tmp_path.iterdir()] == ["case_00001"]
    phantom.main(replace(settings, overwrite=True))
    assert nib.load(patient).shape and data_note(str(tmp_path)) == "phantoms: not for real scans"


def test_anatomy_is_in_hounsfield_units() -> None:
    hu, labels = phantoms.draw_phantom(np.random.default_rng(5), SPACING)
    assert hu[:, 0, 0].max() < -900  # air outside
    assert 100 < np.median(hu[labels == 1]) < 220  # enhanced cortex and medulla
    assert 10 < np.median(hu[labels == 2]) < 130  # tumors are darker
    voxel_ml = np.prod(SPACING) / 1000
    assert 80 < (labels > 0).sum() * voxel_ml < 700


def test_some_phantoms_have_one_kidney() -> None:
    middle_empty = []
    for number in range(12):
        _, labels = phantoms.draw_phantom(np.random.default_rng([19, number]), (10.0, 6.0, 6.0))
        half = labels.shape[2] // 2
        middle_empty.append(not labels[..., :half].any() or not labels[..., half:].any())
    assert 0 < sum(middle_empty) < 6
