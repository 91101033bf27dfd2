"""How far a graph is with a scan, told while it runs, also by a SavedModel; and the way to stop it."""

import contextlib
import threading
from collections.abc import Callable, Iterator

import tensorflow as tf

# (windows done, windows of the scan)
Tell = Callable[[int, int], None]
_EVERY_S = 0.1


class Progress(tf.Module):
    """Of the scan that a graph computes: part of the graph, and exported with it, so that another thread may look.

    Attributes:
        windows: (2,) int32: done, and of how many.
        is_stopped: scalar; where it is set, the graph fails at the next window.
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
def watched(progress: Progress | None, tell: Tell | None) -> Iterator[None]:
    """Tells of the windows of a graph that runs within, from another thread.

    Args:
        progress: of the graph; None if it has none, and tells nothing.
        tell: is told, ten times a second at most; what it raises stops the graph, and is raised here.
    """
    if progress is None or tell is None:
        yield
        return
    progress.windows.assign([0, 0])
    ended, before, failures = threading.Event(), [0, 0], list[Exception]()

    def look() -> None:
        now = progress.windows.numpy().tolist()
        if now != before:
            before[:] = now
            tell(*now)

    def watch() -> None:
        try:
            while not ended.wait(_EVERY_S):
                look()
            look()
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
