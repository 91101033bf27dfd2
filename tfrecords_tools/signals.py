"""SIGINT and SIGTERM the moment they come, also while the main thread is in a call of C for a minute."""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator

_STOPPING = (signal.SIGINT, signal.SIGTERM)
_END = b"\0"  # the number of no signal


@contextlib.contextmanager
def heard_at_once(hear: Callable[[signal.Signals], None]) -> Iterator[None]:
    """Calls a function of another thread for each SIGINT and SIGTERM that comes within, beside its handler.

    Python calls a handler between two instructions of the main thread, and so not before a call of TensorFlow is over.
    Blocks may be nested: the inner one hears a signal first. Only for the main thread, and for signals that have a
    handler in Python.

    Args:
        hear: function of the signal, which should return soon.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    outer = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)

    def listen() -> None:
        while (number := os.read(reading, 1)) not in (_END, b""):
            if number[0] in _STOPPING:
                hear(signal.Signals(number[0]))
            if outer >= 0:
                os.write(outer, number)

    thread = threading.Thread(target=listen, name="signals", daemon=True)
    thread.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(outer, warn_on_full_buffer=False)
        os.write(writing, _END)
        thread.join()
        os.close(reading)
        os.close(writing)
