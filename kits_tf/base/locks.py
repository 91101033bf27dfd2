"""Folders that one process writes to at a time."""

import contextlib
import fcntl
from collections.abc import Iterator

from kits_tf.base.errors import InputError
from kits_tf.base.paths import AnyPath, GFilePath

LOCK_NAME = ".lock"


@contextlib.contextmanager
def locked(directory: AnyPath, work: str, *, shared: bool = False) -> Iterator[None]:
    """Holds a folder against other processes; the system lets go of it however this one ends.

    A remote folder has no such lock: that nothing else writes to it is the caller's to know.

    Args:
        directory: folder that is there.
        work: noun for what is done, as in "conversion".
        shared: whether others may hold it as shared, too, as the parts of one work do.

    Raises:
        InputError: another process holds it.
    """
    if isinstance(directory, GFilePath):
        yield
        return
    with open(directory / LOCK_NAME, "a") as file:
        try:
            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"{directory}: another {work} is writing to it") from None
        yield
