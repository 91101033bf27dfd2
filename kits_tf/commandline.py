"""From a command line to settings, and from an exception to an exit status."""

import inspect
import sys
import textwrap
import typing
from collections.abc import Callable, Sequence
from dataclasses import MISSING, Field, asdict, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

from absl import flags

from kits_tf import config
from kits_tf.errors import InputError
from kits_tf.settings import Settings, flag_fields, format_value, parse_value, without_none
from tfrecords_tools import commands

S = TypeVar("S", bound=Settings)
_HELP_FLAGS = {"-h", "-?", "--help", "-help", "--helpfull", "--helpshort"}


class UsageError(InputError):
    """The command line itself is wrong; exit status 2."""


def run(kind: type[S], main: Callable[..., None], *, inputs: str = "") -> None:
    """Parses sys.argv, calls main(settings) and exits.

    Exit statuses: 0 done, 1 bad input, 2 bad command line, 130 interrupted, 143 terminated, 141 nobody reads on.

    Args:
        kind: the command's settings class.
        main: takes the settings, and the inputs' list where the command has inputs.
        inputs: what the positional arguments are, as in "SCAN"; "" where the command takes none.
    """

    def command(arguments: Sequence[str]) -> int:
        try:
            settings, positional = parse(kind, ["", *arguments], inputs)
            main(settings, positional) if inputs else main(settings)
        except UsageError as error:
            commands.say_error(f"{error} (--help lists the flags)")
            return 2
        except InputError as error:
            commands.say_error(str(error))
            return 1
        return 0

    commands.run(command)


def parse(kind: type[S], argv: Sequence[str], inputs: str = "") -> tuple[S, list[str]]:
    """Returns the settings and positional arguments of a command line; prints help and exits where asked to.

    A flag of another command is refused on the command line, and allowed in a --flagfile, so that one file serves
    every command.

    Raises:
        UsageError: a flag is unknown, another command's, ill-formed or missing.
    """
    if _HELP_FLAGS & set(argv[1:]):
        print(help_text(kind, inputs))
        sys.exit(0)
    own = {item.name for _, item, _ in flag_fields(kind)}
    values = _define_all()
    for argument in argv[1:]:
        if argument == "--":
            break
        given = argument.lstrip("-").partition("=")[0]
        name = given if given in values else given.removeprefix("no")  # --noNAME turns a flag off
        if argument.startswith("-") and name in values and name not in own and name not in ("flagfile", "undefok"):
            raise UsageError(f"--{given} is no flag of {_command(kind)}")
    try:
        positional = values(list(argv))[1:]
    except flags.Error as error:
        raise UsageError(" ".join(str(error).split())) from None
    except OSError as error:
        raise UsageError(f"--flagfile: {error}") from None
    if positional and not inputs:
        raise UsageError(f"expected flags only, got {positional[0]!r}")
    if inputs and not positional:
        raise UsageError(f"expected at least one {inputs} after the flags")
    try:
        return _build(kind, {name: values[name].value for name in own if values[name].present}), positional
    except UsageError:
        raise
    except InputError as error:
        raise UsageError(str(error)) from None


def to_flagfile(settings: Settings, command: str) -> str:
    """Returns the text of a flag file that gives these settings; absent optional flags are left out."""
    lines = [f"# python -m kits_tf.{command}"]
    for name, value in _flatten(settings).items():
        if value is not None:
            lines.append(f"--{name}={format_value(value)}")
    return "\n".join(lines) + "\n"


def from_flagfile(kind: type[S], path: Path) -> S:
    """Returns the settings that `to_flagfile` wrote.

    Raises:
        InputError: the file is missing, or holds an unknown flag or a value out of range.
    """
    if not path.is_file():
        raise InputError(f"{path}: expected the flags of a run, found no such file")
    try:
        return parse(kind, ["", f"--flagfile={path}"])[0]
    except UsageError as error:
        raise InputError(f"{path}: {error}") from None


def changed_flags(before: Settings, after: Settings) -> dict[str, str]:
    """Returns the flags of settings, "--name=value" by name, that differ from those of others of the same command."""
    old, new = _flatten(before), _flatten(after)
    values = {name: value for name, value in new.items() if value != old[name]}
    return {name: f"--{name}={'' if value is None else format_value(value)}" for name, value in values.items()}


def select(kind: type[S], settings: Settings, **changes: Any) -> S:
    """Returns settings of one command taken from another's by flag name, with changes by flag name."""
    own = {item.name for _, item, _ in flag_fields(kind)}
    return _build(kind, {name: value for name, value in _flatten(settings).items() if name in own} | changes)


def help_text(kind: type[Settings], inputs: str = "") -> str:
    """Returns what --help prints: usage, then the command's own flags, grouped."""
    command = _command(kind)
    lines = [
        f"usage: python -m kits_tf.{command} [--flagfile=FILE] [--flag=value ...]{f' {inputs} ...' if inputs else ''}",
        "",
        inspect.cleandoc(str(kind.__doc__)),
    ]
    group = None
    for holder, item, value_type in flag_fields(kind):
        if holder is not group:
            group = holder
            lines += ["", "Flags" if holder is kind else inspect.cleandoc(str(holder.__doc__))]
        default = "required" if item.default is MISSING else f"default {format_value(item.default)}"
        text = item.metadata["help"] + ("" if item.default in (None, "") else f" ({default})")
        is_boolean = without_none(value_type) is bool
        lines.append(f"  --{item.name}" if is_boolean else f"  --{item.name}={_value_text(item, value_type)}")
        lines += textwrap.wrap(text, 100, initial_indent=" " * 6, subsequent_indent=" " * 6)
    lines += [
        "",
        "  --flagfile=FILE",
        "      Reads flags from a file, one a line; # starts a comment line. Later flags win.",
    ]
    return "\n".join(lines)


class _Parser(flags.ArgumentParser):
    """Parses one flag's text by its field's type."""

    def __init__(self, value_type: Any) -> None:
        super().__init__()
        self.value_type = value_type

    def parse(self, argument: Any) -> Any:
        return parse_value(argument, self.value_type) if isinstance(argument, str) else argument

    def flag_type(self) -> str:
        return _value_name(self.value_type)


def _define_all() -> flags.FlagValues:
    values = flags.FlagValues()
    for kind in config.COMMANDS:
        for _, item, value_type in flag_fields(kind):
            if item.name in values:
                continue
            if without_none(value_type) is bool:
                flags.DEFINE_boolean(item.name, None, item.metadata["help"], values)
            else:
                flags.DEFINE(_Parser(value_type), item.name, None, item.metadata["help"], values)
    return values


def _build(kind: type[S], given: dict[str, Any]) -> S:
    hints = typing.get_type_hints(kind)
    arguments = {}
    for item in fields(kind):
        if is_dataclass(hints[item.name]):
            arguments[item.name] = _build(typing.cast(type[Settings], hints[item.name]), given)
        elif given.get(item.name) is not None:
            arguments[item.name] = given[item.name]
        elif item.default is MISSING:
            raise UsageError(f"--{item.name} is required: {item.metadata['help']}")
    return kind(**arguments)


def _flatten(settings: Settings) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in asdict(settings).items():
        flat |= value if isinstance(value, dict) else {name: value}
    return flat


def _command(kind: type[Settings]) -> str:
    return kind.__name__.lower()


def _value_text(item: Field, value_type: Any) -> str:
    """Returns what a value looks like in --help."""
    is_tuple = typing.get_origin(without_none(value_type)) is tuple
    if "choices" in item.metadata and not is_tuple:
        return "|".join(item.metadata["choices"])
    return _value_name(value_type)


def _value_name(kind: Any) -> str:
    kind = without_none(kind)
    if typing.get_origin(kind) is tuple:
        items = typing.get_args(kind)
        letter = "N" if items[0] is int else "X"
        return f"{letter},..." if items[-1] is Ellipsis else ",".join([letter] * len(items))
    return {int: "N", float: "X"}.get(kind, "TEXT")
