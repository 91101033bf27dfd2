"""How far a command is, on stderr: one line that changes on a terminal, a line now and then elsewhere."""

import shutil
import sys
import threading
from time import monotonic
from types import TracebackType

_SECONDS_ON_TERMINAL = 0.1
_SECONDS_ELSEWHERE = 30.0
_CLEAR = "\r\x1b[K"


class Progress:
    """Counts bytes of a known total and shows them; threads may add to it at the same time.

    Args:
        verb: what goes on, as in "verifying".
        total: bytes to come.
    """

    def __init__(self, verb: str, total: int) -> None:
        self._verb, self._total, self._done = verb, total, 0
        self._terminal = sys.stderr.isatty()
        self._every = _SECONDS_ON_TERMINAL if self._terminal else _SECONDS_ELSEWHERE
        self._start = self._shown = monotonic()
        self._lock = threading.Lock()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._clear()

    def add(self, num_bytes: int) -> None:
        """Counts bytes, and shows them if the last look is long enough ago."""
        with self._lock:
            self._done += num_bytes
            if monotonic() - self._shown < self._every:
                return
            self._shown = monotonic()
            line = self.line()
            if self._terminal:
                print(_CLEAR + line[: shutil.get_terminal_size().columns - 1], end="", file=sys.stderr, flush=True)
            else:
                print(line, file=sys.stderr, flush=True)

    def say(self, line: str) -> None:
        """Prints a line of the result to stdout, clear of the progress."""
        with self._lock:
            self._clear()
            print(line, flush=True)

    def line(self) -> str:
        """Returns how far it is, as in "verifying 0.5 of 1.2 GB, 850.0 MB/s, 1 s left"."""
        rate = self._done / self._seconds
        left = f", {max(self._total - self._done, 0) / rate:.0f} s left" if rate else ""
        return f"{self._verb} {size_text(self._done)} of {size_text(self._total)}, {size_text(rate)}/s{left}"

    def summary(self) -> str:
        """Returns what was done, as in "1.2 GB in 0.6 s, 2.0 GB/s"."""
        seconds = self._seconds
        return f"{size_text(self._done)} in {seconds:.1f} s, {size_text(self._done / seconds)}/s"

    @property
    def _seconds(self) -> float:
        return max(monotonic() - self._start, 1e-6)

    def _clear(self) -> None:
        if self._terminal:
            print(_CLEAR, end="", file=sys.stderr, flush=True)


def size_text(num_bytes: float) -> str:
    """Returns a number of bytes as in "17 bytes", "35.6 MB" or "1.2 GB", in powers of 1000."""
    if num_bytes < 1000:
        return count_text(round(num_bytes), "byte")
    for unit in ("kB", "MB", "GB"):
        num_bytes /= 1000
        if num_bytes < 999.95:
            return f"{num_bytes:.1f} {unit}"
    return f"{num_bytes / 1000:.1f} TB"


def count_text(count: int, word: str) -> str:
    """Returns a number of things as in "1 file" or "2 files"."""
    return f"{count} {word}{'' if count == 1 else 's'}"
