"""What a run says of the time that it still takes."""

import pytest

from kits_tf.training import monitoring
from kits_tf.training.history import HistoryRow
from kits_tf.training.monitoring import TrainingProgress
from kits_tf.training.replicated import TrainingStep

SCORES = {"loss": 1.0, "kidney_dice": 0.5, "tumor_dice": 0.25}


class Clock:
    """A clock that a test sets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds = 0.0
        monkeypatch.setattr(monitoring, "monotonic", lambda: self.seconds)
        monkeypatch.setattr(monitoring, "seconds_since_start", lambda: self.seconds)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def take_epoch(progress: TrainingProgress, clock: Clock, epoch: int, seconds: list[float], rest_s: float) -> None:
    """Takes steps of so many seconds, and then validates for `rest_s`."""
    progress.begin_epoch(epoch)
    for number, step_s in enumerate(seconds, start=1):
        clock.seconds += step_s
        progress.step(number, TrainingStep(loss=1.0, waited=step_s / 4, patches=()))
    progress.end_training()
    clock.seconds += rest_s
    progress.end_epoch(HistoryRow(epoch=epoch, learning_rate=0.1, train=SCORES, validation=SCORES, cases={}))


def test_time_left_within_the_first_epoch_and_after_each(clock: Clock, log: list[str]) -> None:
    progress = TrainingProgress(epochs=3, steps=5, batch_size=2)
    take_epoch(progress, clock, 0, [100, 10, 10, 10, 10], rest_s=30)
    take_epoch(progress, clock, 1, [10, 10, 10, 10, 10], rest_s=30)
    take_epoch(progress, clock, 2, [10, 10, 10, 10, 10], rest_s=30)
    steps = [line for line in log if "step " in line and "first" not in line]
    # A step of 10 s, ten of them in two more epochs; the first step's compilation is none of it.
    assert steps[0] == "epoch 1/3, step 2/5: 10 s a step; about 30 s left in the epoch, 2 min in all"
    # Validation has been timed by the second epoch: 30 s there, and a third epoch of 80 s.
    assert "epoch 2/3, step 4/5: 10 s a step; about 10 s left in the epoch, 120 s in all" not in log
    assert log[0] == "first step 100 s after the start"
    ends = [line for line in log if "validation:" in line]
    assert ends[0].endswith("(0.1 patches/s, compute-bound: 25% waiting for data; about 3 min left)")
    assert ends[1].endswith("(0.2 patches/s, compute-bound: 25% waiting for data; about 80 s left)")
    assert ends[2].endswith("(0.2 patches/s, compute-bound: 25% waiting for data)")


def test_lines_within_an_epoch_become_rarer_up_to_one_a_minute(clock: Clock, log: list[str]) -> None:
    progress = TrainingProgress(epochs=1, steps=1000, batch_size=2)
    take_epoch(progress, clock, 0, [1.0] * 300, rest_s=0)
    numbers = [int(line.split("step ")[1].split("/")[0]) for line in log if line.startswith("epoch 1/1, step")]
    assert numbers == [11, 21, 41, 81, 141, 201, 261]


def test_nothing_is_said_by_workers_that_do_not_log(clock: Clock, log: list[str]) -> None:
    take_epoch(TrainingProgress(1, 5, 2, is_shown=False), clock, 0, [10.0] * 5, rest_s=1)
    assert log == []
