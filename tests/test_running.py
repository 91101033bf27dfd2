"""The order, the limit and the shared folders of the tests themselves."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from running import LONGEST_FIRST, TESTS, TimeLimit, shared_folder


def test_what_takes_longest_is_there() -> None:
    assert [name for name in LONGEST_FIRST if not (TESTS / name).exists()] == []


def test_a_long_test_fails_unless_it_is_slow_or_only_waits() -> None:
    limit = TimeLimit()
    assert 15 <= limit.seconds < 300
    limit.seconds = 0.05
    with pytest.raises(pytest.fail.Exception, match=r"expected at most 0 s .*, got 0\.[1-9] s"), limit.watched(False):
        end = time.process_time() + 0.11
        while time.process_time() < end:
            pass
    with limit.watched(is_slow=True):
        end = time.process_time() + 0.11
        while time.process_time() < end:
            pass
    with limit.watched(is_slow=False):
        time.sleep(0.11)  # as a test whose turn the machine does not give it


def test_a_shared_folder_is_made_once_and_again_if_its_maker_failed(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    makers = []

    def make(folder: Path) -> None:
        folder.mkdir()
        makers.append(folder)
        time.sleep(0.05)
        if len(makers) == 1:
            raise OSError("disk full")
        (folder / "content").touch()

    with pytest.raises(OSError, match="disk full"):
        shared_folder(tmp_path, "a", make)
    with ThreadPoolExecutor(4) as pool:
        folders = set(pool.map(lambda _: shared_folder(tmp_path, "a", make), range(4)))
    assert folders == {tmp_path / "shared" / "a"} and len(makers) == 2
    assert [path.name for path in (tmp_path / "shared" / "a").iterdir()] == ["content"]
