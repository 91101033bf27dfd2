"""What the benchmarks that run several contenders share."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path


def results(command: list[str]) -> list[dict]:
    """Returns the lines of JSON that a command prints, and stops if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-3000:]}")
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


class Contender:
    """A process that waits until it is asked, so that several can take turns: the host's speed changes by the minute.

    Args:
        command: one that calls `answer`; it finds this module on its path.
    """

    def __init__(self, command: list[str]) -> None:
        self.command = command
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *_python_path()])},
        )

    def ask(self, task: str) -> dict:
        """Returns what the process finds, and stops if it has ended."""
        assert self.process.stdin and self.process.stdout
        try:
            print(task, file=self.process.stdin, flush=True)
            return json.loads(next(line for line in self.process.stdout if line.startswith("{")))
        except (BrokenPipeError, StopIteration):
            raise SystemExit(f"{' '.join(self.command)} failed, see above") from None

    def close(self) -> None:
        """Ends the process."""
        self.process.communicate()


def _python_path() -> list[str]:
    return list(filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)))


def answer(tasks: dict[str, Callable[[], dict]]) -> None:
    """Answers each line of stdin, the name of a task, with a line of JSON, until there are no more."""
    for line in sys.stdin:
        print(json.dumps(tasks[line.strip()]()), flush=True)


def timed(run: Callable) -> Callable[[], dict]:
    """Returns a task that runs once and finds its seconds; what the first call does besides is not timed."""
    warm = False

    def task() -> dict:
        nonlocal warm
        if not warm:
            run()
            warm = True
        start = time.perf_counter()
        run()
        return {"seconds": time.perf_counter() - start}

    return task
