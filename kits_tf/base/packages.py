"""Packages that only some commands need, by the extra of setup.py that brings them."""

import importlib.util

from kits_tf.base.errors import InputError


def is_installed(package: str) -> bool:
    """Returns whether a package can be imported; it is not imported."""
    return importlib.util.find_spec(package) is not None


def require(extra: str, *packages: str) -> None:
    """Raises InputError if one of the packages that an extra brings is not installed."""
    missing = [name for name in packages if not is_installed(name)]
    if missing:
        raise InputError(f"expected {', '.join(missing)} to be installed: pip install 'kits_tf[{extra}]'")
