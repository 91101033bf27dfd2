"""What a setting is: a field of a frozen dataclass that is a flag too, with its limits and its text."""

import types
import typing
from collections.abc import Iterator
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from typing import Any

from kits_tf.errors import InputError


def setting(default: Any, help_text: str, **limits: Any) -> Any:
    """Returns a dataclass field that is a flag; limits: minimum, maximum, above, below, choices, is_range."""
    return field(default=default, metadata={"help": help_text, **limits})


def required(help_text: str) -> Any:
    """Returns a dataclass field that is a flag without a default."""
    return setting(MISSING, help_text)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Base of all groups: checks every field when built.

    Raises:
        InputError: a value is outside its range; the message names the flag.
    """

    def __post_init__(self) -> None:
        for item in fields(self):
            _check_limits(item, getattr(self, item.name))


def _check_limits(item: Field, value: Any) -> None:
    limits = item.metadata
    if value is None:
        return
    if limits.get("is_range") and not value[0] <= value[1]:
        raise InputError(f"--{item.name}: expected the smaller value first, got {format_value(value)}")
    for number in value if isinstance(value, tuple) else (value,):
        if "choices" in limits and number not in limits["choices"]:
            raise InputError(f"--{item.name}: expected one of {', '.join(map(str, limits['choices']))}, got {number}")
        if "minimum" in limits and not number >= limits["minimum"]:
            raise InputError(f"--{item.name}: expected {limits['minimum']} or more, got {number}")
        if "maximum" in limits and not number <= limits["maximum"]:
            raise InputError(f"--{item.name}: expected at most {limits['maximum']}, got {number}")
        if "above" in limits and not number > limits["above"]:
            raise InputError(f"--{item.name}: expected more than {limits['above']}, got {number}")
        if "below" in limits and not number < limits["below"]:
            raise InputError(f"--{item.name}: expected less than {limits['below']}, got {number}")


def flag_fields(kind: type) -> Iterator[tuple[type, Field, Any]]:
    """Yields (dataclass that holds it, field, type) for each flag of a settings class, groups flattened in place."""
    hints = typing.get_type_hints(kind)
    for item in fields(kind):
        if is_dataclass(hints[item.name]):
            yield from flag_fields(hints[item.name])
        else:
            yield kind, item, hints[item.name]


_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


def parse_value(text: str, kind: Any) -> Any:
    """Returns the value that a flag's text stands for: str, int, float, bool, or a tuple written with commas.

    Raises:
        ValueError: the text is none of `kind`; the message says what was expected.
    """
    kind = without_none(kind)
    if typing.get_origin(kind) is not tuple:
        names = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
        try:
            value = _BOOLEANS[text.lower()] if kind is bool else kind(text)
        except KeyError:
            raise ValueError(f"expected {names[kind]}, got {text!r}") from None
        except ValueError:
            raise ValueError(f"expected {names[kind]}, got {text!r}") from None
        if kind is float and value != value:
            raise ValueError(f"expected a number, got {text!r}")
        return value
    parts, items = text.strip("()[] ").split(","), typing.get_args(kind)
    if items[-1] is not Ellipsis and len(parts) != len(items):
        raise ValueError(f"expected {len(items)} numbers with commas between, got {text!r}")
    return tuple(parse_value(part.strip(), items[0]) for part in parts)


def without_none(kind: Any) -> Any:
    """Returns T for T | None, and any other type as it is."""
    if typing.get_origin(kind) is not types.UnionType:
        return kind
    (rest,) = [k for k in typing.get_args(kind) if k is not type(None)]
    return rest


def changed_flags(settings: Settings) -> str:
    """Returns the flags of a group that are not at their defaults, as on a command line; "" where all are."""
    values = {item.name: getattr(settings, item.name) for item in fields(settings)}
    changed = {item.name for item in fields(settings) if values[item.name] != item.default}
    return " ".join(f"--{name}={format_value(value)}" for name, value in values.items() if name in changed)


def format_value(value: Any) -> str:
    """Returns the text that `parse_value` reads back to the same value."""
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
