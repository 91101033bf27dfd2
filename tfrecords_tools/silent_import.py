"""Importing TensorFlow without its start-up messages."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from typing import TextIO

# The real standard error while an import is held back.
_visible: TextIO | None = None


def visible_stderr() -> TextIO:
    """Returns where a message is seen at once, also while another thread imports what is held back."""
    return _visible or sys.stderr


@contextlib.contextmanager
def silent_import() -> Iterator[None]:
    """Holds back what an import of TensorFlow within writes to standard error.

    TensorFlow 2.21 logs to file descriptor 2 before it reads TF_CPP_MIN_LOG_LEVEL, so this holds the file
    descriptor itself, and shows what was written only if the import fails.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with _held_back_stderr():
        yield


@contextlib.contextmanager
def _held_back_stderr() -> Iterator[None]:
    global _visible
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as held, open(saved, "w", buffering=1, errors="replace") as _visible:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except Exception:
            sys.stderr.flush()
            held.seek(0)
            os.write(saved, held.read())
            raise
        finally:
            os.dup2(saved, 2)
            _visible = None
