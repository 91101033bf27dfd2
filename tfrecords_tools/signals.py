"""SIGINT and SIGTERM the moment they come, also while the main thread is in a call of C for a minute."""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator

SECOND_SIGNAL = "a second Ctrl-C or SIGTERM stops at once"
_STOPPING = (signal.SIGINT, signal.SIGTERM)
_END = b"\0"  # the number of no signal
_ANSWERED = 0x80  # added to the number of a signal that an inner block has answered
_free = threading.Event()


@contextlib.contextmanager
def free_to_end() -> Iterator[None]:
    """Within, nothing would be lost if the process ended: a command ends at once after the first signal."""
    _free.set()
    try:
        yield
    finally:
        _free.clear()


def is_free_to_end() -> bool:
    """Returns whether the process is in a block of `free_to_end`."""
    return _free.is_set()


@contextlib.contextmanager
def heard_at_once(hear: Callable[[signal.Signals, bool], bool]) -> Iterator[None]:
    """Calls a function of another thread for each SIGINT and SIGTERM that comes within, beside its handler.

    Python calls a handler between two instructions of the main thread, and so not before a call of TensorFlow is over.
    Blocks may be nested: the inner one hears a signal first. Only for the main thread, and for signals that have a
    handler in Python.

    Args:
        hear: function of the signal and of whether an inner block has said what happens next, which should return soon.
            It returns whether it has said so.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    outer = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)

    def listen() -> None:
        while (byte := os.read(reading, 1)) not in (_END, b""):
            number, is_answered = byte[0] & ~_ANSWERED, bool(byte[0] & _ANSWERED)
            if number in _STOPPING:
                is_answered |= hear(signal.Signals(number), is_answered)
            if outer >= 0:
                os.write(outer, bytes([number | _ANSWERED * is_answered]))

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
