"""restore, the inverse of convert."""

import shutil
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from conftest import convert_settings

from kits_tf import convert, restore
from kits_tf.base.errors import InputError
from kits_tf.config import GridSettings, SplitSettings
from tfrecords_tools.read import read_records
from tfrecords_tools.write import write_records

# The phantoms' own: nothing is resampled, so everything must come back to the bit.
NATIVE = GridSettings(spacing_zyx_mm=(8.0, 6.0, 6.0), crop="body")


def stored_as(source: Path, target: Path, codes: str) -> None:
    image = nib.load(source)
    to_codes = nib.orientations.axcodes2ornt(tuple(codes))
    way = nib.orientations.ornt_transform(nib.orientations.io_orientation(image.affine), to_codes)
    target.parent.mkdir(parents=True, exist_ok=True)
    nib.save(image.as_reoriented(way), target)


@pytest.fixture(scope="module")
def turned(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three phantoms in three axis orders, and one of them without a mask."""
    data = tmp_path_factory.mktemp("turned")
    for case_id, codes in (("case_00000", "RAS"), ("case_00001", "LIP"), ("case_00002", "IPL")):
        for name in ("imaging.nii.gz", "segmentation.nii.gz"):
            stored_as(data_dir / case_id / name, data / case_id / name, codes)
    (data / "case_00210").mkdir()
    shutil.copyfile(data_dir / "case_00003/imaging.nii.gz", data / "case_00210/imaging.nii.gz")
    return data


@pytest.fixture(scope="module")
def records(turned: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("native")
    convert.main(convert_settings(turned, root, grid=NATIVE, splits=SplitSettings(test_cases="")))
    return root


def same_file(path: Path, source: Path, inside: np.ndarray | None = None) -> None:
    found, expected = nib.load(path), nib.load(source)
    np.testing.assert_array_equal(found.affine, expected.affine)
    values, wanted = np.asarray(found.dataobj), np.asarray(expected.dataobj)
    if inside is None:
        np.testing.assert_array_equal(values, wanted)
    else:
        np.testing.assert_array_equal(values[inside], wanted[inside])
        assert (values[~inside] == -1024).all()


def test_what_was_not_resampled_comes_back_to_the_bit(turned: Path, records: Path, tmp_path: Path) -> None:
    shards = [str(path) for path in sorted(records.glob("*.tfrecord"))]
    restore.main(restore.Restore(output_dir=str(tmp_path)), shards)
    assert len(shards) == 4
    for case in sorted(turned.iterdir()):
        scan = np.asarray(nib.load(tmp_path / case.name / "imaging.nii.gz").dataobj)
        same_file(tmp_path / case.name / "imaging.nii.gz", case / "imaging.nii.gz", inside=scan != -1024)
        assert (scan != -1024).mean() > 0.3
        if case.name != "case_00210":
            same_file(tmp_path / case.name / "segmentation.nii.gz", case / "segmentation.nii.gz")
    assert not (tmp_path / "case_00210/segmentation.nii.gz").exists()


def test_labels_of_the_record_on_request(turned: Path, records: Path, tmp_path: Path) -> None:
    settings = restore.Restore(output_dir=str(tmp_path), restored_labels="record")
    restore.main(settings, [str(records / "case_00000.tfrecord")])
    labels = np.asarray(nib.load(tmp_path / "case_00000/segmentation.nii.gz").dataobj)
    truth = np.asarray(nib.load(turned / "case_00000/segmentation.nii.gz").dataobj)
    np.testing.assert_array_equal(np.array([0, 1, 1, 2])[labels], truth)
    # In RAS, x runs to the right: the right kidney has the higher indices.
    assert np.argwhere(labels == 1)[:, 0].min() > np.argwhere(labels == 2)[:, 0].max()


def test_without_a_manifest_axes_are_ipl_and_the_place_is_the_same(turned: Path, records: Path, tmp_path: Path) -> None:
    both = [record for i in (0, 1) for record in read_records(records / f"case_{i:05d}.tfrecord")]
    write_records(tmp_path / "both.tfrecord", both)
    restore.main(restore.Restore(output_dir=str(tmp_path)), [str(tmp_path / "both.tfrecord")])
    for name in ("case_00000", "case_00001"):
        found = nib.load(tmp_path / name / "segmentation.nii.gz")
        assert nib.aff2axcodes(found.affine) == ("I", "P", "L")
        expected = tmp_path / "expected.nii.gz"
        stored_as(turned / name / "segmentation.nii.gz", expected, "IPL")
        same_file(tmp_path / name / "segmentation.nii.gz", expected)


def test_a_resampled_record_comes_close(data_dir: Path, tmp_path: Path) -> None:
    grid = GridSettings(spacing_zyx_mm=(6.0, 5.0, 5.0))
    convert.main(convert_settings(data_dir, tmp_path / "records", grid=grid))
    restore.main(restore.Restore(output_dir=str(tmp_path)), [str(tmp_path / "records/case_00000.tfrecord")])
    scan, truth = (
        np.asarray(nib.load(root / "case_00000/imaging.nii.gz").dataobj).astype(float) for root in (tmp_path, data_dir)
    )
    assert scan.shape == truth.shape and np.abs(scan - truth).mean() < 15  # noise has a deviation of 8 to 16 HU
    mask, true_mask = (
        np.asarray(nib.load(root / "case_00000/segmentation.nii.gz").dataobj) > 0 for root in (tmp_path, data_dir)
    )
    assert 2 * (mask & true_mask).sum() / (mask.sum() + true_mask.sum()) > 0.95


def test_cases_that_are_there_are_kept_unless_they_are_to_be_replaced(records: Path, tmp_path: Path) -> None:
    names = [str(records / f"case_0000{i}.tfrecord") for i in (0, 1)]
    mask = tmp_path / "case_00000/segmentation.nii.gz"
    mask.parent.mkdir()
    mask.write_text("corrected by hand")
    settings = restore.Restore(output_dir=str(tmp_path))
    with pytest.raises(InputError, match=rf"1 of 2 files failed, the first: .*{mask}: exists already and is kept"):
        restore.main(settings, names)
    assert mask.read_text() == "corrected by hand" and (tmp_path / "case_00001/imaging.nii.gz").exists()
    restore.main(replace(settings, overwrite=True), names)
    assert nib.load(mask).shape


def test_bad_files_are_named(records: Path, tmp_path: Path) -> None:
    settings = restore.Restore(output_dir=str(tmp_path / "out"))
    with pytest.raises(InputError, match=r"gone.tfrecord"):
        restore.main(settings, [str(tmp_path / "gone.tfrecord")])
    write_records(tmp_path / "other.tfrecord", [b"no example at all"])
    with pytest.raises(InputError, match="expected"):
        restore.main(settings, [str(tmp_path / "other.tfrecord")])
    assert not (tmp_path / "out").exists()
