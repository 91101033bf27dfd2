import os
import pty
import subprocess
import sys
from collections.abc import Iterator

from kits_tf.base.progress import awaited
from kits_tf.base.words import duration_text

CODE = """
import logging, sys
from kits_tf.base.command import _log_to_stderr
from kits_tf.base.progress import show_bars, track
_log_to_stderr()
with show_bars():
    for letter in track("ab", "letter", 2):
        logging.getLogger("kits_tf").info("log of %s", letter)
        print("result", letter, "word " * 30)
"""


def on_terminal(code: str, prints_there: bool, terminal_kind: str = "xterm") -> tuple[str, str]:
    """Returns what a program writes to standard output, if that is no terminal, and to a terminal."""
    terminal, its_end = pty.openpty()
    stdout = its_end if prints_there else subprocess.PIPE
    environment = {**os.environ, "TERM": terminal_kind, "COLUMNS": "80"}
    started = subprocess.Popen([sys.executable, "-c", code], stdout=stdout, stderr=its_end, env=environment)
    os.close(its_end)
    shown = b""
    while True:
        try:
            shown += os.read(terminal, 4096)
        except OSError:  # nobody writes any more
            break
    printed = started.communicate()[0]
    os.close(terminal)
    assert started.returncode == 0, shown
    return (printed or b"").decode(), shown.decode()


def test_results_go_to_standard_output_though_bars_are_on_the_terminal() -> None:
    printed, shown = on_terminal(CODE, prints_there=False)
    assert printed.splitlines() == [f"result {letter} " + "word " * 30 for letter in "ab"]
    assert "result" not in shown and "0/2" in shown


def test_lines_go_above_the_bars() -> None:
    printed, shown = on_terminal(CODE, prints_there=True)
    assert printed == ""
    for line in ("log of a", "log of b", "result a", "letter: 2 done"):  # each on a line that was cleared for it
        assert f"\r\x1b[2K{line}" in shown or f"\n{line}" in shown, (line, shown)


def test_no_command_takes_the_cursor_away_for_good() -> None:
    _, shown = on_terminal(CODE, prints_there=False)
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")


def test_a_dumb_terminal_gets_log_lines() -> None:
    _, shown = on_terminal(CODE, prints_there=False, terminal_kind="dumb")
    assert [line.partition(" (")[0] for line in shown.splitlines()] == [
        *("letter 1/2", "log of a", "letter 2/2", "log of b", "letter: 2 done in 0 s")
    ]


def test_the_time_of_a_counter_begins_anew_with_its_count() -> None:
    code = """
import time
from kits_tf.base import progress
with progress.show_bars():
    report = progress.counter("step")
    for done in (1, 2, 3, 1):
        report(done, 4)
        time.sleep(0.02)
    (task,) = progress._bars.tasks
    assert task.completed == 1 and task.elapsed < 0.04, task
"""
    on_terminal(code, prints_there=True)


def test_a_closed_stream_is_no_terminal() -> None:
    for closed in (1, 2):
        command = ["bash", "-c", f'exec "$0" "$@" {closed}>&-', sys.executable, "-c", CODE]
        done = subprocess.run(command, capture_output=True, check=False)
        assert done.returncode == 0, closed
        assert (b"log of a" in done.stderr, b"result a" in done.stdout) == (closed == 1, closed == 2)
        assert b"log" not in done.stdout


HELD = """
import logging, os
from kits_tf.base.command import _log_to_stderr
from kits_tf.base.progress import show_bars, track
from tfrecords_tools.silent_import import silent_import
_log_to_stderr()
with show_bars():
    for letter in track("ab", "letter", 2):
        with silent_import():
            os.write(2, b"noise of TensorFlow")
            logging.getLogger("kits_tf").info("log of %s", letter)
"""


def test_messages_are_seen_while_an_import_is_held_back_and_never_share_a_line_with_bars() -> None:
    _, shown = on_terminal(HELD, prints_there=True)
    assert "noise" not in shown
    for line in ("log of a", "log of b"):
        assert f"\r\x1b[2K{line}" in shown or f"\n{line}" in shown, (line, shown)
    done = subprocess.run([sys.executable, "-c", HELD], capture_output=True, text=True, check=True)
    assert [line.partition(" (")[0] for line in done.stderr.splitlines()] == [
        *("letter 1/2", "log of a", "letter 2/2", "log of b", "letter: 2 done in 0 s")
    ]


SLOW = """
import logging, sys, time
from kits_tf.base import progress
logging.basicConfig(format="%(message)s", level=logging.INFO, stream=sys.stdout)
progress._MOMENT_S, progress._AGAIN_S = 0.2, 1.0
"""


def lines_of(code: str) -> list[str]:
    """Returns what a program logs whose moment takes 0.2 s and whose ten seconds take one."""
    done = subprocess.run([sys.executable, "-c", SLOW + code], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_long_work_says_what_it_is_and_again_how_long_it_has_taken() -> None:
    lines = lines_of(
        """
with progress.still_working("short"):
    pass
with progress.still_working("long"):
    time.sleep(2.5)
"""
    )
    assert lines == ["long", "long: 1 s so far", "long: 2 s so far"]


def test_items_that_do_not_come_and_items_that_take_long() -> None:
    lines = lines_of(
        """
def late():
    yield "a"
    time.sleep(0.5)
    yield "b"
assert list(progress.awaited(late(), "waiting for letters")) == ["a", "b"]
for letter in progress.track(late(), "letter", 2):
    time.sleep(1.5 if letter == "b" else 0)
"""
    )
    assert [line.partition(" (")[0] for line in lines] == [
        "waiting for letters",
        *("letter 1/2", "letter 2/2", "letter 2/2", "letter 2/2: 1 s so far", "letter: 2 done in 2 s"),
    ]


def test_work_that_fails_is_silent_afterwards() -> None:
    lines = lines_of(
        """
try:
    with progress.still_working("failing"):
        raise ValueError
except ValueError:
    time.sleep(0.5)
"""
    )
    assert lines == []


def test_the_time_left_is_in_the_unit_of_which_there_are_two() -> None:
    assert [duration_text(seconds) for seconds in (0, 41.4, 119, 120, 2040, 7199, 7200, 104400)] == [
        *("0 s", "41 s", "119 s", "2 min", "34 min", "120 min", "2 h", "29 h")
    ]


def test_what_is_awaited_ends_with_the_wait() -> None:
    """The processes of a generator stop when its user fails, not when it is collected as garbage."""
    ended = []

    def tasks() -> Iterator[int]:
        try:
            yield from range(3)
        finally:
            ended.append(True)

    running = tasks()
    waited = awaited(running, "counting")
    assert next(waited) == 0 and not ended
    waited.close()
    assert ended == [True]
