import hashlib
import resource
from pathlib import Path

import pytest

from tfrecords_tools.read import read_records
from tfrecords_tools.write import write_records


def test_written_files_are_whole_and_described(tmp_path: Path) -> None:
    path = tmp_path / "a.tfrecord"
    written = write_records(path, [b"one", b"two"])
    assert written.num_bytes == path.stat().st_size == 38
    assert written.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert list(read_records(path)) == [b"one", b"two"]


def test_an_interrupted_write_leaves_nothing(tmp_path: Path) -> None:
    def records():
        yield b"one"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_records(tmp_path / "a.tfrecord", records())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "reason"), [("gone/a.tfrecord", "No such file or directory"), ("file/a.tfrecord", "Not a directory")]
)
def test_a_folder_that_is_not_there_is_an_os_error(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError) as caught:
        write_records(tmp_path / name, [b"one"])
    assert str(caught.value) == f"{tmp_path / name}: cannot be written: {reason}"


def test_a_full_disk_is_an_os_error_and_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a.tfrecord"
    write_records(path, [b"before"])
    before, limits = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))  # stands for the end of a disk
        with pytest.raises(OSError) as caught:
            write_records(path, [bytes(90_000)] * 2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert str(caught.value) == f"{path}: cannot be written: File too large"
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]
