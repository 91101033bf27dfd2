import os
import pty
import subprocess
import sys

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
