import itertools
import json
import os
import resource
import signal
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kits_tf.pipeline.manifest import Manifest
from tfrecords_tools import reshard as command
from tfrecords_tools import verify
from tfrecords_tools.errors import RecordError
from tfrecords_tools.framing import framed_size
from tfrecords_tools.index import read_index
from tfrecords_tools.read import read_records
from tfrecords_tools.reshard import reshard

A, B, C, D = b"a" * 84, b"b" * 84, b"c" * 284, b"d" * 34  # framed: 100, 100, 300 and 50 bytes
SHARDS = {"x.tfrecord": {"a": A, "b": B}, "y.tfrecord": {"c": C, "d": D}}
SPLITS = {"train": ["d", "b", "a"], "test": ["c"], "unlabeled": []}


ONCE = "expected every example in one split once"


@pytest.fixture
def source(tmp_path: Path, write_folder) -> Path:
    write_folder(tmp_path / "in", SHARDS, SPLITS)
    return tmp_path / "in"


def rewrite(folder: Path, **changes: object) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def contents(folder: Path) -> dict[str, list[bytes]]:
    return {path.name: list(read_records(path)) for path in sorted(folder.glob("[!.]*.tfrecord"))}


@pytest.mark.parametrize(
    ("max_bytes", "train"),
    [(1, [[D], [B], [A]]), (149, [[D], [B], [A]]), (150, [[D, B], [A]]), (250, [[D, B, A]]), (10**9, [[D, B, A]])],
)
def test_shards_by_hand(source: Path, tmp_path: Path, max_bytes: int, train: list[list[bytes]]) -> None:
    line = reshard(source, tmp_path / "out", max_bytes)
    expected = {f"train-0000{i}-of-0000{len(train)}.tfrecord": records for i, records in enumerate(train)}
    assert contents(tmp_path / "out") == {"test-00000-of-00001.tfrecord": [C]} | expected
    assert line.startswith(f"wrote 4 examples in {1 + len(train)} shards, 550 bytes in ")


@given(
    sizes=st.lists(st.integers(0, 60), max_size=12),
    per_shard=st.integers(1, 4),
    max_bytes=st.integers(1, 200),
    data=st.data(),
)
def test_every_byte_is_kept_in_order_within_its_split(
    tmp_path_factory, write_folder, sizes: list[int], per_shard: int, max_bytes: int, data: st.DataObject
) -> None:
    root = tmp_path_factory.mktemp("reshard")
    records = {f"e{i}": bytes([i]) * size for i, size in enumerate(sizes)}
    names = list(records)
    shards = {
        f"{i}.tfrecord": {n: records[n] for n in names[i : i + per_shard]} for i in range(0, len(names), per_shard)
    }
    shuffled = data.draw(st.permutations(names))
    cut = data.draw(st.integers(0, len(names)))
    splits = {"train": shuffled[:cut], "test": shuffled[cut:]}
    write_folder(root / "in", shards, splits)
    reshard(root / "in", root / "out", max_bytes)
    index = read_index(root / "out")
    for split, wanted in splits.items():
        own = [name for name in sorted(index.shards) if name.startswith(f"{split}-")]
        assert own == [f"{split}-{i:05d}-of-{len(own):05d}.tfrecord" for i in range(len(own))]
        assert [example for name in own for example in index.shards[name].examples] == wanted
        assert [r for name in own for r in read_records(root / "out" / name)] == [records[name] for name in wanted]
        for name, following in itertools.zip_longest(own, own[1:]):
            shard = index.shards[name]
            assert shard.num_bytes <= max_bytes or len(shard.examples) == 1
            if following:  # full: the next example would not have fitted
                assert shard.num_bytes + framed_size(len(records[index.shards[following].examples[0]])) > max_bytes
    assert verify.verify(verify.find_checks(root / "out"), workers=1) == 0


def test_the_manifest_keeps_everything_but_the_shards(source: Path, tmp_path: Path) -> None:
    reshard(source, tmp_path / "out", 150)
    before, after = (json.loads((folder / "manifest.json").read_text()) for folder in (source, tmp_path / "out"))
    assert list(after) == list(before)
    assert {k: v for k, v in after.items() if k != "shards"} == {k: v for k, v in before.items() if k != "shards"}
    assert list(after["shards"]) == sorted(path.name for path in (tmp_path / "out").glob("*.tfrecord"))
    assert after["shards"]["train-00000-of-00002.tfrecord"]["examples"] == ["d", "b"]


def test_kits_tf_reads_and_would_write_the_same_manifest(records_dir: Path, tmp_path: Path) -> None:
    reshard(records_dir, tmp_path / "out", 10**9)
    written = (tmp_path / "out" / "manifest.json").read_bytes()
    manifest = Manifest.read(tmp_path / "out")
    manifest.check_shards(tmp_path / "out")
    assert list(manifest.shard_paths("test", tmp_path / "out")) == [
        str(tmp_path / "out" / "test-00000-of-00001.tfrecord")
    ]
    manifest.write(tmp_path / "out")
    assert (tmp_path / "out" / "manifest.json").read_bytes() == written


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        ({"train": ["a", "b", "c"]}, "expected every example in a split, found d in none"),
        ({}, "expected every example in a split, found a in none"),
        ({"train": ["a", "b", "c", "d", "e"]}, "expected the examples of train in shards, found e in none"),
        ({"train": ["a", "b"], "test": ["c", "d", "a"]}, f"{ONCE}, found a again in train"),
        ({"train": ["a", "b", "c", "d", "d"]}, f"{ONCE}, found d again in train"),
        ({"../train": ["a", "b", "c", "d"]}, "expected splits whose names can begin a file's, found '../train'"),
    ],
)
def test_examples_belong_to_one_split(source: Path, tmp_path: Path, splits: dict, message: str) -> None:
    rewrite(source, splits=splits)
    with pytest.raises(RecordError) as caught:
        reshard(source, tmp_path / "out", 1)
    assert str(caught.value) == f"{source}/manifest.json: {message}"
    assert not (tmp_path / "out").exists()


def test_examples_of_the_same_name_are_refused(source: Path, tmp_path: Path) -> None:
    shards = json.loads((source / "manifest.json").read_text())["shards"]
    shards["y.tfrecord"]["examples"] = ["a", "d"]
    rewrite(source, shards=shards)
    with pytest.raises(RecordError, match="y.tfrecord: expected examples of different names, found a twice$"):
        reshard(source, tmp_path / "out", 1)


def test_every_flipped_byte_of_the_source_is_named_and_no_manifest_written(source: Path, tmp_path: Path) -> None:
    path = source / "y.tfrecord"
    content = path.read_bytes()
    for position in range(len(content)):
        flipped = bytearray(content)
        flipped[position] ^= 1
        path.write_bytes(flipped)
        number = 0 if position < 300 else 1
        with pytest.raises(RecordError, match=f"y.tfrecord: expected whole records, record {number} cannot be read"):
            reshard(source, tmp_path / "out", 10**6)
        assert not (tmp_path / "out" / "manifest.json").exists()
    path.write_bytes(content[:300])
    with pytest.raises(RecordError, match="y.tfrecord: expected 350 bytes in 2 records, found 300 in 1$"):
        reshard(source, tmp_path / "out", 10**6)


def test_a_folder_with_other_records_is_refused(source: Path, tmp_path: Path) -> None:
    with pytest.raises(
        RecordError, match=f"{source}: expected a folder without manifest.json, found one; choose a new"
    ):
        reshard(source, source, 1)
    out = tmp_path / "out"
    reshard(source, out, 1)
    with pytest.raises(RecordError, match="out: expected a folder without manifest.json, found one"):
        reshard(source, out, 1)
    (out / "manifest.json").unlink()
    with pytest.raises(
        RecordError, match="train-00000-of-00003.tfrecord: expected no other records in the folder to write"
    ):
        reshard(source, out, 10**6)
    reshard(source, out, 1)  # a stopped run's own shards are written anew
    assert len(contents(out)) == 4


def test_a_full_disk_is_one_line_and_leaves_nothing_half(source: Path, tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200, limits[1]))  # stands for the end of a disk
        with pytest.raises(OSError, match="/test-00000-of-00001.tfrecord: cannot be written: File too large$"):
            reshard(source, tmp_path / "out", 150)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert sorted(contents(tmp_path / "out")) == ["train-00000-of-00002.tfrecord", "train-00001-of-00002.tfrecord"]
    assert not list((tmp_path / "out").glob(".partial*"))
    reshard(source, tmp_path / "out", 150)
    assert verify.main([str(tmp_path / "out")]) == 0


def test_one_example_at_a_time_is_in_memory(tmp_path: Path, write_folder) -> None:
    size, names = 4_000_000, ["a", "b", "c"]
    write_folder(tmp_path / "in", {f"{n}.tfrecord": {n: n.encode() * size} for n in names}, {"train": names})
    tracemalloc.start()
    reshard(tmp_path / "in", tmp_path / "out", 10**9)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [record[:1] for record in read_records(tmp_path / "out" / "train-00000-of-00001.tfrecord")] == [
        b"a",
        b"b",
        b"c",
    ]
    assert size <= peak < 1.5 * size


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_killed_run_can_be_run_again(source: Path, tmp_path: Path, number: signal.Signals) -> None:
    # Stops within the second shard, half-written.
    code = f"""
import sys, time
from tfrecords_tools import commands, reshard
read_at = reshard.read_at
def slow(places):
    for record in read_at(places):
        yield record
        if len(record) == {len(C)}:
            print("now", flush=True)
            time.sleep(60)
reshard.read_at = slow
sys.argv = ["reshard", {str(source)!r}, {str(tmp_path / "out")!r}, "--shard_mb=1"]
commands.run(reshard.main)
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout and process.stdout.readline() == "now\n"
    os.kill(process.pid, number)
    _, error = process.communicate(timeout=30)
    expected = {
        signal.SIGKILL: (-signal.SIGKILL, ""),
        signal.SIGTERM: (143, "stopped\n"),
        signal.SIGINT: (130, "stopped\n"),
    }
    assert (process.returncode, error) == expected[number]
    assert contents(tmp_path / "out") == {"train-00000-of-00001.tfrecord": [D, B, A]}
    left = list((tmp_path / "out").glob(".partial*"))
    assert len(left) == (1 if number == signal.SIGKILL else 0)
    reshard(source, tmp_path / "out", 10**6)
    assert not list((tmp_path / "out").glob(".partial*"))
    assert contents(tmp_path / "out")["test-00000-of-00001.tfrecord"] == [C]


def test_the_command_line(source: Path, tmp_path: Path, run_command) -> None:
    done = run_command("reshard", source, tmp_path / "out", "--shard_mb=0.00015")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("wrote 4 examples in 3 shards, 550 bytes in ")
    again = run_command("reshard", source, tmp_path / "out", "--shard_mb=1")
    found = "expected a folder without manifest.json, found one; choose a new folder"
    assert (again.returncode, again.stderr) == (1, f"error: {tmp_path}/out: {found}\n")
    (tmp_path / "file").touch()
    inside = run_command("reshard", source, tmp_path / "file" / "out", "--shard_mb=1")
    assert (inside.returncode, inside.stderr) == (1, f"error: {tmp_path}/file/out: Not a directory\n")


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "many"])
def test_sizes_are_numbers_above_zero(value: str, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(["in", "out", f"--shard_mb={value}"])
    assert ended.value.code == 2
    expected = f"error: argument --shard_mb: expected a number above 0, found {value!r} (--help lists the arguments)\n"
    assert capsys.readouterr().err == expected
