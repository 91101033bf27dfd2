"""SIGTERM and Ctrl-C, which wait until a step is done and saved."""

import signal
from types import FrameType
from typing import NoReturn


class Interruption:
    """Catches SIGTERM and SIGINT within a with statement, once; a second one ends the process as it would without.

    Attributes:
        caught: the signal that came, or None.
    """

    def __init__(self) -> None:
        self.caught: signal.Signals | None = None

    def __enter__(self) -> "Interruption":
        self._before = {kind: signal.signal(kind, self._catch) for kind in (signal.SIGTERM, signal.SIGINT)}
        return self

    def __exit__(self, *_: object) -> None:
        for kind, handler in self._before.items():
            signal.signal(kind, handler)

    def end(self) -> NoReturn:
        """Ends the process: as interrupted after Ctrl-C, otherwise with status 0.

        SIGTERM may have come to this process or to another worker.
        """
        if self.caught == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(0)

    def _catch(self, number: int, _: FrameType | None) -> None:
        self.caught = signal.Signals(number)
        self.__exit__()
