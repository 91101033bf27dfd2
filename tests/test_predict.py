"""The command, from flags to files; the library below it is tested in tests/inference."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from conftest import OF_PHANTOMS
from PIL import Image

from kits_tf import config, predict
from kits_tf.base.command import UsageError
from kits_tf.base.errors import InputError
from kits_tf.base.files import read_table
from kits_tf.ct import scans as scans_module
from kits_tf.ct.labels import LATERALITY
from kits_tf.ct.mask_doubts import doubts
from kits_tf.ct.scans import find_scans
from kits_tf.ct.volume import read_image, read_labels
from kits_tf.inference.postprocess import parse_postprocess
from kits_tf.inference.segmenter import Segmenter
from kits_tf.training.run import POSTPROCESS

DICOM = config.DicomSettings()


def settings(model: Path, output_dir: Path) -> predict.Predict:
    return predict.Predict(model=str(model), output_dir=str(output_dir))


def test_case_folders_and_files_are_named_after_the_case(
    data_dir: Path, run_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    inputs = [str(data_dir / "case_00000"), str(data_dir / "case_00001" / "imaging.nii.gz")]
    predict.main(settings(run_dir, tmp_path), inputs)
    assert sorted(p.name for p in tmp_path.glob("*.nii.gz")) == ["case_00000.nii.gz", "case_00001.nii.gz"]
    lines = capsys.readouterr().out.splitlines()
    for name, line in zip(("case_00000", "case_00001"), lines, strict=True):
        mask, scan = nib.load(tmp_path / f"{name}.nii.gz"), nib.load(data_dir / name / "imaging.nii.gz")
        assert mask.shape == scan.shape and (mask.affine == scan.affine).all()
        assert mask.get_data_dtype() == np.uint8
        labels = np.asarray(mask.dataobj)
        right_ml, left_ml, tumor_ml = ((labels == label).sum() * 8 * 6 * 6 / 1000 for label in (1, 2, 3))
        volumes = f"right kidney {right_ml:.0f} mL, left kidney {left_ml:.0f} mL, tumor {tumor_ml:.0f} mL."
        look = (
            f"LOOK AT IT: {', '.join(doubts(labels, LATERALITY.classes))}."  # a tiny network's masks reach the border
        )
        source = data_dir / name / "imaging.nii.gz"
        assert line == f"{source} -> {tmp_path / name}.nii.gz: {volumes} {look} WARNING: {OF_PHANTOMS}"


def run(model: Path, folder: Path, inputs: list[Path], **flags: object) -> None:
    predict.main(replace(settings(model, folder), **flags), [str(path) for path in inputs])


def test_parts_and_their_summary(data_dir: Path, run_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """Parts make the masks of an undisturbed run; the summary tells what is missing until all is done."""
    scans, out = sorted(data_dir.glob("case_*/imaging.nii.gz")), tmp_path / "out"
    run(run_dir, tmp_path / "whole", scans)
    run(run_dir, out, scans, part="2/2")
    assert len(list(out.glob("*.nii.gz"))) == 2 and not (out / "predictions.csv").exists()
    with pytest.raises(
        InputError, match=r"2 of 4 scans failed, the first: case_0000\d: expected a mask, found none: run"
    ):
        run(run_dir, out, scans, part="summary")
    assert "2 of 4 scans are done" in capsys.readouterr().out
    run(run_dir, out, scans, part="1/2")
    run(run_dir, out, scans, part="summary")
    for mask in (tmp_path / "whole").glob("*.nii.gz"):
        assert (out / mask.name).read_bytes() == mask.read_bytes()
    rows, whole = (read_table(folder / "predictions.csv", ("name",)) for folder in (out, tmp_path / "whole"))
    assert [row["name"] for row in rows.values()] == [f"case_0000{number}" for number in range(4)]
    for row, other in zip(rows.values(), whole.values(), strict=True):
        assert row | {"seconds": ""} == other | {"seconds": ""} and float(row["seconds"]) > 0
    first = nib.load(out / "case_00000.nii.gz")
    assert float(rows[2]["right_kidney_ml"]) == pytest.approx(
        (np.asarray(first.dataobj) == 1).sum() * np.prod(first.header.get_zooms()) / 1000, abs=0.01
    )
    assert rows[2]["warnings"] == OF_PHANTOMS and rows[2]["source"] == str(scans[0])
    table = pyarrow.parquet.read_table(out / "predictions.parquet").to_pylist()
    assert [each["name"] for each in table] == [row["name"] for row in rows.values()]
    assert table[0]["right_kidney_ml"] == float(rows[2]["right_kidney_ml"])


def test_what_is_done_is_known_without_reading_it(
    data_dir: Path, run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan, out = tmp_path / "a.nii.gz", tmp_path / "out"
    shutil.copy(data_dir / "case_00000" / "imaging.nii.gz", scan)
    run(run_dir, out, [scan])
    read: list[Path] = []
    monkeypatch.setattr(scans_module, "read_image", lambda path: read.append(path) or read_image(path))
    run(run_dir, out, [scan])
    assert read == []
    os.utime(scan)  # then the digests decide
    run(run_dir, out, [scan])
    run(run_dir, out, [scan])
    assert read == [scan]
    shutil.rmtree(out / ".results")  # as of an earlier version's masks
    run(run_dir, out, [scan])
    run(run_dir, out, [scan])
    assert read == [scan, scan] and len(read_table(out / "predictions.csv", ("name",))) == 1
    (out / "a.nii.gz").write_bytes(b"")  # a disk was full
    with pytest.raises(InputError, match="a.nii.gz: expected a whole NIfTI file"):
        run(run_dir, out, [scan])


def test_the_table_has_the_masks_of_earlier_calls(data_dir: Path, run_dir: Path, tmp_path: Path) -> None:
    def names() -> list[str]:
        return [row["name"] for row in read_table(tmp_path / "out" / "predictions.csv", ("name",)).values()]

    first, second = (data_dir / f"case_0000{number}" / "imaging.nii.gz" for number in (0, 1))
    run(run_dir, tmp_path / "out", [first])
    run(run_dir, tmp_path / "out", [second])
    assert names() == ["case_00000", "case_00001"]
    run(run_dir, tmp_path / "out", [second], overwrite=True)
    assert names() == ["case_00000", "case_00001"]
    (tmp_path / "out" / "case_00000.nii.gz").unlink()
    run(run_dir, tmp_path / "out", [second])
    assert names() == ["case_00001"]


def test_another_scan_of_the_same_name_size_and_time_is_not_taken_for_it(
    data_dir: Path, run_dir: Path, tmp_path: Path
) -> None:
    """As files of an archive that gives all of them one time; the first one's result stays."""
    for patient, number in (("A", 0), ("B", 1)):
        volume = read_image(data_dir / f"case_0000{number}" / "imaging.nii.gz")
        array = np.resize(volume.as_stored(), (60, 60, 25))
        (tmp_path / patient).mkdir()
        nib.save(nib.Nifti1Image(array, np.diag([6, 6, 8, 1])), tmp_path / patient / "ct.nii")
        os.utime(tmp_path / patient / "ct.nii", (0, 0))
    one, other = (tmp_path / patient / "ct.nii" for patient in "AB")
    assert one.stat().st_size == other.stat().st_size
    run(run_dir, tmp_path / "out", [one], scans=config.ScanSettings(accept_intensities=True))
    with pytest.raises(InputError, match="ct.nii.gz is the mask of another scan than .*B/ct.nii"):
        run(run_dir, tmp_path / "out", [other])
    (row,) = read_table(tmp_path / "out" / "predictions.csv", ("name",)).values()
    assert row["source"] == str(one)


def test_a_table_of_others_is_kept(tmp_path: Path) -> None:
    for name in ("predictions.csv", "predictions.parquet"):
        folder = tmp_path / name.replace(".", "_")
        folder.mkdir()
        (folder / name).write_text("mine")
        with pytest.raises(InputError, match=f"{name}: expected no file or one that kits_tf made"):
            run(Path("starter"), folder, [tmp_path / "scan.nii.gz"])
        assert (folder / name).read_text() == "mine"


@pytest.mark.parametrize("suffix", [".txt", ".csv", ".parquet"])
def test_a_file_may_list_the_scans(suffix: str, data_dir: Path, run_dir: Path, tmp_path: Path) -> None:
    paths = [str(data_dir / name) for name in ("case_00000", "case_00001")]
    listed = tmp_path / f"scans{suffix}"
    if suffix == ".parquet":
        pyarrow.parquet.write_table(pyarrow.table({"path": paths}), listed)
    else:
        lines = ["# my scans", *paths] if suffix == ".txt" else ["age,path", *(f"50,{path}" for path in paths)]
        listed.write_text("\n".join(lines) + "\n")
    run(run_dir, tmp_path / "out", [], scans_file=str(listed))
    masks = sorted(path.name for path in (tmp_path / "out").glob("*.nii.gz"))
    assert masks == ["case_00000.nii.gz", "case_00001.nii.gz"]


def test_without_scans_there_is_nothing_to_do(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected at least one SCAN after the flags, or --scans_file"):
        run(Path("starter"), tmp_path / "out", [])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("gone.txt", None, "gone.txt: expected a list of scans, found no such file"),
        ("a.txt", b"# nothing\n\n", "a.txt: expected a list of scans, found none in it"),
        ("a.csv", b"scan\nx.nii\n", "a.csv: expected columns path, found scan"),
        ("a.parquet", b"no table", "a.parquet: expected a Parquet file with a column path"),
    ],
)
def test_what_is_no_list_of_scans(name: str, content: bytes | None, message: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        run(Path("starter"), tmp_path / "out", [], scans_file=str(tmp_path / name))


def test_figures_are_drawn_beside_the_masks_of_the_scans_that_have_one(
    data_dir: Path, run_dir: Path, tmp_path: Path
) -> None:
    (tmp_path / "bad.nii.gz").write_bytes(b"no scan")
    inputs = [str(tmp_path / "bad.nii.gz"), str(data_dir / "case_00000")]
    with pytest.raises(InputError, match="1 of 2 scans failed"):
        predict.main(replace(settings(run_dir, tmp_path / "out"), figures=True), inputs)
    assert sorted(path.name for path in (tmp_path / "out").glob("case*")) == ["case_00000.nii.gz", "case_00000.png"]
    with Image.open(tmp_path / "out/case_00000.png") as picture:
        assert np.asarray(picture.convert("RGB")).std() > 20 and "kits_tf" in picture.info["Software"]


def test_probabilities_and_uncertainty_lie_beside_the_mask(data_dir: Path, run_dir: Path, tmp_path: Path) -> None:
    inference = config.InferenceSettings(flip_axes="x")
    maps = replace(settings(run_dir, tmp_path), probabilities=True, uncertainty=True, inference=inference)
    predict.main(maps, [str(data_dir / "case_00000")])
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


def test_masks_go_through_the_steps_that_the_run_has_chosen(
    run_dir: Path, data_dir: Path, segmenter: Segmenter, tmp_path: Path
) -> None:
    """They are done unless the flag says otherwise; volumes are those of the mask that is written."""
    copy = shutil.copytree(run_dir, tmp_path / "run")
    (copy / POSTPROCESS).write_text('{"chain": "open:9"}')
    predict.main(settings(copy, tmp_path / "out"), [str(data_dir / "case_00003")])
    written = np.asarray(nib.load(tmp_path / "out" / "case_00003.nii.gz").dataobj)
    model, image = segmenter.model(), read_image(data_dir / "case_00003" / "imaging.nii.gz")
    assert model.chain == () and (model.labels(image) != written).any()
    segmentation = replace(model, chain=parse_postprocess("open:9").chain).segmentation(image)
    np.testing.assert_array_equal(segmentation.labels, written)
    counts = np.bincount(written.ravel(), minlength=4)
    np.testing.assert_allclose(segmentation.volumes_ml, counts * 8 * 6 * 6 / 1000, rtol=1e-5)


def test_other_intensities_are_refused_or_leave_their_warning(
    data_dir: Path, run_dir: Path, model_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    scan = nib.load(data_dir / "case_00000" / "imaging.nii.gz")
    hu = np.asarray(scan.dataobj)
    changed = {
        "lost": ((hu + 1024).clip(0).astype(np.uint16), "was an offset of 1024 or 1000 lost"),
        "shares": (np.clip((hu + 1000) / 1500, 0, 1).astype(np.float32), "got values 0..1: normalized already"),
        "scores": (((hu - hu.mean()) / hu.std()).astype(np.float32), "z-scores already?"),
        "window": ((255 * np.clip((hu + 160) / 400, 0, 1)).astype(np.uint8), "got values 0..255: an 8-bit window?"),
    }
    inputs = [str(tmp_path / f"{name}.nii.gz") for name in changed]
    for path, (values, _) in zip(inputs, changed.values(), strict=True):
        nib.save(nib.Nifti1Image(values, scan.affine), path)
    for model in (run_dir, model_dir):
        out = tmp_path / model.name
        with pytest.raises(InputError, match="4 of 5 scans failed"):
            predict.main(settings(model, out), [*inputs, str(data_dir / "case_00001")])
        assert [path.name for path in out.glob("*.nii.gz")] == ["case_00001.nii.gz"]
        assert read_labels(out / "case_00001.nii.gz").metadata.warnings == (OF_PHANTOMS,)
        capsys.readouterr()
        scans = config.ScanSettings(accept_intensities=True)
        predict.main(replace(settings(model, out), scans=scans), inputs)
        lines = capsys.readouterr().out.splitlines()
        for (name, (_, question)), line in zip(changed.items(), lines, strict=True):
            warning, note = read_labels(out / f"{name}.nii.gz").metadata.warnings
            assert question in warning and note == OF_PHANTOMS
            assert line.endswith(f". WARNING: {warning} WARNING: {note}")


def test_what_cannot_be_done_is_refused(data_dir: Path, run_dir: Path, tmp_path: Path) -> None:
    inputs, usable = [str(data_dir / "case_00000")], settings(run_dir, tmp_path)
    hearts = config.InferenceSettings(postprocess="hearts")
    for impossible, message in (
        (replace(usable, uncertainty=True), "uncertainty: expected --flip_axes or several models, got a single pass"),
        (replace(usable, inference=hearts), "--postprocess: expected steps of"),
        (settings(tmp_path / "gone", tmp_path), "gone: expected a run directory or an exported model, found no such"),
    ):
        with pytest.raises(InputError, match=message):
            predict.main(impossible, inputs)


def test_inputs_must_exist_be_nifti_and_have_different_names(data_dir: Path, tmp_path: Path) -> None:
    for inputs, message in (
        (["gone.nii.gz"], "gone.nii.gz: expected a scan, found no such file"),
        (["scan.dcm"], "scan.dcm: expected a scan, found no such file"),
        ([str(tmp_path / "*.nii.gz")], "expected a pattern of scans, found nothing that fits it"),
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
