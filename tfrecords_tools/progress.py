"""How far a command is, on stderr: a bar on a terminal, a line now and then elsewhere."""

import sys
import threading
from time import monotonic
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

_SECONDS_BETWEEN_LINES = 30.0


class ByteProgress:
    """Counts bytes of a known total and shows them; threads may add to it at the same time.

    Args:
        verb: word for what goes on, as in "verifying".
        total: number of bytes to come.
    """

    def __init__(self, verb: str, total: int) -> None:
        self._verb = verb
        self._total = total
        self._done = 0
        self._start = self._last_line = monotonic()
        self._lock = threading.Lock()
        columns = [TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()]
        self._bars = Progress(
            *columns,
            TimeRemainingColumn(),
            console=Console(file=sys.stderr),
            disable=not sys.stderr.isatty(),
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._bar = self._bars.add_task(verb, total=total)

    def __enter__(self) -> "ByteProgress":
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def add(self, num_bytes: int) -> None:
        """Counts bytes; where there is no bar, prints a line if the last one is long enough ago."""
        with self._lock:
            self._done += num_bytes
            if not self._bars.disable:
                self._bars.update(self._bar, completed=self._done)
            elif monotonic() - self._last_line >= _SECONDS_BETWEEN_LINES:
                self._last_line = monotonic()
                print(self.line(), file=sys.stderr, flush=True)

    def say(self, line: str) -> None:
        """Prints a line of the result to stdout, clear of the bar."""
        with self._lock:
            self._bars.stop()
            print(line, flush=True)
            self._bars.start()

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
