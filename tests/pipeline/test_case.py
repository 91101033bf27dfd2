from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from conftest import ALL_AXIS_CODES, TINY_GRID, affine_of

from kits_tf.base.errors import InputError
from kits_tf.config import GridSettings
from kits_tf.ct import cases
from kits_tf.ct.labels import LATERALITY, scheme_of
from kits_tf.ct.layouts import CaseFiles, find_cases
from kits_tf.ct.sides import BODY_HU
from kits_tf.ct.volume import AIR_HU
from kits_tf.pipeline import case as case_module
from kits_tf.pipeline.case import Case


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


def load_case(files: CaseFiles, settings: GridSettings) -> Case:
    return case_module.to_training_grid(files.case_id, cases.read_labeled(files, scheme_of(settings)), settings)


@pytest.fixture(scope="module")
def files(data_dir: Path) -> CaseFiles:
    return find_cases(str(data_dir))[0]


def test_a_record_gives_back_its_case_to_the_bit(files: CaseFiles) -> None:
    case = load_case(files, TINY_GRID)
    parsed = Case.parse(case.serialize())
    assert parsed.case_id == case.case_id == "case_00000"
    np.testing.assert_array_equal(parsed.hu, case.hu)
    np.testing.assert_array_equal(parsed.labels, case.labels)
    assert parsed.crop == case.crop
    for ours, theirs in ((parsed.grid, case.grid), (parsed.native, case.native)):
        assert ours.shape == theirs.shape
        np.testing.assert_array_equal(ours.affine, theirs.affine)


def test_files_in_any_axis_order_give_the_same_record_to_the_byte(files: CaseFiles, tmp_path: Path) -> None:
    settings = replace(TINY_GRID, crop="body")
    record = load_case(files, settings).serialize()
    for codes in ALL_AXIS_CODES:
        turned = rewrite(files, tmp_path / codes, codes)
        assert "".join(nib.aff2axcodes(nib.load(turned.image).affine)) == codes
        assert load_case(turned, settings).serialize() == record, codes


def test_a_case_without_a_mask_has_a_record_too(files: CaseFiles) -> None:
    case = load_case(files, TINY_GRID)
    unlabeled = Case.parse(load_case(replace(files, labels=None), TINY_GRID).serialize())
    np.testing.assert_array_equal(unlabeled.hu, case.hu)
    assert unlabeled.labels is None and unlabeled.class_voxel_counts() == ()
    with pytest.raises(ValueError, match="case_00000: expected labels, got a case without"):
        unlabeled.labels_on_native()


def test_a_crop_drops_air_and_is_undone(files: CaseFiles) -> None:
    whole, cropped = load_case(files, TINY_GRID), load_case(files, replace(TINY_GRID, crop="body"))
    assert cropped.hu.size < 0.8 * whole.hu.size
    parsed = Case.parse(cropped.serialize())
    np.testing.assert_array_equal(parsed.crop.undo(parsed.labels, outside=0), whole.labels)
    hu = parsed.crop.undo(parsed.hu, outside=AIR_HU)
    assert (hu[whole.hu > BODY_HU] == whole.hu[whole.hu > BODY_HU]).all()
    start = nib.affines.apply_affine(whole.grid.affine, cropped.crop.start)
    np.testing.assert_allclose(nib.affines.apply_affine(parsed.grid.affine, (0, 0, 0)), start)


@pytest.mark.parametrize("crop", ["none", "body"])
def test_labels_of_a_record_come_back_to_the_scans_own_grid(files: CaseFiles, crop: str) -> None:
    settings = GridSettings(spacing_zyx_mm=(8.0, 7.0, 7.0), crop=crop)
    scan = cases.read_labeled(files, LATERALITY)
    case = Case.parse(case_module.to_training_grid("case_00000", scan, settings).serialize())
    back = case.labels_on_native()
    assert back.shape == case.native.shape == scan.image.array.shape
    np.testing.assert_array_equal(case.native.affine, scan.image.grid.affine)
    for label in (1, 2, 3):
        both = ((back == label) & (scan.labels == label)).sum()
        assert 2 * both / ((back == label).sum() + (scan.labels == label).sum()) > 0.85


def test_every_grid_setting_changes_the_record(files: CaseFiles) -> None:
    base = GridSettings(spacing_zyx_mm=(11.0, 9.0, 9.0))
    others = [
        GridSettings(spacing_zyx_mm=(12.0, 9.0, 9.0)),
        GridSettings(spacing_zyx_mm=(11.0, 9.0, 9.0), image_kernel="linear"),
        GridSettings(spacing_zyx_mm=(11.0, 9.0, 9.0), label_kernel="nearest"),
        GridSettings(spacing_zyx_mm=(11.0, 9.0, 9.0), label_scheme="kits19"),
        GridSettings(spacing_zyx_mm=(11.0, 9.0, 9.0), crop="body"),
    ]
    records = [load_case(files, settings).serialize() for settings in (base, *others)]
    assert len(set(records)) == len(records)


def test_class_voxels_are_voxels_of_their_class(files: CaseFiles) -> None:
    case = load_case(files, TINY_GRID)
    rows = case_module.sample_class_voxels(case.labels, seed=0)
    assert (case.labels[tuple(rows[:, 1:].T)] == rows[:, 0]).all()
    counts = case.class_voxel_counts()
    assert sum(counts) == case.labels.size
    assert [(rows[:, 0] == label).sum() for label in (1, 2, 3)] == list(counts[1:])  # fewer than are kept at most
    assert len(np.unique(rows, axis=0)) == len(rows)


def test_class_voxels_are_bounded_and_empty_for_an_empty_mask() -> None:
    assert len(case_module.sample_class_voxels(np.ones((30, 30, 30), np.uint8), 0)) == case_module.CLASS_VOXELS_KEPT
    assert case_module.sample_class_voxels(np.zeros((3, 3, 3), np.uint8), 0).shape == (0, 4)


def test_image_and_mask_must_lie_on_one_grid(files: CaseFiles, tmp_path: Path) -> None:
    shifted = rewrite(files, tmp_path / "shifted", "IPL", image_shift_mm=5.0)
    with pytest.raises(InputError, match="segmentation.nii.gz: expected the scan's place and axes .*, got "):
        cases.read_pair(shifted)
    mask = nib.load(files.labels)
    nib.save(nib.Nifti1Image(np.asarray(mask.dataobj)[:-1], mask.affine), tmp_path / "short.nii.gz")
    with pytest.raises(InputError, match="short.nii.gz: expected the scan's grid of .* voxels, got "):
        cases.read_pair(CaseFiles("case_00000", files.image, tmp_path / "short.nii.gz"))


@pytest.mark.parametrize(("cyst_as", "expected"), [("kidney", 2), ("background", 0), ("class", 4)])
def test_cysts_of_kits23_become_what_is_asked(tmp_path: Path, cyst_as: str, expected: int) -> None:
    hu, mask = np.full((8, 8, 40), 30, np.int16), np.zeros((8, 8, 40), np.uint8)
    mask[..., 2:6], mask[..., 30:38], mask[2:6, 2:6, 32:36] = 1, 1, 3
    for name, array in (("image.nii", hu), ("mask.nii", mask)):
        nib.save(nib.Nifti1Image(array, affine_of("IPL", (4.0, 4.0, 4.0))), tmp_path / name)
    settings = GridSettings(spacing_zyx_mm=(4.0, 4.0, 4.0), cyst_as=cyst_as)
    case = load_case(CaseFiles("case_00301", tmp_path / "image.nii", tmp_path / "mask.nii"), settings)
    assert case.labels[4, 4, 34] == expected and case.labels[0, 0, 34] == 2 and case.labels[4, 4, 4] == 1


def test_mask_values_outside_the_challenge_are_refused(tmp_path: Path) -> None:
    for name, value in (("image.nii", -50), ("mask.nii", 4)):
        nib.save(nib.Nifti1Image(np.full((4, 4, 4), value, np.int16), affine_of("IPL")), tmp_path / name)
    with pytest.raises(InputError, match=r"mask.nii: expected labels 0..3, found \[4\]"):
        cases.read_pair(CaseFiles("case_00000", tmp_path / "image.nii", tmp_path / "mask.nii"))
