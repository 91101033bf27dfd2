"""Tables of named things that flags choose from, open to modules outside the package."""

import importlib
import os
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from typing import Generic, TypeVar

from kits_tf.base.errors import InputError

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
        """Returns a decorator that puts a thing into the table under a name, in place of any earlier one."""

        def add(thing: T) -> T:
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
    for name in modules:
        try:
            importlib.import_module(name)
        except Exception as error:
            raise InputError(f"--plugins: expected a module that can be imported, got {name}: {error}") from None
    if modules:
        os.environ[_PLUGINS_VARIABLE] = ",".join(dict.fromkeys([*inherited_plugins(), *modules]))


def inherited_plugins() -> tuple[str, ...]:
    """Returns the plugins of the process that started this one."""
    return tuple(name for name in os.environ.get(_PLUGINS_VARIABLE, "").split(",") if name)
