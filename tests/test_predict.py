from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from kits_tf import config, predict
from kits_tf.errors import InputError


def settings(run_dir: Path, output_dir: Path) -> config.Predict:
    return config.Predict(model=str(run_dir), output_dir=str(output_dir))


def test_case_folders_and_files_are_named_after_the_case(data_dir: Path, run_dir: Path, tmp_path: Path) -> None:
    inputs = [str(data_dir / "case_00000"), str(data_dir / "case_00001" / "imaging.nii.gz")]
    predict.main(settings(run_dir, tmp_path), inputs)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["case_00000.nii.gz", "case_00001.nii.gz"]
    for name in ("case_00000", "case_00001"):
        mask, scan = nib.load(tmp_path / f"{name}.nii.gz"), nib.load(data_dir / name / "imaging.nii.gz")
        assert mask.shape == scan.shape and (mask.affine == scan.affine).all()
        assert mask.get_data_dtype() == np.uint8


def test_one_bad_scan_does_not_stop_the_others(data_dir: Path, run_dir: Path, tmp_path: Path, capsys) -> None:
    (tmp_path / "bad.nii.gz").write_bytes(b"nothing")
    inputs = [str(tmp_path / "bad.nii.gz"), str(data_dir / "case_00000")]
    with pytest.raises(InputError, match=r"1 of 2 scans failed, the first: .*bad.nii.gz: expected a whole NIfTI file"):
        predict.main(settings(run_dir, tmp_path / "out"), inputs)
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["case_00000.nii.gz"]
    assert "bad.nii.gz: expected" in capsys.readouterr().out


def test_inputs_must_exist_be_nifti_and_have_different_names(data_dir: Path, tmp_path: Path) -> None:
    for inputs, message in (
        (["gone.nii.gz"], "gone.nii.gz: expected a scan, found no such file"),
        (["scan.dcm"], r"scan.dcm: expected a file named \*.nii.gz or \*.nii"),
        ([str(tmp_path)], "imaging.nii.gz: expected a scan, found no such file"),
        ([str(data_dir / "case_00000")] * 2, "would be written to the same file"),
    ):
        with pytest.raises(InputError, match=message):
            predict.name_scans(inputs)
