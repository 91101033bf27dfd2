"""Files that are written whole or not at all."""

import contextlib
import os
import secrets
from collections.abc import Iterator

from tfrecords_tools.paths import AnyPath, as_path

_PARTIAL = ".partial-"


@contextlib.contextmanager
def written_whole(path: str | os.PathLike) -> Iterator[AnyPath]:
    """Yields a temporary path beside `path` to write to; renames it to `path` at the end.

    After an exception nothing is left of it, and what `path` was before stays. The temporary name ends as `path`
    does, so that libraries that look at the suffix see the same one.
    """
    path = as_path(path)
    # On a shared folder another machine may have the same process id.
    partial = path.with_name(f"{_PARTIAL}{os.getpid()}-{secrets.token_hex(4)}-{path.name}")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextlib.contextmanager
def name_in_errors(path: str | os.PathLike) -> Iterator[None]:
    """Makes every OSError within say which file could not be written, and why, in one line."""
    try:
        yield
    except OSError as error:
        raise OSError(f"{os.fspath(path)}: cannot be written: {error.strerror or error}") from None


def remove_partial(directory: str | os.PathLike) -> None:
    """Removes what processes that were killed left half-written in a folder; nobody else may be writing to it."""
    for path in as_path(directory).glob(f"{_PARTIAL}*"):
        path.unlink(missing_ok=True)
