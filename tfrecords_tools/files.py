"""Files that are written whole or not at all."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

_PARTIAL = ".partial-"


@contextlib.contextmanager
def written_whole(path: str | os.PathLike) -> Iterator[Path]:
    """Yields a temporary path beside `path` to write to; renames it to `path` at the end.

    After an exception nothing is left of it, and what `path` was before stays. The temporary name ends as `path`
    does, so that libraries that look at the suffix see the same one.
    """
    path = Path(path)
    partial = path.with_name(f"{_PARTIAL}{os.getpid()}-{path.name}")
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def remove_partial(directory: str | os.PathLike) -> None:
    """Removes what processes that were killed left half-written in a folder; nobody else may be writing to it."""
    for path in Path(directory).glob(f"{_PARTIAL}*"):
        path.unlink(missing_ok=True)
