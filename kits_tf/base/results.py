"""What was done to each item of a long work, one small file an item: whole or not there, whoever did it and when.

Nothing grows with the number of items but their number: whoever does an item writes its file alone, so processes and
machines that share a folder need no lock, and whoever does it twice writes the same.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from cattrs import BaseValidationError, Converter

from kits_tf.base.errors import InputError
from kits_tf.base.files import write_text
from kits_tf.base.paths import AnyPath

T = TypeVar("T")
JSON = Converter(forbid_extra_keys=True)
_FAILED = "failed"
# Folder of the results beside what was made, hidden: it is for programs.
RESULTS_NAME = ".results"


@dataclass(frozen=True)
class Results(Generic[T]):
    """The results of items by name, in a folder.

    Attributes:
        folder: folder of one file NAME.json for each item that was done or failed; it is made for the first one.
        kind: dataclass of a result.
    """

    folder: AnyPath
    kind: type[T]

    def read(self, name: str) -> T | InputError | None:
        """Returns the result of an item, or the error that it failed with; None if it is still to be done.

        A file that cannot be read, as after a loss of power or of an earlier version, is no result.
        """
        try:
            content = json.loads(self._path(name).read_text(encoding="utf-8"))
            if isinstance(content, dict):
                return InputError(content[_FAILED]) if _FAILED in content else JSON.structure(content, self.kind)
        except (OSError, ValueError, BaseValidationError):
            pass
        return None

    def names(self) -> list[str]:
        """Returns the names of all items that were done or failed, in order."""
        return sorted(path.stem for path in self.folder.glob("[!.]*.json"))

    def write(self, name: str, result: T) -> None:
        """Keeps the result of an item.

        Raises:
            OSError: it cannot be written.
        """
        self._write(name, JSON.unstructure(result))

    def fail(self, name: str, error: InputError) -> None:
        """Keeps the reason why an item failed.

        Raises:
            OSError: it cannot be written.
        """
        self._write(name, {_FAILED: str(error)})

    def _write(self, name: str, content: Any) -> None:
        if not self.folder.is_dir():
            self.folder.mkdir(parents=True, exist_ok=True)
        write_text(self._path(name), json.dumps(content) + "\n")

    def _path(self, name: str) -> AnyPath:
        return self.folder / f"{name}.json"


@dataclass(frozen=True)
class Done(Generic[T]):
    """An item that is done.

    Attributes:
        result: its result.
        is_new: whether it was done now, not by an earlier run.
        host: name of the machine that did it; "" for this one.
    """

    result: T
    is_new: bool
    host: str = ""


def do_and_keep(function: Callable[..., T], results: Results[T], name: str, *task: Any) -> Done[T]:
    """Does an item and keeps its result, or the error that it fails with.

    Args:
        function: function of the items of the task and of the earlier result, or None, which it returns as it is if
            it still holds.
        results: store of the result.
        name: name of the item.
        *task: arguments of the function.

    Raises:
        InputError: the item failed.
        OSError: nothing can be written.
    """
    earlier = results.read(name)
    earlier = None if isinstance(earlier, InputError) else earlier
    try:
        result = function(*task, earlier)
    except InputError as error:
        results.fail(name, error)
        raise
    if result != earlier:
        results.write(name, result)
    return Done(result, is_new=result is not earlier)


def stamp(path: AnyPath) -> tuple[int, int]:
    """Returns the size of a file in bytes and the time of its last change in ns; 0 where a store keeps none.

    Raises:
        OSError: there is no such file.
    """
    status = path.stat()
    return status.st_size, getattr(status, "st_mtime_ns", 0)
