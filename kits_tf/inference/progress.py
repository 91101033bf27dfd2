"""Progress and cancellation of one scan's computation, from outside of the graph.

A graph runs in one call, for seconds to minutes. Two variables that belong to it, also in a SavedModel, make it
observable: it counts its windows in one, which another thread reads, and stops if that thread sets the other.
"""

import contextlib
import threading
from collections.abc import Iterator

import tensorflow as tf

from kits_tf.base.progress import Report

_EVERY_S = 0.1


class WindowProgress(tf.Module):
    """Counter of the windows of the scan that a graph computes; part of the graph, and exported with it.

    Attributes:
        windows: (2,) int32 variable: number of windows done, and number of all.
        is_stopped: scalar bool variable; if it is set, the graph fails at the next window.
    """

    def __init__(self) -> None:
        super().__init__(name="progress")
        with tf.device("CPU"):
            self.windows = tf.Variable([0, 0], trainable=False, dtype=tf.int32, name="windows")
            self.is_stopped = tf.Variable(False, trainable=False, name="is_stopped")

    def count(self, done: tf.Tensor, total: tf.Tensor) -> None:
        """Notes how many windows are done; called by the graph."""
        self.windows.assign(tf.stack([done, total]))
        tf.debugging.Assert(~self.is_stopped, ["stopped after window", done])


@contextlib.contextmanager
def reporting(progress: WindowProgress | None, report: Report | None) -> Iterator[None]:
    """Reports the windows of a graph that runs within, from another thread.

    Args:
        progress: counter of the graph; None if it has none: then nothing is reported.
        report: function called with the windows done and all windows, ten times a second at most; an exception that
            it raises stops the graph, and is raised here. None: nothing is reported.
    """
    if progress is None or report is None:
        yield
        return
    progress.windows.assign([0, 0])
    ended = threading.Event()
    before, failures = [0, 0], list[Exception]()

    def report_change() -> None:
        now = progress.windows.numpy().tolist()
        if now != before:
            before[:] = now
            report(*now)

    def watch() -> None:
        try:
            while not ended.wait(_EVERY_S):
                report_change()
            report_change()
        except Exception as error:  # is for the thread that runs the graph
            failures.append(error)
            progress.is_stopped.assign(True)

    thread = threading.Thread(target=watch, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        progress.is_stopped.assign(False)
        if failures:
            raise failures[0] from None
