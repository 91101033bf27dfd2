"""What the benchmarks that run several contenders share."""

import json
import subprocess


def results(command: list[str]) -> list[dict]:
    """Returns the lines of JSON that a command prints, and stops if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-3000:]}")
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
