from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from conftest import TINY_GRID, affine_of

from kits_tf.config import GridSettings
from kits_tf.ct import geometry
from kits_tf.ct.labels import LATERALITY
from kits_tf.ct.layouts import CaseFiles, find_cases
from kits_tf.errors import InputError
from kits_tf.pipeline import example
from kits_tf.pipeline.example import Case


def rewrite(files: CaseFiles, folder: Path, codes: str, image_shift_mm: float = 0.0) -> CaseFiles:
    """Returns a copy of a case stored in another axis order."""
    folder.mkdir()
    for source, shift in ((files.image, image_shift_mm), (files.labels, 0.0)):
        image = nib.load(source)
        to_codes = nib.orientations.axcodes2ornt(tuple(codes))
        turned = image.as_reoriented(
            nib.orientations.ornt_transform(nib.orientations.io_orientation(image.affine), to_codes)
        )
        affine = turned.affine.copy()
        affine[0, 3] += shift
        nib.save(nib.Nifti1Image(np.asarray(turned.dataobj), affine), folder / source.name)
    return CaseFiles(files.case_id, folder / files.image.name, folder / files.labels.name)


@pytest.fixture(scope="module")
def files(data_dir: Path) -> CaseFiles:
    return find_cases(str(data_dir))[0]


def test_a_record_gives_back_its_case_to_the_bit(files: CaseFiles) -> None:
    case = example.load_case(files, TINY_GRID)
    parsed = Case.parse(case.serialize())
    assert parsed.case_id == case.case_id == "case_00000"
    np.testing.assert_array_equal(parsed.hu, case.hu)
    np.testing.assert_array_equal(parsed.labels, case.labels)
    for ours, theirs in ((parsed.grid, case.grid), (parsed.stored, case.stored)):
        assert ours.shape == theirs.shape
        np.testing.assert_array_equal(ours.affine, theirs.affine)


@pytest.mark.parametrize("codes", ["RAS", "LPS", "PIR", "SLA"])
def test_the_axis_order_of_the_files_does_not_change_the_voxels(files: CaseFiles, tmp_path: Path, codes: str) -> None:
    case = example.load_case(files, TINY_GRID)
    other = example.load_case(rewrite(files, tmp_path / codes, codes), TINY_GRID)
    assert geometry.axis_codes(other.stored.affine) == codes
    np.testing.assert_array_equal(other.hu, case.hu)
    np.testing.assert_array_equal(other.labels, case.labels)
    np.testing.assert_allclose(other.grid.affine, case.grid.affine, atol=1e-4)


def test_every_grid_setting_changes_the_record(files: CaseFiles) -> None:
    base = GridSettings(spacing_zyx_mm=(11.0, 9.0, 9.0))
    others = [
        GridSettings(spacing_zyx_mm=(12.0, 9.0, 9.0)),
        GridSettings(spacing_zyx_mm=(11.0, 9.0, 9.0), image_kernel="linear"),
        GridSettings(spacing_zyx_mm=(11.0, 9.0, 9.0), label_kernel="nearest"),
        GridSettings(spacing_zyx_mm=(11.0, 9.0, 9.0), label_scheme="kits19"),
    ]
    records = [example.load_case(files, settings).serialize() for settings in (base, *others)]
    assert len(set(records)) == len(records)


def test_class_voxels_are_voxels_of_their_class(files: CaseFiles) -> None:
    case = example.load_case(files, TINY_GRID)
    rows = example.sample_class_voxels(case.labels, seed=0)
    assert (case.labels[tuple(rows[:, 1:].T)] == rows[:, 0]).all()
    counts = case.class_voxel_counts(len(LATERALITY.classes))
    assert sum(counts) == case.labels.size
    assert [(rows[:, 0] == label).sum() for label in (1, 2, 3)] == list(counts[1:])  # fewer than are kept at most
    assert len(np.unique(rows, axis=0)) == len(rows)


def test_class_voxels_are_bounded_and_empty_for_an_empty_mask() -> None:
    assert len(example.sample_class_voxels(np.ones((30, 30, 30), np.uint8), 0)) == example.CLASS_VOXELS_KEPT
    assert example.sample_class_voxels(np.zeros((3, 3, 3), np.uint8), 0).shape == (0, 4)


def test_image_and_mask_must_lie_on_one_grid(files: CaseFiles, tmp_path: Path) -> None:
    shifted = rewrite(files, tmp_path / "shifted", "IPL", image_shift_mm=5.0)
    with pytest.raises(InputError, match=r"segmentation.nii.gz: mask has affine .* expected the image's"):
        example.read_pair(shifted)
    mask = nib.load(files.labels)
    nib.save(nib.Nifti1Image(np.asarray(mask.dataobj)[:-1], mask.affine), tmp_path / "short.nii.gz")
    with pytest.raises(InputError, match=r"short.nii.gz: mask has shape .* expected the image's"):
        example.read_pair(CaseFiles("case_00000", files.image, tmp_path / "short.nii.gz"))


def test_mask_values_outside_the_challenge_are_refused(tmp_path: Path) -> None:
    for name, value in (("image.nii", -50), ("mask.nii", 3)):
        nib.save(nib.Nifti1Image(np.full((4, 4, 4), value, np.int16), affine_of("IPL")), tmp_path / name)
    with pytest.raises(InputError, match=r"mask.nii: expected labels 0..2, found \[3\]"):
        example.read_pair(CaseFiles("case_00000", tmp_path / "image.nii", tmp_path / "mask.nii"))
