import json
from pathlib import Path

import pytest

from tfrecords_tools.errors import RecordError
from tfrecords_tools.index import Shard, read_index, record_files

SHARD = {"num_bytes": 7, "sha256": "0" * 64, "examples": ["one", "two"]}
CONTENT = {"other": [1], "shards": {"a.tfrecord": SHARD}, "splits": {"train": ["two", "one"], "test": []}}


def test_shards_splits_and_all_else_are_read(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps(CONTENT))
    index = read_index(tmp_path)
    assert index.shards == {"a.tfrecord": Shard(7, "0" * 64, ("one", "two"))}
    assert index.splits == {"train": ["two", "one"], "test": []}
    assert index.content == CONTENT
    (tmp_path / "manifest.json").write_text(json.dumps({"shards": {}}))
    assert (read_index(tmp_path).shards, read_index(tmp_path).splits) == ({}, {})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "expected JSON, found: Expecting property name .*"),
        ("[]", r"content: expected an object, found \[\]"),
        ("{}", "shards: expected an object, found nothing"),
        ('{"shards": []}', r"shards: expected an object, found \[\]"),
        ('{"shards": {}, "splits": 3}', "splits: expected an object, found 3"),
        ('{"shards": {}, "splits": {"train": "x"}}', "splits.train: expected a list, found 'x'"),
        ('{"shards": {}, "splits": {"train": [1]}}', "splits.train: expected names of examples, found 1"),
        ('{"shards": {"../a": {}}}', "expected shards in the same folder, found '../a'"),
        ('{"shards": {"a": 1}}', "shards.a: expected an object, found 1"),
    ],
)
def test_other_content_is_told_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(RecordError, match=f"^{tmp_path}/manifest.json: {message}$"):
        read_index(tmp_path)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("num_bytes", "7", "expected a whole number, found '7'"),
        ("num_bytes", True, "expected a whole number, found True"),
        ("num_bytes", None, "expected a whole number, found None"),
        ("sha256", 5, "expected a text, found 5"),
        ("sha256", "g" * 64, "expected 64 hexadecimal digits, found 'g+'"),
        ("sha256", "0" * 63, "expected 64 hexadecimal digits, found '0+'"),
        ("examples", "one", "expected a list, found 'one'"),
        ("examples", [["one"]], r"expected names of examples, found \['one'\]"),
    ],
)
def test_other_shards_are_told_in_one_line(tmp_path: Path, key: str, value: object, message: str) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps({"shards": {"a": SHARD | {key: value}}}))
    with pytest.raises(RecordError, match=f"^{tmp_path}/manifest.json: shards.a.{key}: {message}$"):
        read_index(tmp_path)


@pytest.mark.parametrize(("key", "kind"), [("num_bytes", "whole number"), ("sha256", "text"), ("examples", "list")])
def test_missing_keys_are_told_in_one_line(tmp_path: Path, key: str, kind: str) -> None:
    shard = {name: value for name, value in SHARD.items() if name != key}
    (tmp_path / "manifest.json").write_text(json.dumps({"shards": {"a": shard}}))
    with pytest.raises(
        RecordError, match=f"^{tmp_path}/manifest.json: shards.a.{key}: expected a {kind}, found nothing$"
    ):
        read_index(tmp_path)


def test_no_manifest_and_a_folder_in_its_place(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"manifest.json: expected a manifest, found no such file$"):
        read_index(tmp_path)
    (tmp_path / "manifest.json").mkdir()
    with pytest.raises(RecordError, match=r"manifest.json: expected a readable file, found: Is a directory$"):
        read_index(tmp_path)


def test_record_files_are_known_by_name(tmp_path: Path) -> None:
    names = ["a.tfrecord", "b.tfrecord-00000-of-00002", "c.tfrecords", "manifest.json", "notes.txt"]
    for name in names:
        (tmp_path / name).touch()
    (tmp_path / "folder.tfrecord").mkdir()
    assert [path.name for path in record_files(tmp_path)] == names[:3]
