"""A training that has diverged: when it has, and the line that ends it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kits_tf.base import devices
from kits_tf.base.errors import InputError
from kits_tf.config import OptimizationSettings
from kits_tf.training.checkpoint import BEGINNING, Position

# A network that learns stays far below, whatever the scale of its loss; one that has diverged goes far beyond.
_MOST_GROWTH = 1000.0


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What a run directory keeps of a run at the moment.

    Attributes:
        run_dir: folder of the run.
        best_epoch: number from 0 of the epoch whose weights are kept as the best; None if none are.
        saved: position of the newest checkpoint, or the beginning.
    """

    run_dir: Path
    best_epoch: int | None
    saved: Position


def step_problem(loss: float) -> str:
    """Returns what is wrong with the loss of a step; "" if it is a finite number."""
    return "" if math.isfinite(loss) else f"{loss}, expected a finite number"


def epoch_problem(first: float | None, training: float, validation: float) -> str:
    """Returns what is wrong with the mean losses of an epoch; "" if nothing is.

    Args:
        first: loss of the first step since the process started; None if it has taken none.
        training: mean loss over the epoch's training patches.
        validation: mean loss over the validation patches.
    """
    if problem := step_problem(validation):
        return f"the validation loss is {problem}"
    if first is None or training <= (limit := _MOST_GROWTH * max(1.0, first)):
        return ""
    return f"the training loss is {training:.3g}, expected at most {limit:.3g}: it began at {first:.3g}"


def state_problem(state: Mapping[str, NDArray]) -> str:
    """Returns which part of a trainer's state holds NaN or infinity; "" if none does."""
    broken = (name for name, array in state.items() if not np.isfinite(array).all())
    return next((f"NaN or infinity in {name}" for name in broken), "")


def diverged(where: str, problem: str, optimization: OptimizationSettings, kept: Kept) -> InputError:
    """Returns the error that ends a run: what happened, what is kept, and what to change.

    Args:
        where: epoch and step.
        problem: what is wrong.
        optimization: settings of the steps.
        kept: what is kept of the run.
    """
    change = f"lower --learning_rate, now {optimization.learning_rate:g}"
    if devices.choose_precision(optimization.precision) == "mixed_float16":
        change += ", or choose --precision=float32"
    if kept.saved == BEGINNING:
        return InputError(f"{where}: {problem}; no weights were kept: {change}")
    best = "no weights of a whole epoch"
    if kept.best_epoch is not None:
        best = f"the weights of epoch {kept.best_epoch + 1} (--initial_weights={kept.run_dir} begins with them)"
    epoch, step = kept.saved.epoch, kept.saved.step
    place = f"step {step} of epoch {epoch + 1}" if step else f"epoch {epoch}"
    return InputError(
        f"{where}: {problem}; {kept.run_dir} keeps {best}. In a new --run_dir {change}; the same command would repeat "
        f"all that came after {place}"
    )
