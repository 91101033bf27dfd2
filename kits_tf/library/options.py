"""Settings given as keyword arguments."""

import contextlib
import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from kits_tf.base.errors import InputError
from kits_tf.base.settings import Settings

S = TypeVar("S", bound=Settings)
_DASHES = re.compile(r"(?<!\S)(\(?)--(?=\w)")


@contextlib.contextmanager
def parameters_named() -> Iterator[None]:
    """Within, errors name parameters where commands name flags: token_file for --token_file.

    Raises:
        InputError: the block raised one, of the same class.
    """
    try:
        yield
    except InputError as error:
        raise type(error)(_DASHES.sub(r"\1", str(error))) from None


def settings_from(kind: type[S], options: Mapping[str, Any]) -> S:
    """Returns settings of a kind with the fields that are given, and the defaults of the others.

    Raises:
        InputError: there is no such field, or a value is not allowed.
    """
    known = kind.__dataclass_fields__
    if unknown := sorted(set(options) - set(known)):
        raise InputError(f"expected settings of {', '.join(known)}, got {', '.join(unknown)}")
    return kind(**options)
