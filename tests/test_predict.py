import json
import shutil
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from kits_tf import config, predict
from kits_tf.base.errors import InputError
from kits_tf.ct.labels import LATERALITY
from kits_tf.ct.scans import find_scans
from kits_tf.ct.volume import read_image
from kits_tf.inference.building import segmenter_of
from kits_tf.inference.chain import parse_chain
from kits_tf.training.run import POSTPROCESS, load_run

DICOM, WITHOUT = config.DicomSettings(), config.InferenceSettings(postprocess="off")


def settings(run_dir: Path, output_dir: Path) -> predict.Predict:
    return predict.Predict(model=str(run_dir), output_dir=str(output_dir))


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


def test_what_has_a_mask_is_left_out(data_dir: Path, run_dir: Path, tmp_path: Path, capsys) -> None:
    predict.main(settings(run_dir, tmp_path), [str(data_dir / "case_00000")])
    before = (tmp_path / "case_00000.nii.gz").stat().st_mtime_ns
    predict.main(settings(run_dir, tmp_path), [str(data_dir / "case_0000[01]")])
    assert "1 of 2 scans have a mask in" in capsys.readouterr().out
    assert (tmp_path / "case_00000.nii.gz").stat().st_mtime_ns == before
    assert (tmp_path / "case_00001.nii.gz").is_file()
    with pytest.raises(InputError, match="gone: expected a run directory or an exported model, found no such folder"):
        predict.main(settings(tmp_path / "gone", tmp_path), [str(data_dir / "case_00000")])


def test_labels_of_the_challenge_and_their_names(data_dir: Path, run_dir: Path, tmp_path: Path) -> None:
    ours, challenge = settings(run_dir, tmp_path / "ours"), settings(run_dir, tmp_path / "challenge")
    predict.main(ours, [str(data_dir / "case_00000")])
    predict.main(replace(challenge, labels="challenge"), [str(data_dir / "case_00000")])
    masks = [nib.load(tmp_path / name / "case_00000.nii.gz") for name in ("ours", "challenge")]
    arrays = [np.asarray(mask.dataobj) for mask in masks]
    np.testing.assert_array_equal(np.array(LATERALITY.challenge)[arrays[0]], arrays[1])
    assert arrays[0].max() > 2  # or the comparison would say little
    names = [json.loads(mask.header.extensions[0].get_content())["labels"] for mask in masks]
    assert names == [
        dict(zip("0123", LATERALITY.classes, strict=True)),
        {"0": "background", "1": "kidney", "2": "tumor"},
    ]
    assert [mask.header.get_intent()[0] for mask in masks] == ["label"] * 2


def test_probabilities_and_uncertainty_lie_beside_the_mask(data_dir: Path, run_dir: Path, tmp_path: Path) -> None:
    inference = config.InferenceSettings(flip_axes="x")
    wanted = replace(settings(run_dir, tmp_path), probabilities=True, uncertainty=True, inference=inference)
    predict.main(wanted, [str(data_dir / "case_00000")])
    mask, probabilities, uncertainty = (
        nib.load(tmp_path / f"case_00000{name}.nii.gz") for name in ("", "_probabilities", "_uncertainty")
    )
    shares = probabilities.get_fdata()
    assert shares.shape == (*mask.shape, 3) and (probabilities.affine == mask.affine).all()
    every = np.concatenate([1 - shares.sum(axis=-1, keepdims=True), shares], axis=-1)
    labels = np.asarray(mask.dataobj)
    assert (np.take_along_axis(every, labels[..., None].astype(int), -1)[..., 0] >= every.max(axis=-1) - 1e-4).all()
    assert 0 <= uncertainty.get_fdata().min() < uncertainty.get_fdata().max() <= 1
    assert probabilities.get_data_dtype() == uncertainty.get_data_dtype() == np.uint16


def test_what_an_exported_model_or_a_single_pass_cannot_give_is_refused(
    data_dir: Path, run_dir: Path, tmp_path: Path
) -> None:
    inputs = [str(data_dir / "case_00000")]
    with pytest.raises(InputError, match="uncertainty: expected --flip_axes or several models, got a single pass"):
        predict.main(replace(settings(run_dir, tmp_path), uncertainty=True), inputs)


def test_a_coarse_model_finds_the_box_of_a_finer_one(data_dir: Path, run_dir: Path, tmp_path: Path) -> None:
    inference = config.InferenceSettings(coarse_model=str(run_dir), coarse_margin_mm=0.0)
    coarse = replace(settings(run_dir, tmp_path / "fine"), inference=inference)
    inputs = [str(data_dir / "case_00000")]
    predict.main(coarse, inputs)
    predict.main(settings(run_dir, tmp_path / "whole"), inputs)
    fine, whole = (np.asarray(nib.load(tmp_path / n / "case_00000.nii.gz").dataobj) for n in ("fine", "whole"))
    assert fine.any() and whole.any()
    # Nothing is found beyond half a voxel of the training grid (12, 10, 10 mm) around what the coarse one labels.
    spacing = nib.load(data_dir / "case_00000" / "imaging.nii.gz").header.get_zooms()
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        found, labeled = (np.flatnonzero(mask.any(axis=others)) for mask in (fine, whole))
        margin = 12 / spacing[axis] + 1
        assert labeled[0] - margin <= found[0] and found[-1] <= labeled[-1] + margin


def test_several_runs_are_averaged(data_dir: Path, run_dir: Path, tmp_path: Path) -> None:
    folds = tmp_path / "folds"
    for name in ("fold0", "fold1"):
        shutil.copytree(run_dir, folds / name)
    inputs = [str(data_dir / "case_00000")]
    for name, model in (("one", str(run_dir)), ("folds", str(folds)), ("listed", f"{run_dir},{folds}/fold0")):
        predict.main(replace(settings(run_dir, tmp_path / name), model=model), inputs)
    one, *others = (
        np.asarray(nib.load(tmp_path / n / "case_00000.nii.gz").dataobj) for n in ("one", "folds", "listed")
    )
    for other in others:
        np.testing.assert_array_equal(one, other)


def test_inputs_must_exist_be_nifti_and_have_different_names(data_dir: Path, tmp_path: Path) -> None:
    for inputs, message in (
        (["gone.nii.gz"], "gone.nii.gz: expected a scan, found no such file"),
        (["scan.dcm"], r"scan.dcm: expected a file named \*.nii.gz or \*.nii"),
        ([str(tmp_path / "*.nii.gz")], "expected a pattern of scans, found nothing that fits it"),
        ([str(data_dir / "case_00000")] * 2, "would be written to the same file"),
    ):
        with pytest.raises(InputError, match=message):
            find_scans(inputs, DICOM)


def test_folders_and_patterns_give_all_their_scans(data_dir: Path, tmp_path: Path) -> None:
    names = [f"case_0000{i}" for i in range(4)]
    assert [scan.name for scan in find_scans([str(data_dir)], DICOM)] == names
    assert [scan.name for scan in find_scans([str(data_dir / "case_*" / "imaging.nii.gz")], DICOM)] == names
    for name in ("b.nii.gz", "a.nii", "._b.nii.gz", "notes.txt"):
        shutil.copy(data_dir / "case_00000" / "imaging.nii.gz", tmp_path / name)
    assert [scan.name for scan in find_scans([str(tmp_path)], DICOM)] == ["a", "b"]


def test_masks_go_through_the_chain(run_dir: Path, data_dir: Path, tmp_path: Path) -> None:
    """What the run has chosen is done unless the flag says otherwise; volumes are those of the mask that is written."""
    copy = shutil.copytree(run_dir, tmp_path / "run")
    (copy / POSTPROCESS).write_text('{"chain": "open:9"}')
    predict.main(settings(copy, tmp_path / "out"), [str(data_dir / "case_00003")])
    written = np.asarray(nib.load(tmp_path / "out" / "case_00003.nii.gz").dataobj)
    model, image = (
        segmenter_of([load_run(copy)], WITHOUT).model(),
        read_image(data_dir / "case_00003" / "imaging.nii.gz"),
    )
    assert model.chain == () and (model.labels(image) != written).any()
    found = replace(model, chain=parse_chain("open:9")).results(image)
    np.testing.assert_array_equal(found["labels"], written)
    counts = np.bincount(written.ravel(), minlength=4)
    np.testing.assert_allclose(found["volumes_ml"], counts * 8 * 6 * 6 / 1000, rtol=1e-5)
    with pytest.raises(InputError, match="--postprocess: expected steps of"):
        segmenter_of([load_run(copy)], replace(WITHOUT, postprocess="hearts"))
