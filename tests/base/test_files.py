import hashlib
import resource
from pathlib import Path

import pytest

from kits_tf.base.files import sha256, write_table, write_text
from kits_tf.base.paths import as_path


def test_a_full_disk_is_an_os_error_and_leaves_what_was_there(tmp_path: Path) -> None:
    path, limits = tmp_path / "a.json", resource.getrlimit(resource.RLIMIT_FSIZE)
    write_text(path, "before")
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))  # stands for the end of a disk
        with pytest.raises(OSError) as caught:
            write_text(path, "x" * 200_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert str(caught.value) == f"{path}: cannot be written: File too large"
    assert path.read_text() == "before" and list(tmp_path.iterdir()) == [path]


def test_the_digest_of_a_file_is_hashlibs_here_and_far_away(tmp_path: Path) -> None:
    content = bytes(range(256)) * 40_000
    remote = as_path("ram://digests")
    remote.mkdir()
    for path in (tmp_path / "x", remote / "x"):
        path.write_bytes(content)
        assert sha256(path) == hashlib.sha256(content).hexdigest()


def test_a_table_leaves_empty_what_a_row_lacks_and_is_whole_or_as_before(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    write_table(path, ["epoch", "loss"], [{"epoch": 0, "loss": 0.5}, {"epoch": 1}])
    assert path.read_bytes() == b"epoch,loss\r\n0,0.5\r\n1,\r\n"
    with pytest.raises(ValueError, match="fields not in fieldnames"):
        write_table(path, ["epoch"], [{"epoch": 0}, {"dice": 1}])
    assert path.read_bytes() == b"epoch,loss\r\n0,0.5\r\n1,\r\n" and list(tmp_path.iterdir()) == [path]
