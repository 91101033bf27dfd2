import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from conftest import TINY_GRID, convert_settings, train_settings

from kits_tf import config, convert, train
from kits_tf.base.errors import InputError
from kits_tf.base.files import sha256
from kits_tf.base.settings import flatten
from kits_tf.config import GridSettings, SplitSettings
from kits_tf.ct.case_facts import case_facts
from kits_tf.ct.hu_statistics import hu_statistics
from kits_tf.ct.layouts import CaseFiles
from kits_tf.ct.sides import BODY_HU, SideDecision
from kits_tf.ct.volume import read_image, read_labels
from kits_tf.pipeline.case import Case
from kits_tf.pipeline.manifest import CaseEntry, Manifest
from kits_tf.pipeline.splits import assign_splits
from tfrecords_tools.index import Shard

ENTRY = CaseEntry(
    shape_zyx=(1, 1, 1),
    class_voxels=(1, 0, 0, 0),
    sides=None,
    hu_foreground=None,
    hu_body=None,
    inputs_sha256=(),
    source=None,
)
KITS19_IDS = [f"case_{i:05d}" for i in range(210)]
# Of the challenge, with its own test set.
KITS19 = [CaseFiles(f"case_{i:05d}", Path(), Path() if i < 210 else None) for i in range(300)]


def test_split_of_record() -> None:
    splits = assign_splits(KITS19, SplitSettings(), seed=19)
    assert {name: len(ids) for name, ids in splits.items()} == {
        "train": 162,
        "validation": 18,
        "test": 30,
        "unlabeled": 90,
    }
    assert sorted(sum(splits.values(), [])) == [case.case_id for case in KITS19]
    assert splits["unlabeled"] == [case.case_id for case in KITS19[210:]]
    assert splits["test"] == KITS19_IDS[180:]
    assert splits == assign_splits(KITS19, SplitSettings(), seed=19) != assign_splits(KITS19, SplitSettings(), 20)


def test_small_data_sets_still_train_and_validate() -> None:
    splits = assign_splits(KITS19[:2], SplitSettings(), seed=0)
    assert len(splits["train"]) == len(splits["validation"]) == 1
    with pytest.raises(InputError, match="expected two or more labeled cases outside --test_cases=0, got 1"):
        assign_splits(KITS19[:2], SplitSettings(test_cases="0"), seed=0)


def test_manifest_says_what_the_shards_hold(records_dir: Path, data_dir: Path) -> None:
    manifest = Manifest.read(records_dir)
    manifest.check_shards(records_dir)
    assert manifest.data_dir == str(data_dir.resolve())
    assert manifest.splits["test"] == ["case_00003"]
    assert set(manifest.cases) == {f"case_{i:05d}" for i in range(4)}
    total = np.zeros(4, int)
    for case_id in manifest.splits["train"]:
        entry = manifest.cases[case_id]
        path = records_dir / f"{case_id}.tfrecord"
        assert manifest.shards[path.name] == Shard(path.stat().st_size, sha256(path), (case_id,))
        (record,) = tf.data.TFRecordDataset(str(path))
        case = Case.parse(record.numpy())
        assert case.hu.shape == entry.shape_zyx
        assert tuple(np.bincount(case.labels.ravel(), minlength=4)) == entry.class_voxels
        total += entry.class_voxels
        assert isinstance(entry.sides, SideDecision)
        assert entry.hu_foreground == hu_statistics(case.hu[case.labels > 0])
        assert entry.hu_body == hu_statistics(case.hu[case.hu > BODY_HU])
        files = [data_dir / case_id / name for name in ("imaging.nii.gz", "segmentation.nii.gz")]
        assert entry.inputs_sha256 == tuple(sha256(file) for file in files)
        assert entry.source == case_facts(read_image(files[0]), read_labels(files[1])) and entry.source.axes == "IPL"
    assert manifest.class_voxels("train") == tuple(total)
    assert all(n > 0 for n in total)


def test_reading_gives_back_what_was_written(records_dir: Path, tmp_path: Path) -> None:
    manifest = Manifest.read(records_dir)
    manifest.write(tmp_path)
    assert Manifest.read(tmp_path) == manifest
    assert (tmp_path / "manifest.json").read_bytes() == (records_dir / "manifest.json").read_bytes()


def test_unusable_manifests_are_refused(records_dir: Path, tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    with pytest.raises(
        InputError, match="manifest.json: expected the manifest that convert writes, found no such file"
    ):
        Manifest.read(tmp_path)
    content = json.loads((records_dir / "manifest.json").read_text())
    path.write_text(json.dumps(content | {"format_version": 7}))
    with pytest.raises(InputError, match="manifest.json: expected format version 4, found 7"):
        Manifest.read(tmp_path)
    path.write_text("{")
    with pytest.raises(InputError, match="manifest.json: expected a manifest in JSON"):
        Manifest.read(tmp_path)
    del content["splits"]
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match="manifest.json: expected the fields of format version 4"):
        Manifest.read(tmp_path)


def test_missing_and_cut_shards_are_named(tmp_path: Path) -> None:
    manifest = Manifest(
        data_dir="",
        seed=0,
        grid=GridSettings(),
        splitting=SplitSettings(),
        splits={"train": ["case_00000"]},
        shards={"case_00000.tfrecord": Shard(10, "", ("case_00000",))},
        cases={"case_00000": ENTRY},
    )
    with pytest.raises(InputError, match="case_00000.tfrecord: expected a shard of 10 bytes, found no such file"):
        manifest.check_shards(tmp_path)
    (tmp_path / "case_00000.tfrecord").write_bytes(b"123456789")
    with pytest.raises(InputError, match="case_00000.tfrecord: expected a shard of 10 bytes, found 9"):
        manifest.check_shards(tmp_path)
    with pytest.raises(InputError, match="the conversion did not finish"):
        replace(manifest, cases={}).check_shards(tmp_path)


def test_records_can_be_expected_to_have_each_setting_of_the_grid_and_the_splits() -> None:
    expected = flatten(config.RecordsSettings())
    assert list(expected) == [*flatten(GridSettings()), *flatten(SplitSettings())]
    assert set(expected.values()) == {None}
    with pytest.raises(InputError, match="--crop: expected one of none, body, got half"):
        config.RecordsSettings(crop="half")


def test_flags_that_contradict_the_records_are_refused(records_dir: Path, tmp_path: Path) -> None:
    manifest = Manifest.read(records_dir)
    settings = train_settings(records_dir, tmp_path / "run")
    manifest.check_settings(config.RecordsSettings(), records_dir)
    manifest.check_settings(config.RecordsSettings(spacing_zyx_mm=(12.0, 10.0, 10.0), test_cases="3"), records_dir)
    for name, value, text in (
        ("spacing_zyx_mm", (1.6, 1.2, 1.2), "1.6,1.2,1.2"),
        ("image_kernel", "linear", "linear"),
        ("label_kernel", "nearest", "nearest"),
        ("label_scheme", "kits19", "kits19"),
        ("cyst_as", "class", "class"),
        ("crop", "body", "body"),
        ("test_cases", "180-209", "180-209"),
        ("validation_fraction", 0.5, "0.5"),
    ):
        with pytest.raises(InputError, match=f"was converted with --{name}=.*, expected {text}"):
            train.main(replace(settings, records=config.RecordsSettings(**{name: value})))


def test_an_interrupted_conversion_goes_on_and_ends_the_same(data_dir: Path, records_dir: Path, tmp_path: Path) -> None:
    settings = convert_settings(data_dir, tmp_path)
    convert.main(settings)
    manifest = Manifest.read(tmp_path)
    partly = replace(manifest, cases={"case_00001": manifest.cases["case_00001"]})
    for name in ("case_00000", "case_00002"):
        (tmp_path / f"{name}.tfrecord").unlink()
    kept = (tmp_path / "case_00001.tfrecord").stat().st_mtime_ns
    partly.write(tmp_path)
    convert.main(settings)
    assert (tmp_path / "case_00001.tfrecord").stat().st_mtime_ns == kept
    assert Manifest.read(tmp_path) == manifest
    for path in (path for path in records_dir.rglob("*") if path.is_file()):
        assert (tmp_path / path.relative_to(records_dir)).read_bytes() == path.read_bytes()


def test_a_manifest_from_before_the_check_of_intensities_is_read(records_dir: Path, tmp_path: Path) -> None:
    content = json.loads((records_dir / "manifest.json").read_text())
    for entry in content["cases"].values():
        assert entry["source"].pop("hounsfield_problem") == ""
    (tmp_path / "manifest.json").write_text(json.dumps(content))
    assert Manifest.read(tmp_path) == Manifest.read(records_dir)


def test_other_settings_on_old_records_are_refused(data_dir: Path, records_dir: Path) -> None:
    grid = replace(TINY_GRID, image_kernel="linear")
    settings = convert_settings(data_dir, records_dir, grid=grid, seed=5)
    with pytest.raises(InputError, match=r"other settings: --image_kernel: cubic_fit, not linear; --seed: 19, not 5"):
        convert.main(settings)
