"""What the benchmarks that train share: commands with their output in a file, and whether a run is finished."""

import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
# Of a run that had its last epoch; training.run, which names it too, would start TensorFlow.
_LAST_WEIGHTS = "last.weights.h5"


def run_command(log: Path, command: str, *arguments: str) -> None:
    """Runs a command, its output in a file that is named after what it does; stops if it fails."""
    start = time.monotonic()
    line = [sys.executable, "-m", f"kits_tf.{command}", *arguments]
    with open(log, "a") as file:
        done = subprocess.run(line, stdout=file, stderr=subprocess.STDOUT, cwd=ROOT, check=False)
    if done.returncode:
        raise SystemExit(f"error: {' '.join(line)}: failed, see {log}")
    print(f"{log.stem}: {time.monotonic() - start:.0f} s", flush=True)


def check_finished(run_dir: Path) -> None:
    """Stops if a training was stopped before its last epoch, which is no failure of its own."""
    if not (run_dir / _LAST_WEIGHTS).exists():
        raise SystemExit(f"{run_dir}: stopped before its last epoch; the same command goes on")
