import sys

import pytest

from tfrecords_tools import progress
from tfrecords_tools.progress import Progress, count_text, size_text


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
    with Progress("writing", 10_000_000) as shown:
        for _ in range(5):
            clock.now += 10
            shown.add(1_000_000)
        shown.say("result")
    captured = capsys.readouterr()
    assert captured.err == "writing 3.0 MB of 10.0 MB, 100.0 kB/s, 70 s left\n"
    assert captured.out == "result\n"
    assert shown.summary() == "5.0 MB in 50.0 s, 100.0 kB/s"


def test_on_a_terminal_one_line_that_changes_and_goes(
    clock: Clock, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "30")
    with Progress("writing", 2000) as shown:
        shown.add(500)  # too early to show
        clock.now = 1.0
        shown.add(500)
    line = "writing 1.0 kB of 2.0 kB, 1.0 kB/s, 1 s left"
    assert shown.line() == line
    assert capsys.readouterr().err == f"\r\x1b[K{line[:29]}\r\x1b[K"


@pytest.mark.parametrize(
    ("num_bytes", "text"),
    [(0, "0 bytes"), (1, "1 byte"), (999, "999 bytes"), (1000, "1.0 kB"), (35_567_639, "35.6 MB"),
     (999_949_000, "999.9 MB"), (999_960_000, "1.0 GB"), (2.5e12, "2.5 TB")],
)  # fmt: skip
def test_sizes_are_read_easily(num_bytes: float, text: str) -> None:
    assert size_text(num_bytes) == text


def test_one_is_no_plural() -> None:
    assert (count_text(0, "file"), count_text(1, "file"), count_text(2, "file")) == ("0 files", "1 file", "2 files")
