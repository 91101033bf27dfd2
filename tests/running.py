"""How the tests are run: in which order, how long one may take, and what the processes of a run share."""

import contextlib
import fcntl
import functools
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
# A whole file goes to one process, so that its module fixtures are made once. These rooms and files have the tests that
# take longest, and begin; what is not named here takes seconds a file, and fills the processes evenly at the end.
LONGEST_FIRST = (
    "training",
    "serving",
    "test_predict.py",
    "test_report.py",
    "pipeline",
    "webapp",
    "test_api.py",
    "network",
    "inference",
    "analysis",
)

MOST_SECONDS = 10.0
# CPU time counts every thread, and varies with what else the machine does.
_TOLERANCE = 1.5
# The seconds of `_loop` on a machine whose `make test` takes about six minutes with two cores.
_REFERENCE_SECONDS = 0.03


def longest_first(item: pytest.Item) -> int:
    """Returns the key that sorts tests: the place of their room or file in LONGEST_FIRST, else a number behind all."""
    first = item.path.relative_to(TESTS).parts[0]
    return LONGEST_FIRST.index(first) if first in LONGEST_FIRST else len(LONGEST_FIRST)


def shared_folder(base: Path, name: str, make: Callable[[Path], None]) -> Path:
    """Returns a folder that one process of a run of pytest makes, while the others that need it wait.

    Args:
        base: pytest's folder for temporary files, with pytest-xdist that of this process.
        name: name of the folder.
        make: function that fills the folder, which it gets as a path that is not there yet.
    """
    base = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared"
    base.mkdir(exist_ok=True)
    folder = base / name
    complete = base / f"{name}.complete"
    with open(base / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # until the file is closed, also by the end of the process
        if not complete.exists():
            shutil.rmtree(folder, ignore_errors=True)
            make(folder)
            complete.touch()
    return folder


class TimeLimit:
    """Fails a test that takes over ten seconds, and half as much again for the noise, and is not marked slow.

    The smaller of two numbers counts, so that no test fails because the machine is busy with other things: the time
    that passed, and the CPU time of this process and of its children that have ended. On a machine that is slower than
    the one for which the limit is meant, the limit is larger by as much.
    """

    def __init__(self) -> None:
        self.seconds = _TOLERANCE * MOST_SECONDS * max(1.0, min(_loop() for _ in range(5)) / _REFERENCE_SECONDS)

    @contextlib.contextmanager
    def watched(self, is_slow: bool) -> Iterator[None]:
        """Runs a test within, and fails it if it takes too long."""
        start, cpu_start = time.monotonic(), _cpu_seconds()
        yield
        seconds = min(time.monotonic() - start, _cpu_seconds() - cpu_start)
        if seconds > self.seconds and not is_slow:
            pytest.fail(f"expected at most {self.seconds:.0f} s for a test not marked slow, got {seconds:.1f} s")


@functools.cache
def time_limit() -> TimeLimit:
    """Returns the limit of this process."""
    return TimeLimit()


def _cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _loop() -> float:
    """Returns the CPU seconds of a fixed amount of work."""
    start = time.process_time()
    total = 0
    for number in range(1_000_000):
        total += number
    return time.process_time() - start
