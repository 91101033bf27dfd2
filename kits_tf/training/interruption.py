"""SIGTERM and Ctrl-C, which are answered at once, and wait until a step is done and saved."""

import contextlib
import logging
import signal
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn

from kits_tf.base.signals import SECOND_SIGNAL, free_to_end, heard_at_once

logger = logging.getLogger(__name__)


class Interruption:
    """Catches SIGTERM and SIGINT within a with statement, once; a second one ends the process as it would without.

    Attributes:
        caught: the signal that came, or None.
        work: what is finished before the process stops, as in "this step".
    """

    def __init__(self) -> None:
        self.caught: signal.Signals | None = None
        self.work = "this step"
        self._is_answered = False
        self._listening = contextlib.ExitStack()

    def __enter__(self) -> "Interruption":
        self._listening.enter_context(heard_at_once(self._answer))
        self._before = {kind: signal.signal(kind, self._catch) for kind in (signal.SIGTERM, signal.SIGINT)}
        return self

    def __exit__(self, *_: object) -> None:
        self._restore_handlers()
        self._listening.close()

    @contextlib.contextmanager
    def suspended(self) -> Iterator[None]:
        """Within, a signal ends the process as it would without this object, and a command at once: nothing is lost."""
        self.__exit__()
        try:
            with free_to_end():
                yield
        finally:
            self.__enter__()

    def end(self, message: str) -> NoReturn:
        """Ends the process: as interrupted after Ctrl-C, otherwise with status 0.

        SIGTERM may have come to this process or to another worker.

        Args:
            message: sentence about what was saved, which has been logged.
        """
        if self.caught == signal.SIGINT:
            raise KeyboardInterrupt(message)
        raise SystemExit(0)

    def _catch(self, number: int, _: FrameType | None) -> None:
        self.caught = signal.Signals(number)
        self._restore_handlers()

    def _restore_handlers(self) -> None:
        for kind, handler in self._before.items():
            signal.signal(kind, handler)

    def _answer(self, _: signal.Signals, is_answered: bool) -> bool:
        """Says what happens next, while the main thread may be in the middle of a step."""
        if not self._is_answered and not is_answered:
            logger.info("stopping after %s; the same command continues (%s)", self.work, SECOND_SIGNAL)
        self._is_answered = True
        return True
