"""Progress of a graph: reported from another thread, which can stop it."""

import time

import pytest
import tensorflow as tf

from kits_tf.inference.progress import WindowProgress, reporting

STEPS, STEP_S = 10, 0.05


class EnoughError(Exception):
    """What is computed is not wanted any more."""


def compute(progress: WindowProgress) -> int:
    """Counts windows that take a while, as a graph does, and returns how many there were."""
    for done in range(1, STEPS + 1):
        time.sleep(STEP_S)
        progress.count(tf.constant(done), tf.constant(STEPS))
    return STEPS


def test_windows_are_reported_in_their_order_and_the_last_one_always() -> None:
    progress, reports = WindowProgress(), list[tuple[int, int]]()
    with reporting(progress, lambda *windows: reports.append(windows)):
        compute(progress)
    assert reports == sorted(set(reports)) and reports[-1] == (STEPS, STEPS)
    assert len(reports) > 1 and {total for _, total in reports} <= {0, STEPS}


def test_what_a_report_raises_stops_the_graph_and_only_that_one() -> None:
    progress, reports = WindowProgress(), list[int]()

    def report(done: int, _: int) -> None:
        reports.append(done)
        raise EnoughError

    with pytest.raises(EnoughError), reporting(progress, report):
        compute(progress)
    assert int(progress.windows[0]) < STEPS and len(reports) == 1
    assert compute(progress) == STEPS


def test_a_failure_of_the_graph_is_raised_as_it_is() -> None:
    with pytest.raises(ValueError, match="^the graph's own$"), reporting(WindowProgress(), lambda *_: None):
        raise ValueError("the graph's own")


def test_without_a_report_nothing_is_counted() -> None:
    progress = WindowProgress()
    progress.windows.assign([3, 4])
    with reporting(progress, None), reporting(None, lambda *_: None):
        pass
    assert progress.windows.numpy().tolist() == [3, 4]
