"""Conversions beyond one machine: by Beam's in-process runner, and on TensorFlow's ram:// as a remote file system."""

import pickle
import platform
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from conftest import convert_settings

from kits_tf import config, convert
from kits_tf.base import beam
from kits_tf.base.errors import InputError
from kits_tf.base.results import RESULTS_NAME, Results
from kits_tf.ct.layouts import CaseFiles
from kits_tf.pipeline import conversion
from kits_tf.pipeline.case import CASE_SPEC
from kits_tf.pipeline.case_conversion import ConvertedCase, convert_case
from kits_tf.pipeline.manifest import Manifest
from tfrecords_tools.errors import RecordError
from tfrecords_tools.paths import AnyPath, as_path

IN_THIS_PROCESS = "--direct_running_mode=in_memory"


def contents(folder: AnyPath) -> dict[str, bytes]:
    """Returns the records of a folder and their manifest by name."""
    return {
        path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.name not in (".lock", RESULTS_NAME)
    }


def upload(source: Path, target: AnyPath) -> AnyPath:
    if target.is_dir():
        target.rmdir()
    for path in source.rglob("*"):
        if path.is_file():
            copy = target / str(path.relative_to(source))
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    return target


def broken(*_: object) -> None:
    raise OSError("no space\nleft")


def run_broken(folder: Path, options: str) -> None:
    results = Results(folder, ConvertedCase)
    list(beam.run_on_beam([(broken, results, "a", 1)], ["a"], results, options))


def all_but_case_2(files: CaseFiles, *rest: Any) -> ConvertedCase:
    if files.case_id == "case_00002":
        raise OSError("no space left")
    return convert_case(files, *rest)


def test_the_same_bytes_and_nothing_again(data_dir: Path, records_dir: Path, tmp_path: Path, caplog) -> None:
    caplog.set_level("INFO", "kits_tf")
    settings = convert_settings(data_dir, tmp_path / "records", runner="beam", beam_options=IN_THIS_PROCESS)
    convert.main(settings)
    assert contents(tmp_path / "records") == contents(records_dir)
    before = {path.name: path.stat().st_ino for path in (tmp_path / "records").glob("*.tfrecord")}
    caplog.clear()
    convert.main(settings)
    assert "4 cases were converted already" in caplog.text
    assert {path.name: path.stat().st_ino for path in (tmp_path / "records").glob("*.tfrecord")} == before
    assert contents(tmp_path / "records") == contents(records_dir)


@pytest.mark.slow
def test_workers_in_other_processes(data_dir: Path, tmp_path: Path) -> None:
    options = "--direct_running_mode=multi_processing --direct_num_workers=2"
    convert.main(convert_settings(data_dir, tmp_path / "beam", runner="beam", beam_options=options))
    convert.main(convert_settings(data_dir, tmp_path / "processes", runner="processes"))
    assert contents(tmp_path / "beam") == contents(tmp_path / "processes")


def test_a_bad_case_fails_alone(data_dir: Path, tmp_path: Path, caplog) -> None:
    data, records = shutil.copytree(data_dir, tmp_path / "data"), tmp_path / "records"
    (data / "case_00001/imaging.nii.gz").write_bytes(b"no scan")
    with pytest.raises(InputError, match="1 of 4 cases failed, .*; run convert again"):
        convert.main(convert_settings(data, records, runner="beam"))
    assert "failed: " in caplog.text
    assert sorted(Manifest.read(records).cases) == ["case_00000", "case_00002", "case_00003"]
    assert not (records / RESULTS_NAME / beam.NOTES_NAME).exists()


def test_any_other_error_fails_the_pipeline_in_one_line(tmp_path: Path, capfd) -> None:
    with pytest.raises(InputError, match=r"^--runner=beam: the pipeline failed: [^\n]*left[^\n]*$"):
        run_broken(tmp_path, "")
    assert "Traceback" not in capfd.readouterr().err and not list(tmp_path.iterdir())


def test_what_a_failing_pipeline_did_is_kept(
    data_dir: Path, records_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog
) -> None:
    caplog.set_level("INFO", "kits_tf")
    settings = convert_settings(data_dir, tmp_path, runner="beam")
    with monkeypatch.context() as patched:
        patched.setattr(conversion, "convert_case", all_but_case_2)
        with pytest.raises(InputError, match="^--runner=beam: the pipeline failed: "):
            convert.main(settings)
    kept = sorted(Manifest.read(tmp_path).cases)
    assert kept and "case_00002" not in kept and not (tmp_path / RESULTS_NAME / beam.NOTES_NAME).exists()
    caplog.clear()
    convert.main(settings)
    assert f"{len(kept)} cases were converted already" in caplog.text
    assert contents(tmp_path) == contents(records_dir)


def test_an_item_that_ends_its_workers_fails_alone_and_none_is_done_twice(tmp_path: Path) -> None:
    """As an engine has it that gives what a lost worker had to others: begun twice and not ended is once too often."""
    results, notes = Results(tmp_path, ConvertedCase), beam._Notes(tmp_path / beam.NOTES_NAME)
    notes.folder.mkdir()
    element = pickle.dumps((0, (broken, results, "a", 1)))
    for _ in range(2):
        with pytest.raises(OSError, match="no space"):
            beam._do(element, notes)
    host = platform.node()
    assert notes.begun(0) == [host, host] and not notes.has_ended(0) and results.read("a") is None
    beam._do(element, notes)
    reason = results.read("a")
    assert isinstance(reason, InputError) and str(reason) == (
        f"began 2 times, on {host}, {host}, and ended its process each time: memory ran out?"
    )
    assert notes.ended()[0].host == host
    beam._do(element, notes)  # is over at once


@pytest.mark.parametrize("options", ["--runner=NoSuchRunner", "--sdk_worker_parallelism=many", "'"])
def test_wrong_options_are_one_line(tmp_path: Path, options: str) -> None:
    with pytest.raises(InputError, match="^--(beam_options|runner=beam): [^\n]+$"):
        run_broken(tmp_path, options)
    assert not list(tmp_path.iterdir())


def test_options_without_beam_are_refused() -> None:
    with pytest.raises(InputError, match="--beam_options: expected --runner=beam with it, got --runner=processes"):
        config.ConversionSettings(data_dir="a", records_dir="b", beam_options="--runner=FlinkRunner")


def test_without_apache_beam(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    with pytest.raises(InputError, match=r"--runner=beam needs apache-beam: pip install 'kits_tf\[beam\]'"):
        run_broken(tmp_path, "")


@pytest.mark.parametrize("runner", ["here", "beam"])
def test_remote_folders_hold_the_same_bytes(data_dir: Path, records_dir: Path, runner: str, caplog) -> None:
    caplog.set_level("INFO", "kits_tf")
    data, records = upload(data_dir, as_path("ram://data")), as_path(f"ram://records-{runner}/deep")
    settings = convert_settings(data, records, runner=runner)
    convert.main(settings)
    found, wanted = contents(records), contents(records_dir)
    manifest = Manifest.read(records)
    assert found.keys() == wanted.keys() and manifest.data_dir == "ram://data"
    assert replace(manifest, data_dir=str(data_dir)) == Manifest.read(records_dir)
    assert all(found[name] == wanted[name] for name in manifest.shards)
    manifest.check_shards(records)
    shards = list(manifest.shard_paths("train", records))
    assert shards and all(path.startswith("ram://") for path in shards)
    cases = [CASE_SPEC.parse(record) for record in tf.data.TFRecordDataset(shards)]
    assert sorted(case["case_id"].numpy().decode() for case in cases) == manifest.splits["train"]
    caplog.clear()
    convert.main(settings)
    assert "4 cases were converted already" in caplog.text
    (records / "case_00000.tfrecord").write_bytes(b"cut")
    with pytest.raises(InputError, match=r"ram://records-\w+/deep/case_00000.tfrecord: expected a shard of"):
        manifest.check_shards(records)


def test_a_table_may_name_remote_files(data_dir: Path, records_dir: Path, tmp_path: Path) -> None:
    upload(data_dir, as_path("ram://table"))
    lines = [f"ram://table/{name}/imaging.nii.gz,ram://table/{name}/segmentation.nii.gz" for name in
             ("case_00000", "case_00001", "case_00002", "case_00003")]  # fmt: skip
    (tmp_path / "cases.csv").write_text("\n".join(["image,label", *lines]) + "\n")
    as_path("ram://table/cases.csv").write_bytes((tmp_path / "cases.csv").read_bytes())
    for data, name in ((tmp_path / "cases.csv", "local"), (as_path("ram://table/cases.csv"), "remote")):
        convert.main(convert_settings(data, tmp_path / name))
        assert Manifest.read(tmp_path / name).shards == Manifest.read(records_dir).shards


def test_uncompressed_and_damaged_remote_scans(tmp_path: Path, data_dir: Path) -> None:
    import gzip

    from kits_tf.ct.volume import read_image

    scan = data_dir / "case_00000/imaging.nii.gz"
    remote = as_path("ram://scans")
    remote.mkdir(parents=True, exist_ok=True)
    (remote / "a.nii").write_bytes(gzip.decompress(scan.read_bytes()))
    assert (read_image(remote / "a.nii").array == read_image(scan).array).all()
    (remote / "b.nii.gz").write_bytes(scan.read_bytes()[:2000])
    with pytest.raises(InputError, match=r"^ram://scans/b.nii.gz: expected a whole NIfTI file"):
        read_image(remote / "b.nii.gz")
    with pytest.raises(InputError, match=r"^ram://scans/c.nii.gz: expected a NIfTI file, found none"):
        read_image(remote / "c.nii.gz")


def test_an_unknown_file_system_is_one_line(data_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="^nosuch://bucket: expected a file system that TensorFlow knows"):
        convert.main(convert_settings(data_dir, "nosuch://bucket"))
    flags = ["--data_dir=nosuch://bucket/x", f"--records_dir={tmp_path}"]
    ended = subprocess.run(
        [sys.executable, "-m", "kits_tf.convert", *flags], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1 and ended.stderr.startswith("error: nosuch://bucket/x: "), ended.stderr
    assert len(ended.stderr.splitlines()) == 1
