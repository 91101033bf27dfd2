"""The progress of long work: bars on a terminal once a command asks for them, log lines otherwise.

A library user sees neither unless they set up logging for "kits_tf" or call `show_bars`.
"""

import contextlib
import itertools
import logging
import os
import sys
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from time import monotonic
from typing import TYPE_CHECKING, TextIO, TypeVar, cast

from kits_tf.base.words import duration_text
from tfrecords_tools.silent_import import visible_stderr

if TYPE_CHECKING:
    from rich.progress import Progress

T = TypeVar("T")
# (steps done, steps in all)
Report = Callable[[int, int], None]

logger = logging.getLogger(__name__)
# Shorter work needs no word; longer work says again how long it has taken.
_MOMENT_S = 2.0
_AGAIN_S = 5.0
# Commands import this module first.
_START = monotonic()
# One display for all bars: a terminal has one bottom.
_bars: "Progress | None" = None


def seconds_since_start() -> float:
    """Returns how long this process has been running, without the start of Python."""
    return monotonic() - _START


@contextlib.contextmanager
def show_bars() -> Iterator[None]:
    """Shows the bars of `track` and `counter` within, on stderr if that is a terminal."""
    global _bars
    is_dumb = os.environ.get("TERM") in ("dumb", "unknown")  # which rich shows nothing on
    if not _is_terminal(sys.stderr) or is_dumb or _bars is not None:
        yield
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()]
    columns += [TimeElapsedColumn(), TextColumn("about"), TimeRemainingColumn(), TextColumn("left")]
    with (
        # A descriptor of its own: an import of TensorFlow holds back what is written to that of standard error.
        open(os.dup(sys.stderr.fileno()), "w", encoding=sys.stderr.encoding, errors="replace") as terminal,
        # What is printed goes above the bars where both are on one terminal, and to its own place otherwise.
        Progress(
            *columns, console=Console(file=terminal), transient=True, redirect_stdout=_is_terminal(sys.stdout)
        ) as _bars,
    ):
        try:
            yield
        finally:
            _bars = None


def log_stream() -> TextIO:
    """Returns where a log message is seen: above the bars if there are any, otherwise on standard error."""
    return visible_stderr() if _bars is None else sys.stderr


def track(items: Iterable[T], name: str, total: int) -> Iterator[T]:
    """Yields the items, and shows before each how many are done and how long the rest may take.

    Args:
        items: items of the work.
        name: word for an item, as in "case".
        total: number of items.
    """
    start = monotonic()
    bar = _bars.add_task(name, total=total) if _bars else None

    def step(done: int) -> str:
        return f"{name} {done + 1}/{total}" if bar is None and done < total else ""

    try:
        for done, item in enumerate(_each(items, step)):
            if bar is None or _bars is None:
                logger.info("%s (%s)", step(done), pace(done, total, start))
            else:
                _bars.update(bar, completed=done)
            with _saying(step(done), _AGAIN_S):
                yield item
    finally:
        if bar is not None and _bars is not None:
            _bars.remove_task(bar)
    logger.info("%s: %d done in %.0f s", name, total, monotonic() - start)


@contextlib.contextmanager
def still_working(work: str, *, is_known: bool = False) -> Iterator[None]:
    """Logs what is done within, if it takes longer than a moment, and every five seconds how long it has taken.

    Args:
        work: what is done, as in "compiling the first step".
        is_known: whether the line before says so already.
    """
    with _saying(work, _AGAIN_S if is_known else _MOMENT_S):
        yield


@contextlib.contextmanager
def meanwhile(call: Callable[[float], None], every_s: float) -> Iterator[None]:
    """Calls a function within, in a thread of its own, again and again.

    Args:
        call: function of the seconds that have passed.
        every_s: seconds before the first call, and between two.
    """
    start, is_over = monotonic(), threading.Event()

    def repeat() -> None:
        while not is_over.wait(every_s):
            call(monotonic() - start)

    thread = threading.Thread(target=repeat, name="meanwhile", daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def awaited(items: Iterable[T], work: str) -> Generator[T, None, None]:
    """Yields the items, and logs as `still_working` does while the next one does not come.

    Args:
        items: items of the work.
        work: what is done, as in "converting".
    """
    return _each(items, lambda _: work)


def counter(name: str) -> Report | None:
    """Returns a function that shows (steps done, steps in all) as a bar; None where no bars are shown."""
    if _bars is None:
        return None
    bar, before = _bars.add_task(name, total=None, visible=False), 0

    def report(done: int, total: int) -> None:
        nonlocal before
        if _bars is not None:
            if done < before:  # of another scan or epoch, whose time begins now
                _bars.reset(bar)
            before = done
            _bars.update(bar, completed=done, total=total, visible=done < total)

    return report


def pace(done: int, total: int, start: float) -> str:
    """Returns in words how long `done` of `total` items have taken, their rate, and how long the rest may take.

    Args:
        done: number of items done.
        total: number of items.
        start: `time.monotonic()` at the start of the first one.
    """
    passed = monotonic() - start
    if done == 0:
        return f"{passed:.0f} s"
    left = f", about {duration_text(passed / done * (total - done))} left" if done < total else ""
    return f"{passed:.0f} s, {60 * done / max(passed, 1e-3):.1f} a minute{left}"


def _is_terminal(stream: TextIO | None) -> bool:
    """Returns whether a stream is a terminal; None is one that was closed before Python started, as by 2>&-."""
    return stream is not None and stream.isatty()


def _each(items: Iterable[T], work: Callable[[int], str]) -> Generator[T, None, None]:
    """Yields the items, and logs work(items that have come) while the next one does not come."""
    waiting, end = iter(items), object()
    try:
        for come in itertools.count():
            with _saying(work(come), _MOMENT_S):
                item = next(waiting, end)
            if item is end:
                return
            yield cast(T, item)
    finally:
        if isinstance(waiting, Generator):  # its processes are to stop now, not when it is collected
            waiting.close()


@contextlib.contextmanager
def _saying(work: str, first_s: float) -> Iterator[None]:
    """Logs what is done within after `first_s` seconds, and then again and again; nothing for ""."""
    start, is_over = monotonic(), threading.Event()

    def say() -> None:
        wait_s = first_s
        while not is_over.wait(wait_s):
            passed = monotonic() - start
            logger.info("%s%s", work, f": {passed:.0f} s so far" if passed >= _AGAIN_S else "")
            wait_s = _AGAIN_S - passed if passed < _AGAIN_S else _AGAIN_S

    thread = threading.Thread(target=say, name="still working", daemon=True)
    if work:
        thread.start()
    try:
        yield
    finally:
        is_over.set()
        if work:
            thread.join()
