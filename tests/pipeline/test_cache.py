from dataclasses import replace
from pathlib import Path

import pytest

from kits_tf.pipeline.cache import copy_shards
from kits_tf.pipeline.manifest import Manifest


def test_shards_are_copied_once_and_whole(records_dir: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "kits_tf")
    manifest = Manifest.read(records_dir)
    folder = copy_shards(manifest, records_dir, tmp_path / "fast")
    assert "cache: shard: 3 done" in caplog.text
    copied = sorted(path.name for path in Path(folder).iterdir())
    expected = [*manifest.shard_paths("train", records_dir), *manifest.shard_paths("validation", records_dir)]
    assert copied == sorted(Path(path).name for path in expected)
    for path in expected:
        assert (Path(folder) / Path(path).name).read_bytes() == Path(path).read_bytes()
    kept = Path(folder) / copied[0]
    (Path(folder) / copied[1]).unlink()
    before = kept.stat().st_mtime_ns
    assert copy_shards(manifest, records_dir, tmp_path / "fast") == folder
    assert kept.stat().st_mtime_ns == before and (Path(folder) / copied[1]).exists()


def test_other_records_get_another_folder(records_dir: Path, tmp_path: Path) -> None:
    manifest = Manifest.read(records_dir)
    name, shard = next(iter(manifest.shards.items()))
    other = replace(manifest, shards=manifest.shards | {name: replace(shard, sha256="0" * 64)})
    assert copy_shards(manifest, records_dir, tmp_path) != copy_shards(other, records_dir, tmp_path)


def test_a_copy_that_fails_leaves_nothing_half_written(records_dir: Path, tmp_path: Path, monkeypatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfileobj", full)
    with pytest.raises(OSError, match="No space left"):
        copy_shards(Manifest.read(records_dir), records_dir, tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
