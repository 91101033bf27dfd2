"""Settings given as keyword arguments."""

from collections.abc import Mapping
from typing import Any, TypeVar

from kits_tf.base.errors import InputError
from kits_tf.base.settings import Settings

S = TypeVar("S", bound=Settings)


def settings_from(kind: type[S], options: Mapping[str, Any]) -> S:
    """Returns settings of a kind with the fields that are given, and the defaults of the others.

    Raises:
        InputError: there is no such field, or a value is not allowed.
    """
    known = kind.__dataclass_fields__
    if unknown := sorted(set(options) - set(known)):
        raise InputError(f"expected settings of {', '.join(known)}, got {', '.join(unknown)}")
    return kind(**options)
