import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from tfrecords_tools import progress
from tfrecords_tools.progress import ByteProgress, count_text, size_text


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "monotonic", clock)
    return clock


def test_elsewhere_a_line_now_and_then(clock: Clock, capsys: pytest.CaptureFixture) -> None:
    with ByteProgress("writing", 10_000_000) as shown:
        for _ in range(5):
            clock.now += 10
            shown.add(1_000_000)
        shown.say("result")
    captured = capsys.readouterr()
    assert captured.err == "writing 3.0 MB of 10.0 MB, 100.0 kB/s, 70 s left\n"
    assert captured.out == "result\n"
    assert shown.summary() == "5.0 MB in 50.0 s, 100.0 kB/s"


def test_on_a_terminal_a_bar_that_goes(capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    with ByteProgress("writing", 2000) as shown:
        shown.add(1500)
        shown.say("result")
    captured = capsys.readouterr()
    assert captured.out == "result\n"  # no control sequence goes into what may be a file
    assert "writing" in captured.err and "1.5/2.0 kB" in captured.err
    assert captured.err.endswith("\x1b[2K")  # the bar's line is empty again


def test_threads_add_at_the_same_time(capsys: pytest.CaptureFixture) -> None:
    with ByteProgress("writing", 4000) as shown, ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: [shown.add(1) for _ in range(1000)], range(4)))
    assert shown.line().startswith("writing 4.0 kB of 4.0 kB, ") and capsys.readouterr().err == ""


def test_sizes_are_read_easily() -> None:
    texts = {0: "0 bytes", 1: "1 byte", 999: "999 bytes", 1000: "1.0 kB", 35_567_639: "35.6 MB"}
    texts |= {999_949_000: "999.9 MB", 999_960_000: "1.0 GB", 2.5e12: "2.5 TB"}
    assert {num_bytes: size_text(num_bytes) for num_bytes in texts} == texts


def test_one_is_no_plural() -> None:
    assert (count_text(0, "file"), count_text(1, "file"), count_text(2, "file")) == ("0 files", "1 file", "2 files")
