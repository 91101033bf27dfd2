"""How far a graph is: told from another thread, and the way to stop it."""

import time

import pytest
import tensorflow as tf

from kits_tf.inference.progress import Progress, watched

STEPS, STEP_S = 10, 0.05


class EnoughError(Exception):
    """What is computed is not wanted any more."""


def compute(progress: Progress) -> int:
    """Counts windows that take a while, as a graph does, and returns how many there were."""
    for done in range(1, STEPS + 1):
        time.sleep(STEP_S)
        progress.count(tf.constant(done), tf.constant(STEPS))
    return STEPS


def test_windows_are_told_in_their_order_and_the_last_one_always() -> None:
    progress, told = Progress(), list[tuple[int, int]]()
    with watched(progress, lambda *windows: told.append(windows)):
        compute(progress)
    assert told == sorted(set(told)) and told[-1] == (STEPS, STEPS)
    assert len(told) > 1 and {total for _, total in told} <= {0, STEPS}


def test_what_is_raised_when_told_stops_the_graph_and_only_that_one() -> None:
    progress, told = Progress(), list[int]()

    def tell(done: int, _: int) -> None:
        told.append(done)
        raise EnoughError

    with pytest.raises(EnoughError), watched(progress, tell):
        compute(progress)
    assert int(progress.windows[0]) < STEPS and len(told) == 1
    assert compute(progress) == STEPS


def test_a_failure_of_the_graph_is_raised_as_it_is() -> None:
    with pytest.raises(ValueError, match="^the graph's own$"), watched(Progress(), lambda *_: None):
        raise ValueError("the graph's own")


def test_without_somebody_to_tell_nothing_is_watched() -> None:
    progress = Progress()
    progress.windows.assign([3, 4])
    with watched(progress, None), watched(None, lambda *_: None):
        pass
    assert progress.windows.numpy().tolist() == [3, 4]
