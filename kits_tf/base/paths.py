"""Paths of this machine's files and of remote ones, with the same methods (etils.epath has no way to add `ram://`)."""

import difflib
import os
from pathlib import Path

from kits_tf.base.errors import InputError
from tfrecords_tools.paths import AnyPath, GFilePath, as_path, is_remote, joined

__all__ = [
    "AnyPath",
    "GFilePath",
    "absolute",
    "as_path",
    "expand_home",
    "expand_homes",
    "is_remote",
    "joined",
    "listed_paths",
    "similar_path",
]


def expand_home(path: str) -> str:
    """Returns a path that begins with ~ or ~USER with that home in its place, as a shell has it; others as they are.

    Raises:
        InputError: this machine has no such user.
    """
    expanded = os.path.expanduser(path)
    if expanded.startswith("~"):
        user = path[1:].partition("/")[0] or "the one who runs this"
        raise InputError(
            f"{path}: expected a user with a home after ~, found none for {user} (./{path} is a file here)"
        )
    return expanded


def expand_homes(paths: str) -> str:
    """Returns the text of a path, or of several with commas between, with homes in the place of each ~."""
    return ",".join(map(expand_home, paths.split(",")))


def listed_paths(text: str) -> list[str]:
    """Returns the paths of a text, between commas; all of it is one path where that exists, whatever its name holds."""
    return [text] if Path(text).exists() else text.split(",")


def similar_path(path: str) -> str:
    """Returns a path that exists and is called much as one that does not, as configs/a for config/a; "" without one."""
    given = Path(path)
    folders = [given.parent, *(given.parent.parent / name for name in _similar(given.parent.name, given.parent.parent))]
    for folder in folders:
        if names := _similar(given.name, folder):
            return str(folder / names[0])
    return ""


def _similar(name: str, folder: Path) -> list[str]:
    """Returns names in a folder that are much like a name, the most similar first."""
    return difflib.get_close_matches(name, os.listdir(folder) if os.access(folder, os.R_OK | os.X_OK) else [])


def absolute(path: str) -> str:
    """Returns an absolute path; remote ones and "" are returned as they are."""
    return os.path.abspath(path) if path and not is_remote(path) else path
