"""Runs and their records that were moved, or are used from another folder."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import train_settings

from kits_tf import config, export, train
from kits_tf.analysis.calibration import calibrate
from kits_tf.base.errors import InputError
from kits_tf.base.flagfile import from_flagfile, to_flagfile
from kits_tf.config import InferenceSettings, RunSettings
from kits_tf.ct.layouts import find_cases
from kits_tf.inference.own_settings import notices
from kits_tf.pipeline.conversion import _new_manifest
from kits_tf.pipeline.manifest import Manifest
from kits_tf.training.places import at, with_absolute_paths
from kits_tf.training.run import CALIBRATION, FLAGS, load_run, load_runs, locked_run_dir, open_run_dir


def settings_with(records_dir: str, run_dir: str) -> RunSettings:
    return replace(train_settings(Path("r"), Path("r")), records_dir=records_dir, run_dir=run_dir)


def copy_of(run_dir: Path, records_dir: Path, target: Path, written: RunSettings) -> Path:
    """Copies run and records beside each other, with the places that the run was given."""
    shutil.copytree(records_dir, target / "records")
    run = shutil.copytree(run_dir, target / "runs" / "one")
    (run / FLAGS).write_text(to_flagfile(written, "train"))
    return run


def test_what_the_data_is_goes_with_the_run(data_dir: Path, tmp_path: Path) -> None:
    """From data_note.txt or a flag to the manifest, and from there to what every mask of the run says."""
    known = {"data_dir": str(data_dir), "splits": config.SplitSettings(test_cases="")}
    notes = []
    for name, flags in (("own", {}), ("given", {"data_note": "scans of one hospital"})):
        settings = config.ConversionSettings(records_dir=str(tmp_path / name), **known, **flags)
        manifest = _new_manifest(settings, find_cases(str(data_dir)))
        run_dir = tmp_path / f"run_{name}"
        open_run_dir(config.RunSettings(records_dir=str(tmp_path / name), run_dir=str(run_dir)), manifest)
        notes.append(notices([run_dir]))
    assert notes == [("trained on phantoms: not for real scans",), ("trained on scans of one hospital",)]
    open_run_dir(config.RunSettings(records_dir="r", run_dir=str(run_dir)), replace(manifest, data_note=""))
    assert notices([run_dir]) == ()


def test_one_training_writes_to_a_run_at_a_time(records_dir: Path, tmp_path: Path) -> None:
    settings = train_settings(records_dir, tmp_path / "run")
    with locked_run_dir(tmp_path / "run"), pytest.raises(InputError, match="run: another training is writing to it"):
        train.main(settings)
    assert [path.name for path in (tmp_path / "run").iterdir()] == [".lock"]
    open_run_dir(settings, Manifest.read(records_dir))  # a lock that nobody holds is none
    other = tmp_path / "other"
    other.mkdir()
    (other / "scan.nii.gz").touch()
    with pytest.raises(InputError, match="other: expected a new or an empty folder"), locked_run_dir(other):
        pass
    assert [path.name for path in other.iterdir()] == ["scan.nii.gz"]


def test_a_run_keeps_absolute_paths(records_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    given = settings_with("../records", "run")
    given = replace(
        given,
        optimization=replace(given.optimization, initial_weights="other"),
        inference=replace(given.inference, coarse_model="gs://b/coarse,starter/coarse"),
    )
    open_run_dir(given, Manifest.read(records_dir))
    kept = from_flagfile(RunSettings, tmp_path / "run" / FLAGS)
    assert (kept.run_dir, kept.records_dir) == (str(tmp_path / "run"), str(tmp_path.parent / "records"))
    assert kept.optimization.initial_weights == str(tmp_path / "other")
    assert kept.inference.coarse_model == "gs://b/coarse,starter/coarse" and kept.input.cache == ""
    assert with_absolute_paths(kept) == kept
    (tmp_path / "run" / "history.csv").write_text("")
    open_run_dir(given, Manifest.read(records_dir))  # the same run, by the same relative paths


@pytest.mark.parametrize("written", [("records", "runs/one"), ("/gone/records", "/gone/runs/one")])
def test_records_are_found_beside_a_run_that_moved_with_them(
    run_dir: Path, records_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: tuple[str, str]
) -> None:
    run = copy_of(run_dir, records_dir, tmp_path, settings_with(*written))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    for path in (run, Path("../runs/one")):
        settings = load_run(path).settings
        assert settings.run_dir == str(path) and Path(settings.records_dir) == tmp_path / "records"


def test_an_absolute_place_stands_before_the_one_beside_and_a_relative_one_after(
    records_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("there", "here/there"):
        shutil.copytree(records_dir, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    beside = str(tmp_path / "here" / "there")
    assert at(tmp_path / "here/run", settings_with("there", "run")).records_dir == beside
    assert at(tmp_path / "gone/run", settings_with("there", "run")).records_dir == "there"
    absolute = settings_with(str(tmp_path / "there"), str(tmp_path / "run"))
    assert at(tmp_path / "here/run", absolute).records_dir == str(tmp_path / "there")
    remote = settings_with("gs://bucket/records", "run")
    assert at(tmp_path / "here/run", remote).records_dir == "gs://bucket/records"


def test_a_moved_run_is_calibrated_where_it_is_and_records_can_be_named(
    run_dir: Path, records_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = copy_of(run_dir, records_dir, tmp_path, settings_with("a/records", "b/run"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=rf"^a/records: .* {run} was trained on, found none; --records_dir names"):
        export.main(export.Export(run_dir=str(run), export_dir=str(tmp_path / "model")))
    named = load_run(run)
    named = replace(named, settings=replace(named.settings, records_dir=str(tmp_path / "records")))
    assert calibrate(named, InferenceSettings()).num_cases == 1
    assert (run / CALIBRATION).exists()


def test_a_run_with_a_comma_in_its_name_is_one_run(run_dir: Path, tmp_path: Path) -> None:
    shutil.copytree(run_dir, tmp_path / "a,b")
    (run,) = load_runs(str(tmp_path / "a,b"))
    assert run.settings.run_dir == str(tmp_path / "a,b")
