"""Scans that are left out, fail or are written, and masks in every scheme that --labels names."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from conftest import as_codes

from kits_tf.base.errors import InputError, UnavailableError
from kits_tf.config import DicomSettings
from kits_tf.ct.labels import KITS19, LATERALITY
from kits_tf.ct.scans import find_scans
from kits_tf.inference import batch_prediction
from kits_tf.inference.batch_prediction import segment_scans
from kits_tf.inference.model import Model, Segmentation
from kits_tf.inference.segmenter import Segmenter


@pytest.fixture
def scan(data_dir: Path, tmp_path: Path) -> Path:
    """A phantom turned to (A, R, S), to be segmented by a model without sides."""
    image = as_codes(nib.load(data_dir / "case_00000" / "imaging.nii.gz"), "ARS")
    nib.save(image, tmp_path / "scan.nii.gz")
    return tmp_path / "scan.nii.gz"


@pytest.mark.parametrize("scheme", ["model", "challenge", "laterality"])
def test_labels_are_those_that_were_asked_for(scheme: str, scan: Path, data_dir: Path, tmp_path: Path) -> None:
    truth = nib.load(data_dir / "case_00000" / "segmentation.nii.gz")
    official = np.asarray(as_codes(truth, "ARS").dataobj).astype(np.uint8)

    def segment(hu: np.ndarray, affine: np.ndarray) -> Segmentation:
        volumes_ml, confidence = np.array([900, 12, 3.4], np.float32), np.ones(3, np.float32)
        return Segmentation(labels=official, volumes_ml=volumes_ml, confidence=confidence)

    scans = find_scans([str(scan)], DicomSettings())
    (prediction,) = segment_scans(scans, tmp_path / "out", scheme, lambda: Model(segment, KITS19))
    assert str(prediction) == f"{scan} -> {tmp_path / 'out' / 'scan.nii.gz'}: kidney 12 mL, tumor 3 mL"
    mask = nib.load(tmp_path / "out" / "scan.nii.gz")
    labels, names = np.asarray(mask.dataobj), json.loads(mask.header.extensions[0].get_content())["labels"]
    if scheme != "laterality":
        np.testing.assert_array_equal(labels, official)
        assert list(names.values()) == list(KITS19.classes)
        return
    assert list(names.values()) == list(LATERALITY.classes)
    np.testing.assert_array_equal(LATERALITY.to_challenge(labels), official)
    x_mm = {side: (mask.affine @ [*np.argwhere(labels == side).mean(axis=0), 1])[0] for side in (1, 2)}
    assert x_mm[1] > x_mm[2] + 50  # NIfTI's x grows to the patient's right


def test_one_bad_scan_does_not_stop_the_others(
    data_dir: Path, segmenter: Segmenter, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "bad.nii.gz").write_bytes(b"nothing")
    scans = find_scans([str(tmp_path / "bad.nii.gz"), str(data_dir / "case_00000")], DicomSettings())
    predictions = segment_scans(scans, tmp_path / "out", "model", segmenter.model)
    assert next(predictions).path == tmp_path / "out" / "case_00000.nii.gz"
    with pytest.raises(InputError, match=r"1 of 2 scans failed, the first: .*bad.nii.gz: expected a whole NIfTI file"):
        next(predictions)
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["case_00000.nii.gz"]
    assert "bad.nii.gz: expected" in caplog.text


def test_a_mask_that_cannot_be_written_is_a_failure_of_its_own_scan(
    data_dir: Path, segmenter: Segmenter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scans = find_scans([str(data_dir / "case_0000[01]")], DicomSettings())

    def write(path: Path, *_: object, **__: object) -> None:
        if path.name == "case_00000.nii.gz":
            raise InputError("expected a disk with room")

    monkeypatch.setattr(batch_prediction, "write_stored", write)
    predictions = segment_scans(scans, tmp_path, "model", segmenter.model)
    assert next(predictions).path.name == "case_00001.nii.gz"
    with pytest.raises(InputError, match=r"1 of 2 scans failed, the first: .*case_00000.*: expected a disk with room"):
        next(predictions)


def test_the_mask_before_a_server_is_gone_is_a_result(data_dir: Path, segmenter: Segmenter, tmp_path: Path) -> None:
    scans = find_scans([str(data_dir / "case_0000[012]")], DicomSettings())
    model, calls = segmenter.model(), list[int]()

    def segment(hu: np.ndarray, affine: np.ndarray) -> Segmentation:
        calls.append(len(calls))
        if len(calls) == 2:
            raise UnavailableError("the server is gone")
        return model.segment(hu, affine)

    predictions = segment_scans(scans, tmp_path, "model", lambda: Model(segment, LATERALITY))
    assert next(predictions).path.name == "case_00000.nii.gz"
    with pytest.raises(UnavailableError, match="the server is gone"):
        next(predictions)
    assert len(calls) == 2


def test_what_has_a_mask_is_left_out(
    data_dir: Path, segmenter: Segmenter, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "kits_tf")
    first, both = (find_scans([str(data_dir / name)], DicomSettings()) for name in ("case_00000", "case_0000[01]"))
    list(segment_scans(first, tmp_path, "model", segmenter.model))
    before = (tmp_path / "case_00000.nii.gz").stat().st_mtime_ns
    (prediction,) = segment_scans(both, tmp_path, "model", segmenter.model)
    assert "1 of 2 scans have a mask in" in caplog.text
    assert prediction.path == tmp_path / "case_00001.nii.gz" and prediction.path.is_file()
    assert (tmp_path / "case_00000.nii.gz").stat().st_mtime_ns == before

    def load() -> Model:
        raise AssertionError("nothing is to be done")

    assert list(segment_scans(both, tmp_path, "model", load)) == []


def test_labels_of_the_challenge_and_their_names(data_dir: Path, segmenter: Segmenter, tmp_path: Path) -> None:
    scans = find_scans([str(data_dir / "case_00000")], DicomSettings())
    schemes = ("model", "challenge")
    masks = [nib.load(next(segment_scans(scans, tmp_path / name, name, segmenter.model)).path) for name in schemes]
    arrays = [np.asarray(mask.dataobj) for mask in masks]
    np.testing.assert_array_equal(np.array(LATERALITY.challenge)[arrays[0]], arrays[1])
    assert arrays[0].max() > 2  # or the comparison would say little
    names = [json.loads(mask.header.extensions[0].get_content())["labels"] for mask in masks]
    assert names == [
        dict(zip("0123", LATERALITY.classes, strict=True)),
        {"0": "background", "1": "kidney", "2": "tumor"},
    ]
    assert [mask.header.get_intent()[0] for mask in masks] == ["label"] * 2
