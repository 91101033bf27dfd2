import json
import re
from pathlib import Path

import pytest

from tfrecords_tools.framing import framed_size
from tfrecords_tools.read import read_records
from tfrecords_tools.verify import main
from tfrecords_tools.write import write_records

SHARDS = {"a.tfrecord": {"one": b"1" * 20, "two": b"", "three": b"3" * 7}, "b.tfrecord": {"four": b"4"}}


@pytest.fixture
def paths(tmp_path: Path, write_folder) -> dict[str, Path]:
    return write_folder(tmp_path / "records", SHARDS, {"train": ["one", "two", "three", "four"]})


def verify(capsys: pytest.CaptureFixture, *arguments: object) -> tuple[int, list[str], str]:
    """Returns the exit status, the lines about damage with folders left out, and what stderr says."""
    status = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    *lines, summary = captured.out.splitlines()
    assert re.fullmatch(r"verified \d+ files?, .* in \d+\.\d s, .*/s", summary)
    return status, [re.sub(r"^\S*/", "", line) for line in lines], captured.err


def test_whole_records_are_told_in_one_line(paths: dict[str, Path], capsys: pytest.CaptureFixture) -> None:
    assert main([str(paths["a.tfrecord"].parent)]) == 0
    captured = capsys.readouterr()
    size = sum(path.stat().st_size for path in paths.values())
    assert captured.err == ""
    assert re.fullmatch(rf"verified 2 files, {size} bytes in 0\.\d s, .*/s\n", captured.out)


@pytest.mark.parametrize("known", [True, False])
def test_every_flipped_byte_is_found_in_its_shard_and_record(
    known: bool, paths: dict[str, Path], capsys: pytest.CaptureFixture
) -> None:
    path = paths["a.tfrecord"]
    if not known:
        (path.parent / "manifest.json").unlink()
    content, lengths = path.read_bytes(), [len(record) for record in SHARDS["a.tfrecord"].values()]
    ends = [sum(map(framed_size, lengths[: i + 1])) for i in range(3)]
    for position in range(len(content)):
        flipped = bytearray(content)
        flipped[position] ^= 0x10
        path.write_bytes(flipped)
        number = next(i for i, end in enumerate(ends) if position < end)
        reason = "length" if position - ([0, *ends][number]) < 12 else "data"
        name = f" ({list(SHARDS['a.tfrecord'])[number]})" if known else ""
        line = f"a.tfrecord: expected whole records, record {number} cannot be read: {reason} checksum is wrong{name}"
        error = "error: 1 of 2 files damaged, missing or unknown\n"
        assert verify(capsys, path.parent, "--workers=1") == (1, [line], error)


def test_every_cut_is_found_in_its_shard_and_record(paths: dict[str, Path], capsys: pytest.CaptureFixture) -> None:
    path = paths["a.tfrecord"]
    content, names = path.read_bytes(), list(SHARDS["a.tfrecord"])
    ends = [0, framed_size(20), framed_size(20) + framed_size(0)]
    for length in range(len(content)):
        path.write_bytes(content[:length])
        status, lines, _ = verify(capsys, path.parent, "--workers=1")
        assert status == 1 and lines[0] == f"a.tfrecord: expected {len(content)} bytes, found {length}"
        number = sum(length > end for end in ends) - 1
        reason = f"record {number} cannot be read: the file ends in the middle of it ({names[number]})"
        assert lines[1:] == ([] if length in ends else [f"a.tfrecord: expected whole records, {reason}"])


def test_all_that_is_wrong_is_listed(paths: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    folder, size = tmp_path / "records", paths["a.tfrecord"].stat().st_size
    paths["a.tfrecord"].unlink()
    flipped = bytearray(paths["b.tfrecord"].read_bytes())
    flipped[12] ^= 1
    paths["b.tfrecord"].write_bytes(flipped)
    write_records(folder / "c.tfrecord", [b"unknown"])
    (folder / "notes.txt").touch()
    status, lines, error = verify(capsys, folder, tmp_path / "gone.tfrecord")
    assert status == 1
    assert lines == [
        f"a.tfrecord: expected a shard of {size} bytes, found no such file",
        "b.tfrecord: expected whole records, record 0 cannot be read: data checksum is wrong (four)",
        "c.tfrecord: expected only the manifest's shards, found another file",
        "gone.tfrecord: expected whole records, found no such file",
    ]
    assert error == "error: 4 of 4 files damaged, missing or unknown\n"


def test_a_wrong_manifest_is_told_from_damage(paths: dict[str, Path], capsys: pytest.CaptureFixture) -> None:
    manifest = paths["a.tfrecord"].parent / "manifest.json"
    content = json.loads(manifest.read_text())
    right = content["shards"]["b.tfrecord"]["sha256"]
    content["shards"]["b.tfrecord"]["sha256"] = "0" * 64
    content["shards"]["a.tfrecord"]["examples"] = ["one", "two"]
    manifest.write_text(json.dumps(content))
    status, lines, _ = verify(capsys, manifest.parent)
    assert status == 1
    assert lines == [
        "a.tfrecord: expected 2 records, found 3",
        f"b.tfrecord: expected SHA-256 000000000000..., found {right[:12]}..., and every record is whole: "
        "the manifest is wrong or another's",
    ]


def test_another_shard_of_the_same_size_is_found(paths: dict[str, Path], capsys: pytest.CaptureFixture) -> None:
    write_records(paths["b.tfrecord"], [b"5"])
    status, lines, _ = verify(capsys, paths["b.tfrecord"].parent)
    assert status == 1 and len(lines) == 1 and "every record is whole" in lines[0]
    assert list(read_records(paths["b.tfrecord"])) == [b"5"]


def test_files_and_folders_without_a_manifest(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    write_records(tmp_path / "x.tfrecord-00000-of-00001", [b"x" * 100])
    assert verify(capsys, tmp_path) == (0, [], "")
    assert verify(capsys, tmp_path / "x.tfrecord-00000-of-00001", "--workers=3") == (0, [], "")


def test_a_folder_of_nothing_and_a_broken_manifest_end_the_command(
    tmp_path: Path, run_command, paths: dict[str, Path]
) -> None:
    (tmp_path / "empty").mkdir()
    ended = run_command("verify", tmp_path / "empty")
    expected = f"error: {tmp_path}/empty: expected manifest.json or files of records, found neither\n"
    assert (ended.returncode, ended.stdout, ended.stderr) == (1, "", expected)
    (paths["a.tfrecord"].parent / "manifest.json").write_text("{}")
    ended = run_command("verify", paths["a.tfrecord"].parent)
    assert ended.returncode == 1
    assert ended.stderr.endswith("/manifest.json: shards: expected an object, found nothing\n")


def test_records_of_every_name_and_in_folders_within_are_verified(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    write_records(tmp_path / "a.tfrecord", [b"a"])
    for name in ("train-00001-of-00002", "b.tfrec", "within/c.tfrecord"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write_records(tmp_path / name, [b"x" * 30])
        content = bytearray((tmp_path / name).read_bytes())
        content[20] ^= 1
        (tmp_path / name).write_bytes(content)
    (tmp_path / "notes.txt").write_text("no records")
    (tmp_path / ".partial-1-d.tfrecord").write_bytes(b"cut")
    (tmp_path / "gone.tfrecord").symlink_to(tmp_path / "nowhere")
    status, lines, error = verify(capsys, tmp_path)
    whole, damaged = "expected whole records, ", "record 0 cannot be read: data checksum is wrong"
    assert status == 1 and error == "error: 4 of 5 files damaged, missing or unknown\n"
    assert lines == [
        f"b.tfrec: {whole}{damaged}",
        f"gone.tfrecord: {whole}found no such file",
        f"train-00001-of-00002: {whole}{damaged}",
        f"c.tfrecord: {whole}{damaged}",
    ]


def test_a_shard_of_another_name_beside_a_manifest_is_reported(
    paths: dict[str, Path], capsys: pytest.CaptureFixture
) -> None:
    write_records(paths["a.tfrecord"].parent / "train-00000-of-00001", [b"5"])
    status, lines, _ = verify(capsys, paths["a.tfrecord"].parent)
    assert (status, lines) == (1, ["train-00000-of-00001: expected only the manifest's shards, found another file"])


def test_a_folder_of_nothing_does_not_stop_the_others(
    paths: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "empty").mkdir()
    status, lines, error = verify(capsys, tmp_path / "empty", paths["a.tfrecord"].parent)
    assert status == 1 and lines == ["empty: expected manifest.json or files of records, found neither"]
    assert error == "error: 1 of 3 files damaged, missing or unknown\n"
