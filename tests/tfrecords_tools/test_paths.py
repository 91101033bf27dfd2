"""Local paths stay pathlib's; remote ones have the same methods, through tf.io.gfile."""

import hashlib
import pickle
from pathlib import Path

import pytest
import tensorflow as tf

from tfrecords_tools.errors import RecordError
from tfrecords_tools.files import remove_partial, written_whole
from tfrecords_tools.paths import GFilePath, as_path, joined
from tfrecords_tools.write import write_records


@pytest.fixture
def folder() -> GFilePath:
    path = as_path("ram://paths/folder")
    if path.is_dir():
        path.rmdir()
    path.mkdir(parents=True, exist_ok=True)
    return path


@pytest.mark.parametrize("text", ["data", "/data/x", "./a/../b", "a:/b"])
def test_a_local_path_is_pathlibs(text: str) -> None:
    assert as_path(text) == Path(text) and type(as_path(text)) is type(Path(text))


def test_file_urls_are_local() -> None:
    assert as_path("file:///data/x") == Path("/data/x")


def test_names_and_parents_keep_the_scheme() -> None:
    path = as_path("ram://bucket/a/") / "b.nii.gz"
    assert str(path) == f"{path}" == path.__fspath__() == "ram://bucket/a/b.nii.gz"
    assert str(path.parent) == "ram://bucket/a" and str(path.parent.parent) == "ram://bucket"
    assert str(path.with_name("c")) == "ram://bucket/a/c" and path.suffix == ".gz" and path.name == "b.nii.gz"
    for same in (as_path(path), as_path(str(path)), path.resolve(), pickle.loads(pickle.dumps(path))):
        assert isinstance(same, GFilePath) and same == path and str(same) == str(path) and hash(same) == hash(path)
    assert path != as_path("ram://bucket/a/c") and sorted([path, path.parent]) == [path.parent, path]


def test_what_a_table_names(tmp_path: Path) -> None:
    assert joined(tmp_path, "a/b") == tmp_path / "a/b" and joined(tmp_path, "/a") == Path("/a")
    assert str(joined(tmp_path, "ram://x/y")) == "ram://x/y"
    assert joined(as_path("ram://x"), "/a") == Path("/a") and str(joined(as_path("ram://x"), "y")) == "ram://x/y"


@pytest.mark.parametrize("text", ["nosuch://bucket/x", "ram://", "ram:///x"])
def test_a_path_of_no_file_system_is_one_line(text: str) -> None:
    with pytest.raises(RecordError, match=f"^{text}: expected .*, found [^\n]*$"):
        as_path(text)


def test_files_and_folders(folder: GFilePath) -> None:
    file = folder / "a.txt"
    assert folder.exists() and folder.is_dir() and not folder.is_file() and not file.exists()
    file.write_text("ä\n")
    assert file.exists() and file.is_file() and not file.is_dir() and file.stat().st_size == 3
    assert file.read_text() == "ä\n" and file.read_bytes() == "ä\n".encode()
    (folder / ".b").write_bytes(b"")
    assert sorted(path.name for path in folder.iterdir()) == [".b", "a.txt"]
    assert [str(path) for path in folder.glob("[!.]*")] == [str(file)]
    assert list((folder / "none").glob("*")) == []
    file.replace(folder / ".b")
    assert not file.exists() and (folder / ".b").read_text() == "ä\n"
    file.unlink(missing_ok=True)
    with pytest.raises(FileNotFoundError, match=str(file)):
        file.unlink()
    with pytest.raises(FileNotFoundError, match=str(file)):
        file.open("rb")
    with pytest.raises(FileNotFoundError):
        file.stat()


def test_reading_and_seeking(folder: GFilePath) -> None:
    content = bytes(range(256)) * 20_000
    with (folder / "x").open("wb") as file:
        file.write(content[:3])
        file.write(content[3:])
    with (folder / "x").open("rb") as file:
        assert file.read(4) == content[:4] and file.seek(1000) == 1000 and file.read(10) == content[1000:1010]
        assert file.seek(-5, 2) == len(content) - 5 and file.read() == content[-5:] and file.tell() == len(content)


def test_written_whole_or_not_at_all(folder: GFilePath) -> None:
    with pytest.raises(ZeroDivisionError), written_whole(folder / "x") as partial:
        partial.write_text("half")
        raise ZeroDivisionError
    assert not list(folder.iterdir())
    (folder / ".partial-1-x").write_text("half")
    remove_partial(folder)
    with written_whole(folder / "x") as partial:
        partial.write_text("whole")
    assert [path.read_text() for path in folder.iterdir()] == ["whole"]


def test_records_are_the_same_bytes_as_local_ones(folder: GFilePath, tmp_path: Path) -> None:
    records = [b"one", b"", b"x" * (40 << 20)]
    written = write_records(folder / "a.tfrecord", records)
    assert written == write_records(tmp_path / "a.tfrecord", records)
    assert written.sha256 == hashlib.sha256((folder / "a.tfrecord").read_bytes()).hexdigest()
    assert [record.numpy() for record in tf.data.TFRecordDataset(str(folder / "a.tfrecord"))] == records


def test_what_cannot_be_written_is_one_line(folder: GFilePath, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise tf.errors.PermissionDeniedError(None, None, "not\nyours")

    monkeypatch.setattr(tf.io.gfile, "rename", refused)
    with pytest.raises(OSError, match="^ram://paths/folder/a.tfrecord: cannot be written: not yours$"):
        write_records(folder / "a.tfrecord", [b"one"])
    assert not list(folder.iterdir())
