"""What a setting is: a field of a frozen dataclass that is a flag too, with its limits and its text."""

import types
import typing
from collections.abc import Iterator
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from typing import Any, TypeVar

from kits_tf.base.errors import InputError
from kits_tf.base.paths import expand_homes

S = TypeVar("S", bound="Settings")


def setting(default: Any, help_text: str, **limits: Any) -> Any:
    """Returns a dataclass field that is a flag.

    Args:
        default: value without the flag.
        help_text: description of the flag in --help.
        **limits: minimum, maximum, above, below: bounds of each number; choices: the values allowed, a sequence or a
            `Registry`; is_range: whether the first of two numbers must not be larger than the second; is_path: whether
            a text is a path, as it is where the flag's name ends in _dir or _file.
    """
    return field(default=default, metadata={"help": help_text, **limits})


def required(help_text: str, **limits: Any) -> Any:
    """Returns a dataclass field that is a flag without a default, with the limits of `setting`."""
    return setting(MISSING, help_text, **limits)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Base of all groups: checks every field when built, and puts the home in the place of a path's ~.

    A shell leaves the ~ of --output_dir=~/x as it is, and there is none where flags come from a file.

    Raises:
        InputError: a value is outside its range, or a path begins with ~USER of nobody; the message names the flag.
    """

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            _check_limits(item, value)
            if isinstance(value, str) and is_path(item):
                object.__setattr__(self, item.name, _expanded(item.name, value))


def is_path(item: Field) -> bool:
    """Returns whether a flag's value is a path, or several with commas between."""
    return item.name.endswith(("_dir", "_file")) or item.metadata.get("is_path", False)


def _expanded(name: str, value: str) -> str:
    try:
        return expand_homes(value)
    except InputError as error:
        raise InputError(f"--{name}: {error}") from None


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


def build(kind: type[S], values: dict[str, Any]) -> S:
    """Returns settings from values by flag name; absent or None gives the default.

    Raises:
        InputError: a required flag is missing, or a value is out of range.
    """
    hints = typing.get_type_hints(kind)
    arguments = {}
    for item in fields(kind):
        if is_dataclass(hints[item.name]):
            arguments[item.name] = build(typing.cast(type[Settings], hints[item.name]), values)
        elif values.get(item.name) is not None:
            arguments[item.name] = values[item.name]
        elif item.default is MISSING:
            raise InputError(f"--{item.name} is required: {item.metadata['help']}")
    return kind(**arguments)


def flatten(settings: Settings) -> dict[str, Any]:
    """Returns the values of all flags by name, groups flattened in place."""
    flat: dict[str, Any] = {}
    for item in fields(settings):
        value = getattr(settings, item.name)
        flat |= flatten(value) if isinstance(value, Settings) else {item.name: value}
    return flat


def select(kind: type[S], settings: Settings, **changes: Any) -> S:
    """Returns settings of one kind taken from another's by flag name, with changes by flag name."""
    names = {item.name for _, item, _ in flag_fields(kind)}
    return build(kind, {name: value for name, value in flatten(settings).items() if name in names} | changes)


_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


def parse_value(text: str, kind: Any) -> Any:
    """Returns the value of a flag's text: str, int, float, bool, or a tuple written with commas.

    Raises:
        ValueError: the text is not a value of `kind`; the message says what was expected.
    """
    kind = without_none(kind)
    if typing.get_origin(kind) is not tuple:
        names = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
        try:
            value = _BOOLEANS[text.lower()] if kind is bool else kind(text)
        except (KeyError, ValueError):
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


def format_value(value: Any) -> str:
    """Returns the text that `parse_value` reads back to the same value."""
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def format_flag(name: str, value: Any) -> str:
    """Returns a flag as on a command line, "--name=value"; None gives an empty value."""
    return f"--{name}={'' if value is None else format_value(value)}"


def non_default_flags(settings: Settings) -> str:
    """Returns the flags of a group that are not at their defaults, as on a command line; "" if all are."""
    changed = [item for item in fields(settings) if getattr(settings, item.name) != item.default]
    return " ".join(format_flag(item.name, getattr(settings, item.name)) for item in changed)


def changed_flags(before: Settings, after: Settings) -> dict[str, str]:
    """Returns the flags, "--name=value" by name, whose values in `after` differ from those in `before`."""
    old = flatten(before)
    return {name: format_flag(name, value) for name, value in flatten(after).items() if value != old[name]}
