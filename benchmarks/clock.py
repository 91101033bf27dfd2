"""What the contenders of benchmarks/accuracy.py do alike, each in its own environment: train by the wall clock."""

import json
import math
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

TRAINED = "trained.json"


def train_by_clock(
    minutes: float, every: float, batch_size: int, step: Callable[[float], float], keep: Callable[[str], None]
) -> dict:
    """Takes steps until the minutes are spent, and returns what the snapshots on the way are.

    The schedule of the learning rate goes by the share of the minutes, not by steps: so it ends when they do, however
    fast the machine is that hour.

    Args:
        minutes: on the clock, which starts before the first step is traced and the first case is read.
        every: minutes from one snapshot to the next; there is one at the end in any case.
        batch_size: patches in a step.
        step: takes one at a share of the minutes, 0 to 1, and returns its loss.
        keep: saves the weights under a name.
    """
    snapshots: list[dict] = []
    losses: list[float] = []
    due, steps, spent, start = every, 0, 0.0, time.perf_counter()
    while spent < minutes:
        losses.append(step(spent / minutes))
        steps += 1
        spent = (time.perf_counter() - start) / 60
        if steps == 1:
            first_step_s = 60 * spent
        if spent >= min(due, minutes):
            name = f"minute_{spent:06.2f}"
            keep(name)
            row = {"name": name, "minute": spent, "steps": steps, "patches": steps * batch_size}
            snapshots.append(row | {"loss": statistics.fmean(losses)})
            losses, due = [], every * (math.floor(spent / every) + 1)
    # At the end: whoever else uses the machine may have moved this process.
    return {"first_step_s": first_step_s, "cores": sorted(os.sched_getaffinity(0)), "snapshots": snapshots}


def warmup_cosine(share: float, warmup: float) -> float:
    """Returns the factor of the highest learning rate: a line up to 1 until a share of the time, half a cosine down."""
    if share < warmup:
        return share / warmup
    return (1 + math.cos(math.pi * (share - warmup) / (1 - warmup))) / 2


def write(path: Path, content: dict) -> dict:
    """Writes what a training found, under a temporary name first, and returns it."""
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(content, indent=1))
    partial.replace(path)
    return content
