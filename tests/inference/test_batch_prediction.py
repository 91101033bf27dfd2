"""Scans that are skipped, fail or are written, and masks in every scheme that --labels names."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from conftest import as_codes

from kits_tf.base.errors import InputError, UnavailableError
from kits_tf.config import DicomSettings
from kits_tf.ct.labels import KITS19, LATERALITY
from kits_tf.ct.scans import collect_scans, find_scans
from kits_tf.ct.volume import read_image, read_metadata
from kits_tf.inference import batch_prediction
from kits_tf.inference.batch_prediction import segment_scans
from kits_tf.inference.mask_output import MaskOutput
from kits_tf.inference.model import Model, Segmentation
from kits_tf.inference.segmenter import Segmenter


def output(folder: Path, labels: str = "model", **changes: object) -> MaskOutput:
    return MaskOutput(folder=folder, model="kits/3 sha256:00", labels=labels, **changes)


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
        return Segmentation(labels=official, volumes_ml=np.zeros(3, np.float32), confidence=np.ones(3, np.float32))

    scans = find_scans([str(scan)], DicomSettings())
    (prediction,) = segment_scans(scans, output(tmp_path / "out", scheme), lambda: Model(segment, KITS19))
    mask = nib.load(tmp_path / "out" / "scan.nii.gz")
    labels, names = np.asarray(mask.dataobj), json.loads(mask.header.extensions[0].get_content())["labels"]
    ml = np.prod(mask.header.get_zooms()) / 1000
    volumes = [
        f"{name.replace('_', ' ')} {(labels == i).sum() * ml:.0f} mL" for i, name in enumerate(names.values()) if i
    ]
    assert str(prediction) == f"{scan} -> {tmp_path / 'out' / 'scan.nii.gz'}: {', '.join(volumes)}."
    assert (labels > 0).sum() * ml > 100
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
    predictions = segment_scans(scans, output(tmp_path / "out"), segmenter.model)
    assert next(predictions).path == tmp_path / "out" / "case_00000.nii.gz"
    with pytest.raises(InputError, match=r"1 of 2 scans failed, the first: .*bad.nii.gz: expected a whole NIfTI file"):
        next(predictions)
    assert [p.name for p in (tmp_path / "out").glob("[!.]*")] == ["case_00000.nii.gz"]
    assert "bad.nii.gz: expected" in caplog.text


def test_a_mask_that_cannot_be_written_is_a_failure_of_its_own_scan(
    data_dir: Path, segmenter: Segmenter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scans = find_scans([str(data_dir / "case_0000[01]")], DicomSettings())

    def write(path: Path, *_: object, **__: object) -> None:
        if path.name == "case_00000.nii.gz":
            raise InputError("expected a disk with room")
        path.touch()

    monkeypatch.setattr(batch_prediction, "write_stored", write)
    predictions = segment_scans(scans, output(tmp_path), segmenter.model)
    assert next(predictions).path.name == "case_00001.nii.gz"
    with pytest.raises(InputError, match=r"1 of 2 scans failed, the first: .*case_00000.*: expected a disk with room"):
        next(predictions)


def test_a_full_disk_ends_the_run_with_what_is_done(
    data_dir: Path, segmenter: Segmenter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scans = find_scans([str(data_dir / "case_0000[0123]")], DicomSettings())
    write_stored = batch_prediction.write_stored

    def write(path: Path, *rest: object, **named: object) -> None:
        if path.name != "case_00000.nii.gz":
            raise OSError(28, "No space left on device", str(path))
        write_stored(path, *rest, **named)

    monkeypatch.setattr(batch_prediction, "write_stored", write)
    predictions = segment_scans(scans, output(tmp_path), segmenter.model)
    assert next(predictions).path.name == "case_00000.nii.gz"
    message = r"No space left on device.*case_00001.nii.gz.*\(1 of 4 scans are done, 0 failed; the same command goes on"
    with pytest.raises(InputError, match=message):
        next(predictions)
    assert [path.name for path in tmp_path.glob("[!.]*")] == ["case_00000.nii.gz"]


def test_the_mask_before_a_server_is_gone_is_a_result(data_dir: Path, segmenter: Segmenter, tmp_path: Path) -> None:
    scans = find_scans([str(data_dir / "case_0000[012]")], DicomSettings())
    model, calls = segmenter.model(), list[int]()

    def segment(hu: np.ndarray, affine: np.ndarray) -> Segmentation:
        calls.append(len(calls))
        if len(calls) == 2:
            raise UnavailableError("the server is gone")
        return model.segment(hu, affine)

    predictions = segment_scans(scans, output(tmp_path), lambda: Model(segment, LATERALITY))
    assert next(predictions).path.name == "case_00000.nii.gz"
    with pytest.raises(UnavailableError, match="the server is gone"):
        next(predictions)
    assert len(calls) == 2


def test_what_has_a_mask_is_skipped(
    data_dir: Path, segmenter: Segmenter, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "kits_tf")
    first, both = (find_scans([str(data_dir / name)], DicomSettings()) for name in ("case_00000", "case_0000[01]"))
    list(segment_scans(first, output(tmp_path), segmenter.model))
    before = (tmp_path / "case_00000.nii.gz").stat().st_mtime_ns
    (prediction,) = segment_scans(both, output(tmp_path), segmenter.model)
    assert f"skipped 1 scan, already segmented by this model in {tmp_path}: case_00000" in caplog.messages
    assert prediction.path == tmp_path / "case_00001.nii.gz" and prediction.path.is_file()
    assert (tmp_path / "case_00000.nii.gz").stat().st_mtime_ns == before

    def load() -> Model:
        raise AssertionError("nothing is to be done")

    assert list(segment_scans(both, output(tmp_path), load)) == []


def test_labels_of_the_challenge_and_their_names(data_dir: Path, segmenter: Segmenter, tmp_path: Path) -> None:
    scans = find_scans([str(data_dir / "case_00000")], DicomSettings())
    schemes = ("model", "challenge")
    masks = [
        nib.load(next(segment_scans(scans, output(tmp_path / name, name), segmenter.model)).path) for name in schemes
    ]
    arrays = [np.asarray(mask.dataobj) for mask in masks]
    np.testing.assert_array_equal(np.array(LATERALITY.challenge)[arrays[0]], arrays[1])
    assert arrays[0].max() > 2  # or the comparison would say little
    names = [json.loads(mask.header.extensions[0].get_content())["labels"] for mask in masks]
    assert names == [
        dict(zip("0123", LATERALITY.classes, strict=True)),
        {"0": "background", "1": "kidney", "2": "tumor"},
    ]
    assert [mask.header.get_intent()[0] for mask in masks] == ["label"] * 2


def constant_model(names: tuple[str, ...] = ()) -> Model:
    """Returns a model that labels every voxel the same, with maps that are the same everywhere."""

    def segment(hu: np.ndarray, affine: np.ndarray) -> Segmentation:
        labels, numbers = np.ones(hu.shape, np.uint8), np.ones(3, np.float32)
        maps = {
            "probabilities": np.full((*hu.shape, 2), 32767, np.uint16),
            "uncertainty": np.full(hu.shape, 655, np.uint16),
        }
        return Segmentation(
            labels=labels, volumes_ml=numbers, confidence=numbers, **{name: maps[name] for name in names}
        )

    return Model(segment, KITS19, accept_intensities=True)


def write_scan(path: Path, level: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    voxels = np.full((6, 5, 4), level, np.int16)
    voxels[0] = -1000
    nib.save(nib.Nifti1Image(voxels, np.diag([2, 2, 3, 1])), path)
    return path


def test_a_single_plane_is_no_scan(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(np.full((6, 5, 1), 30, np.int16), np.diag([2, 2, 3, 1])), tmp_path / "plane.nii.gz")
    (scan,) = find_scans([str(tmp_path / "plane.nii.gz")], DicomSettings())
    with pytest.raises(InputError, match="plane.nii.gz: expected a scan of many slices, got a single plane, 1 x 5 x 6"):
        scan.read()


def predict_all(inputs: list[Path], place: MaskOutput) -> list[str]:
    scans = collect_scans([str(path) for path in inputs], DicomSettings())
    return [prediction.path.name for prediction in segment_scans(scans, place, lambda: constant_model(place.maps))]


def test_a_mask_of_another_scan_stops_with_both_names(tmp_path: Path) -> None:
    first, second = (write_scan(tmp_path / f"patient_{name}" / "ct.nii.gz", 30 + i) for i, name in enumerate("AB"))
    place = output(tmp_path / "out")
    assert predict_all([first], place) == ["ct.nii.gz"] and predict_all([first], place) == []
    before = (tmp_path / "out" / "ct.nii.gz").read_bytes()
    with pytest.raises(InputError, match=r"out/ct.nii.gz is the mask of another scan than .*patient_B/ct.nii.gz"):
        predict_all([second], place)
    assert (tmp_path / "out" / "ct.nii.gz").read_bytes() == before
    assert predict_all([second], output(tmp_path / "out", overwrite=True)) == ["ct.nii.gz"]


def test_a_mask_by_another_model_or_without_a_word_is_kept(tmp_path: Path) -> None:
    scan, place = write_scan(tmp_path / "ct.nii.gz", 30), output(tmp_path / "out")
    predict_all([scan], place)
    with pytest.raises(InputError, match="by another model, kits/3 sha256:00, expected kits/3 sha256:00 --labels=chal"):
        predict_all([scan], output(tmp_path / "out", "challenge"))
    path = tmp_path / "out" / "ct.nii.gz"
    edited = nib.load(path)
    nib.save(nib.Nifti1Image(np.asarray(edited.dataobj), edited.affine), path)
    for overwrite in (False, True):
        with pytest.raises(InputError, match="it does not say of which scan it is"):
            predict_all([scan], output(tmp_path / "out", overwrite=overwrite))
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(InputError, match="expected a whole NIfTI file"):
        predict_all([scan], place)


def test_scans_of_one_name_are_named_apart(tmp_path: Path) -> None:
    for i, name in enumerate("AB"):
        write_scan(tmp_path / f"patient_{name}" / "ct.nii.gz", 30 + i)
    names = predict_all([tmp_path / "patient_*" / "ct.nii.gz"], output(tmp_path / "out"))
    assert names == ["patient_A_ct.nii.gz", "patient_B_ct.nii.gz"]


def test_the_folder_of_the_scans_is_no_output(tmp_path: Path) -> None:
    scan = write_scan(tmp_path / "scans" / "a.nii.gz", 30)
    (tmp_path / "link").symlink_to(tmp_path / "scans")
    for given in (scan, tmp_path / "scans"):
        for folder in ("scans", "link"):
            with pytest.raises(InputError, match="expected another folder than that of"):
                predict_all([given], output(tmp_path / folder))
    assert [path.name for path in (tmp_path / "scans").iterdir()] == ["a.nii.gz"]


def test_a_bad_input_costs_no_other(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    scan = write_scan(tmp_path / "a.nii.gz", 30)
    with pytest.raises(InputError, match=r"1 of 2 scans failed, the first: .*gone.nii.gz: expected a scan"):
        predict_all([tmp_path / "gone.nii.gz", scan], output(tmp_path / "out"))
    assert (tmp_path / "out" / "a.nii.gz").is_file()


def test_what_predict_wrote_is_no_scan(tmp_path: Path) -> None:
    """A map is an image by its header as a scan is: what it says of itself tells them apart."""
    scan = write_scan(tmp_path / "ct.nii.gz", 30)
    predict_all([scan], output(tmp_path / "out", maps=("probabilities", "uncertainty")))
    for name, words in (
        ("ct", "a mask or a map"),
        ("ct_uncertainty", "a mask or a map"),
        ("ct_probabilities", "three axes"),
    ):
        path = tmp_path / "out" / f"{name}.nii.gz"
        metadata = read_metadata(path)
        assert (metadata.scan, metadata.model) == (read_image(scan).digest(), "kits/3 sha256:00")
        assert metadata.classes == (KITS19.classes if name == "ct" else ())
        assert nib.load(path).header.get_intent()[0] == ("label" if name == "ct" else "none")
        with pytest.raises(InputError, match=f"out/{name}.nii.gz: expected .*{words}"):
            predict_all([path], output(tmp_path / "again"))
    assert not list((tmp_path / "again").glob("[!.]*"))


def test_no_map_is_left_beside_a_mask_that_it_does_not_belong_to(tmp_path: Path) -> None:
    first, second = (write_scan(tmp_path / name / "ct.nii.gz", 30 + i) for i, name in enumerate("AB"))
    folder, maps = tmp_path / "out", ("probabilities", "uncertainty")
    predict_all([first], output(folder, maps=maps))
    assert predict_all([first], output(folder, overwrite=True)) == ["ct.nii.gz"]  # the maps are still its own
    before = (folder / "ct.nii.gz").read_bytes()
    with pytest.raises(InputError, match=r"ct_probabilities.nii.gz: expected the map of .*B/ct.nii.gz by kits/3"):
        predict_all([second], output(folder, overwrite=True))
    with pytest.raises(InputError, match=r"ct_uncertainty.nii.gz: expected the map of"):
        predict_all([second], output(folder, overwrite=True, maps=maps[:1]))
    (folder / "ct.nii.gz").rename(tmp_path / "moved.nii.gz")
    with pytest.raises(InputError, match=r"ct_probabilities.nii.gz: expected the map of"):
        predict_all([second], output(folder))
    (tmp_path / "moved.nii.gz").rename(folder / "ct.nii.gz")
    assert (folder / "ct.nii.gz").read_bytes() == before
    assert predict_all([second], output(folder, maps=maps, overwrite=True)) == ["ct.nii.gz"]
    assert read_metadata(folder / "ct_uncertainty.nii.gz").scan == read_image(second).digest()
