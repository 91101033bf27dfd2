import math
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import pytest
from conftest import train_settings
from numpy.typing import NDArray

from kits_tf.base.errors import InputError
from kits_tf.config import OptimizationSettings
from kits_tf.training import run
from kits_tf.training.checkpoint import Position, load_checkpoint
from kits_tf.training.divergence import Kept, diverged, epoch_problem, state_problem, step_problem
from kits_tf.training.epoch_loop import EpochHooks, EpochLoop
from kits_tf.training.history import read_history
from kits_tf.training.monitoring import TrainingProgress
from kits_tf.training.replicated import TrainingStep

STEPS = 2


def test_what_is_wrong_with_losses_and_weights() -> None:
    assert [step_problem(loss) for loss in (0.0, -3.0, 1e30)] == ["", "", ""]
    assert step_problem(math.nan) == "nan, expected a finite number"
    assert step_problem(-math.inf) == "-inf, expected a finite number"
    for first, training, validation, problem in [
        (1.3, 1300.0, 1e9, ""),
        (1.3, 1301.0, 1.0, "the training loss is 1.3e+03, expected at most 1.3e+03: it began at 1.3"),
        (0.01, 999.0, 1.0, ""),  # which went on from a good state
        (0.01, 2e4, 1.0, "the training loss is 2e+04, expected at most 1e+03: it began at 0.01"),
        (5e4, 4e7, 1.0, ""),  # a loss of another scale
        (None, 2e4, 1.0, ""),
        (1.3, 1.0, math.nan, "the validation loss is nan, expected a finite number"),
    ]:
        assert epoch_problem(first, training, validation) == problem, (first, training, validation)
    assert state_problem({"a": np.ones(2), "steps": np.int64(3)}) == ""
    assert state_problem({"a": np.ones(2), "b": np.array([1, np.inf])}) == "NaN or infinity in b"


@pytest.mark.parametrize(
    ("precision", "best_epoch", "saved", "advice"),
    [
        ("float32", None, Position(), "no weights were kept: lower --learning_rate, now 0.5"),
        (
            "mixed_float16",
            None,
            Position(0, 7),
            "runs/a keeps no weights of a whole epoch. In a new --run_dir lower --learning_rate, now 0.5, or choose "
            "--precision=float32; the same command would repeat all that came after step 7 of epoch 1",
        ),
        (
            "float32",
            1,
            Position(4),
            "runs/a keeps the weights of epoch 2 (--initial_weights=runs/a begins with them). In a new --run_dir lower "
            "--learning_rate, now 0.5; the same command would repeat all that came after epoch 4",
        ),
    ],
)
def test_the_line_says_what_is_kept_and_what_to_change(
    precision: str, best_epoch: int | None, saved: Position, advice: str
) -> None:
    optimization = OptimizationSettings(learning_rate=0.5, precision=precision)
    kept = Kept(run_dir=Path("runs/a"), best_epoch=best_epoch, saved=saved)
    assert str(diverged("epoch 5", "x is nan", optimization, kept)) == f"epoch 5: x is nan; {advice}"


class Scripted:
    """Stands for a `ReplicatedTrainer`: its losses and weights come from lists."""

    is_chief = is_alone = True
    learning_rate = 0.001

    def __init__(self, step_losses: list[float], validation_losses: list[float], weights: list[float]) -> None:
        self.validated = keras.Sequential([keras.Input([1]), keras.layers.Dense(1, use_bias=False)])
        self._steps, self._validation, self._weights = step_losses, iter(validation_losses), iter(weights)
        self._weight = 0.0
        self._epoch: list[float] = []

    def train(self, _: object) -> Iterator[TrainingStep]:
        for loss in self._steps:
            self._epoch.append(loss)
            yield TrainingStep(loss, 0.0, ())

    def results(self) -> dict[str, float]:
        mean, self._epoch = float(np.mean(self._epoch)), []
        return {"loss": mean}

    def validate(self, _: object) -> dict[str, float]:
        self._weight = next(self._weights)
        self.validated.set_weights([np.full([1, 1], self._weight)])
        dice = dict.fromkeys(("kidney_dice", "tumor_dice", "composite"), 0.5)
        return {"loss": next(self._validation)} | dice

    def state(self) -> dict[str, NDArray]:
        return {"network/kernel": np.array([self._weight])}

    def any_worker(self, *answers: bool) -> list[bool]:
        return list(answers)


@pytest.mark.parametrize(
    ("step_losses", "validation_losses", "weights", "epochs_kept", "message"),
    [
        ([1, 1, 1, math.nan], [1], [2], 1, "epoch 2, step 2: the loss of patches of  is nan, expected"),
        ([1, 1, 2e3, 3e3], [1, 1], [2, 2], 1, "epoch 2: the training loss is 2.5e+03, expected at most 1e+03:"),
        ([1, 1, 1, 1], [1, math.inf], [2, 2], 1, "epoch 2: the validation loss is inf, expected a finite number;"),
        ([1, 1, 1, 1], [1, 1], [2, math.nan], 1, "epoch 2: NaN or infinity in network/kernel;"),
        ([1, 1], [1], [math.nan], 0, "epoch 1: NaN or infinity in network/kernel; no weights were kept:"),
    ],
)
def test_nothing_of_an_epoch_that_diverged_is_kept(
    step_losses: list[float],
    validation_losses: list[float],
    weights: list[float],
    epochs_kept: int,
    message: str,
    tmp_path: Path,
) -> None:
    settings = train_settings(tmp_path / "records", tmp_path, epochs=2)
    trainer = Scripted(step_losses, validation_losses, weights)
    loop = EpochLoop(settings, tmp_path, trainer, STEPS, EpochHooks())
    with pytest.raises(InputError) as caught:
        loop.run(None, None, TrainingProgress(2, STEPS, 1, is_shown=False))
    assert str(caught.value).startswith(message)
    assert not (tmp_path / run.LAST_WEIGHTS).exists()
    assert [row.epoch for row in read_history(tmp_path)] == list(range(epochs_kept))
    assert (tmp_path / run.BEST_WEIGHTS).exists() == bool(epochs_kept)
    checkpoint = load_checkpoint(tmp_path / run.CHECKPOINTS)
    if epochs_kept:
        assert f"{tmp_path} keeps the weights of epoch 1 " in str(caught.value)
        assert checkpoint and checkpoint.position == Position(1)
        assert checkpoint.arrays["network/kernel"].tolist() == [2.0]
        trainer.validated.load_weights(tmp_path / run.BEST_WEIGHTS)
        assert trainer.validated.get_weights()[0].tolist() == [[2.0]]
    else:
        assert checkpoint is None
