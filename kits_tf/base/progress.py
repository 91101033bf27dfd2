"""The progress of long work: bars on a terminal once a command asks for them, log lines otherwise.

A library user sees neither unless they set up logging for "kits_tf" or call `show_bars`.
"""

import contextlib
import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from time import monotonic
from typing import TYPE_CHECKING, TextIO, TypeVar

if TYPE_CHECKING:
    from rich.progress import Progress

T = TypeVar("T")
# (steps done, steps in all)
Report = Callable[[int, int], None]

logger = logging.getLogger(__name__)
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
    # What is printed goes above the bars where both are on one terminal, and to its own place otherwise.
    with Progress(
        *columns, console=Console(stderr=True), transient=True, redirect_stdout=_is_terminal(sys.stdout)
    ) as _bars:
        try:
            yield
        finally:
            _bars = None


def track(items: Iterable[T], name: str, total: int) -> Iterator[T]:
    """Yields the items, and shows before each how many are done and how long the rest may take.

    Args:
        items: items of the work.
        name: word for an item, as in "case".
        total: number of items.
    """
    start = monotonic()
    bar = _bars.add_task(name, total=total) if _bars else None
    try:
        for done, item in enumerate(items):
            if bar is None or _bars is None:
                logger.info("%s %d/%d (%s)", name, done + 1, total, pace(done, total, start))
            else:
                _bars.update(bar, completed=done)
            yield item
    finally:
        if bar is not None and _bars is not None:
            _bars.remove_task(bar)
    logger.info("%s: %d done in %.0f s", name, total, monotonic() - start)


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
    left = f", about {passed / done * (total - done):.0f} s left" if done < total else ""
    return f"{passed:.0f} s, {60 * done / max(passed, 1e-3):.1f} a minute{left}"


def _is_terminal(stream: TextIO | None) -> bool:
    """Returns whether a stream is a terminal; None is one that was closed before Python started, as by 2>&-."""
    return stream is not None and stream.isatty()
