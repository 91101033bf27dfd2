import importlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tfrecords_tools import commands
from tfrecords_tools.errors import RecordError

ROOT = Path(__file__).parent.parent.parent
PREFIX = (
    "import sys, os, signal\nfrom tfrecords_tools import commands\nfrom tfrecords_tools.errors import RecordError\n"
)


def ended(body: str, **options: object) -> subprocess.CompletedProcess:
    """Returns how a process ended that runs a command with this body."""
    code = f"{PREFIX}def main(arguments):\n    {body}\ncommands.run(main)\n"
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, text=True, check=False, **options)


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        ("return 0", 0, ""),
        ("return 1", 1, ""),
        ("raise RecordError('a: expected\\n b')", 1, "error: a: expected b\n"),
        ("open('/gone')", 1, "error: /gone: No such file or directory\n"),
        ("raise OSError('x: cannot be written: y')", 1, "error: x: cannot be written: y\n"),
        ("raise KeyboardInterrupt", 130, "stopped\n"),
        ("os.kill(os.getpid(), signal.SIGTERM)", 143, "stopped\n"),
        ("raise KeyboardInterrupt('said already')", 130, ""),
        ("print('\\udcff'); return 0", 0, ""),
    ],
)
def test_every_end_has_its_status_and_line(body: str, status: int, error: str) -> None:
    end = ended(body, capture_output=True)
    assert (end.returncode, end.stderr) == (status, error)


@pytest.mark.parametrize(("kind", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_command_in_a_long_call_answers_and_a_second_signal_ends_it(kind: signal.Signals, status: int) -> None:
    # Python runs no handler before the last call is over, in a minute or so.
    busy = "threading.Timer(0.5, print, ['busy'], {'flush': True}).start()"
    body = f"import hashlib, threading; {busy}; hashlib.pbkdf2_hmac('sha256', b'', b'', 10**8)"
    code = f"{PREFIX}def main(arguments):\n    {body}\ncommands.run(main, stopped='stopped: half of it is done')\n"
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, **pipes) as process:
        assert process.stdout and process.stderr
        assert process.stdout.readline() == "busy\n"
        start = time.monotonic()
        process.send_signal(kind)
        assert process.stderr.readline() == "stopping; a second Ctrl-C or SIGTERM stops at once\n"
        assert time.monotonic() - start < 2
        process.send_signal(kind)
        assert process.communicate(timeout=5) == ("", "stopped: half of it is done\n")
        assert process.returncode == status


@pytest.mark.parametrize(
    ("block", "error"),
    [
        ("free_to_end()", "stopped\n"),  # although Python runs no handler before the call is over
        ("heard_at_once(lambda kind, _: not print('answered', file=sys.stderr, flush=True))", "answered\n"),
    ],
)
def test_blocks_end_a_command_at_once_or_answer_in_its_place(block: str, error: str) -> None:
    busy = "hashlib.pbkdf2_hmac('sha256', b'', b'', 10**8)" if "free" in block else "time.sleep(3)"
    code = (
        f"{PREFIX}import atexit, hashlib, threading, time\nfrom tfrecords_tools.signals import *\n"
        "def main(arguments):\n    atexit.register(print, 'the end of the interpreter')\n"
        "    threading.Timer(0.5, print, ['busy'], {'flush': True}).start()\n"
        f"    with {block}:\n        try:\n            {busy}\n"
        "        except KeyboardInterrupt:\n            time.sleep(2)\n"
        "            raise KeyboardInterrupt('said already') from None\ncommands.run(main)\n"
    )
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, **pipes) as process:
        assert process.stdout
        assert process.stdout.readline() == "busy\n"
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=10) == ("", error)
        assert process.returncode == 130


def test_a_reader_that_went_away_is_no_error() -> None:
    read, write = os.pipe()
    os.close(read)
    with open(write, "w") as gone:
        end = ended("print('x' * 100000); return 0", stdout=gone, stderr=subprocess.PIPE)
    assert (end.returncode, end.stderr) == (141, "")


def test_a_full_disk_under_stdout_is_one_line() -> None:
    with open("/dev/full", "w") as full:
        end = ended("print('x'); return 0", stdout=full, stderr=subprocess.PIPE)
    assert (end.returncode, end.stderr) == (1, "error: No space left on device\n")


@pytest.mark.parametrize("name", ["show", "verify", "reshard"])
def test_help_says_what_how_and_how_it_ends(name: str, capsys: pytest.CaptureFixture) -> None:
    command = importlib.import_module(f"tfrecords_tools.{name}")
    with pytest.raises(SystemExit) as end:
        command.main(["--help"])
    text = capsys.readouterr().out
    assert end.value.code == 0
    assert text.startswith(f"usage: python -m tfrecords_tools.{name} ")
    assert f"example:\n  python -m tfrecords_tools.{name} records" in text
    assert text.endswith("exit status: 0 all fine, 1 damage or bad input, 2 wrong command line, 130 interrupted\n")
    assert max(map(len, text.splitlines())) <= 110
    example = text.split(f"tfrecords_tools.{name} ")[-1].splitlines()[0]
    with pytest.raises((SystemExit, RecordError)) as tried:  # the example parses: what is missing is only its input
        sys.exit(command.main(example.split()))
    assert getattr(tried.value, "code", 1) == 1


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("show", [], "the following arguments are required: FILE"),
        ("show", ["f", "--limit=-1"], "argument --limit: expected a whole number of at least 0, found '-1'"),
        ("show", ["f", "--lim=1"], "unrecognized arguments: --lim=1"),
        ("verify", ["d", "--workers=0"], "argument --workers: expected a whole number of at least 1, found '0'"),
        ("verify", ["d", "--workers=two"], "argument --workers: expected a whole number of at least 1, found 'two'"),
        ("reshard", ["in", "out"], "the following arguments are required: --shard_mb"),
        ("reshard", ["in", "--shard_mb=1"], "the following arguments are required: OUT"),
    ],
)
def test_a_wrong_command_line_is_one_line(
    name: str, arguments: list[str], message: str, capsys: pytest.CaptureFixture
) -> None:
    with pytest.raises(SystemExit) as end:
        importlib.import_module(f"tfrecords_tools.{name}").main(arguments)
    assert end.value.code == 2
    assert capsys.readouterr().err == f"error: {message} (--help lists the arguments)\n"


@pytest.mark.parametrize("name", ["show", "verify", "reshard"])
def test_a_wrong_command_line_ends_the_process_with_2(name: str, run_command) -> None:
    end = run_command(name, "--nonsense")
    assert (end.returncode, end.stdout, end.stderr.count("\n")) == (2, "", 1)


def test_errors_are_one_line(capsys: pytest.CaptureFixture) -> None:
    commands.say_error("two\nlines")
    assert capsys.readouterr().err == "error: two lines\n"
