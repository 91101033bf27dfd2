"""Tables of named things that flags choose from, open to modules outside the package."""

import importlib
import os
import pkgutil
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from typing import Generic, TypeVar

from kits_tf.base.errors import InputError
from kits_tf.base.startup import quiet_start

T = TypeVar("T")
# Worker processes import the same plugins as the process that started them.
_PLUGINS_VARIABLE = "KITS_TF_PLUGINS"


class Registry(Mapping[str, T], Generic[T]):
    """Things of one kind by name, in the order in which they were registered.

    A registry with a `package` has a module for each built-in thing, of the thing's name, which registers it when it
    is imported: names are known, for --help and for checks, before anything is imported. Modules whose names begin with
    "_" hold what the others share.

    Args:
        kind: word for the things in messages, as in "loss".
        package: dotted name of the package whose modules register one thing each; "" for a table in one module.
    """

    def __init__(self, kind: str, package: str = "") -> None:
        self.kind, self._package = kind, package
        self._things: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Returns a decorator that puts a thing into the table under a new name.

        Raises:
            InputError: the name is taken: a plugin must not change what a built-in name means.
        """

        def add(thing: T) -> T:
            is_own_module = f"{self._package}.{name}" in sys.modules
            if name in self._things or (name in self._modules() and not is_own_module):
                raise InputError(f"{self.kind}: expected a new name, got {name}, which is taken")
            self._things[name] = thing
            return thing

        return add

    def __getitem__(self, name: str) -> T:
        """Returns the thing of a name.

        Raises:
            InputError: there is none; the message lists the names.
        """
        if name not in self._things and name in self._modules():
            importlib.import_module(f"{self._package}.{name}")
        if name not in self._things:
            raise InputError(f"{self.kind}: expected one of {', '.join(self)}, got {name}")
        return self._things[name]

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys([*self._modules(), *self._things]))

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __contains__(self, name: object) -> bool:
        return name in list(self)

    def _modules(self) -> list[str]:
        if not self._package:
            return []
        modules = pkgutil.iter_modules(importlib.import_module(self._package).__path__)
        return [module.name for module in modules if not module.name.startswith("_")]


def import_plugins(modules: tuple[str, ...]) -> None:
    """Imports modules that register things of their own, here and in every worker process that is started later.

    Raises:
        InputError: one cannot be imported.
    """
    if modules and not {"", os.getcwd()} & set(sys.path):
        sys.path.append(os.getcwd())  # the program kits-tf, unlike python -m, starts without it
    for name in modules:
        if name.endswith(".py") or not all(part.isidentifier() for part in name.split(".")):
            raise InputError(f"--plugins: expected names of modules, as in my_loss for my_loss.py, got {name!r}")
        with quiet_start():
            problem = _problem_with_import(name)
        if problem:
            raise InputError(f"--plugins: expected a module that can be imported, got {name}: {problem}")
    if modules:
        os.environ[_PLUGINS_VARIABLE] = ",".join(dict.fromkeys([*inherited_plugins(), *modules]))


def inherited_plugins() -> tuple[str, ...]:
    """Returns the plugins of the process that started this one."""
    return tuple(name for name in os.environ.get(_PLUGINS_VARIABLE, "").split(",") if name)


def _problem_with_import(name: str) -> str:
    """Imports a module; returns what went wrong and in which line, or "" if nothing did."""
    try:
        importlib.import_module(name)
    except (ModuleNotFoundError, SyntaxError) as error:  # whose messages say where
        is_missing = isinstance(error, ModuleNotFoundError) and error.name == name
        return "it is neither in this folder nor on PYTHONPATH" if is_missing else str(error)
    except (Exception, SystemExit) as error:
        *_, last = traceback.extract_tb(error.__traceback__)
        return f"{type(error).__name__}: {error} ({last.filename}:{last.lineno})"
    return ""
