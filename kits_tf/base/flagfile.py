"""Flag files: one flag a line, lines that start with # are comments; read by --flagfile, and kept with every run."""

import difflib
import functools
import importlib
import itertools
import pkgutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from absl import flags

from kits_tf.base.errors import InputError
from kits_tf.base.files import read_text
from kits_tf.base.paths import similar_path
from kits_tf.base.registry import import_plugins
from kits_tf.base.settings import Settings, build, flag_fields, flatten, format_flag, parse_value, without_none

S = TypeVar("S", bound=Settings)
_MOST_SUGGESTIONS = 3
# Flags of older versions, which files of older runs still hold, each with the only value that is still accepted.
RETIRED = {
    "compression": "1.0",
    "compression_knee_hu": "90.0",
    "effective_number_beta": "0.999999",
    "focal_tversky_exponent": "0.75",
    "upsampling": "transposed",
}


def to_flagfile(settings: Settings, command: str) -> str:
    """Returns the text of a flag file that gives these settings; optional flags without a value are left out."""
    lines = [format_flag(name, value) for name, value in flatten(settings).items() if value is not None]
    return "\n".join([f"# python -m kits_tf.{command}", *lines]) + "\n"


def from_flagfile(kind: type[S], path: Path) -> S:
    """Returns the settings that `to_flagfile` wrote.

    Raises:
        InputError: the file is missing, or holds an unknown flag or a value out of range.
    """
    if not path.is_file():
        raise InputError(f"{path}: expected the flags of a run, got no such file")
    try:
        values, _ = parse_flags(kind, [f"--flagfile={path}"])
        return build(kind, values)
    except (InputError, flags.Error) as error:
        raise InputError(f"{path}: {' '.join(str(error).split())}") from None


def parse_flags(kind: type[Settings], arguments: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """Returns the values given for the flags of a settings class, by name, and the positional arguments.

    Flags of other commands are passed over, so that one flag file serves every command.

    Raises:
        flags.Error: a flag is ill-formed.
        InputError: a flag is unknown, a flag file cannot be read, or a plugin cannot be imported.
    """
    values = _FlagValues()
    for _, item, value_type in flag_fields(kind):
        _define(values, item.name, value_type, item.metadata["help"])
    if "plugins" not in values:
        _define(values, "plugins", tuple[str, ...], "")
    expanded = values.read_flags_from_files(["", *arguments], force_gnu=False)[1:]
    own, rest = _without_other_commands(expanded, set(values), set(arguments))
    positional = values(["", *own])[1:]
    import_plugins(values["plugins"].value or ())
    return {name: values[name].value for name in values if values[name].present}, [*positional, *rest]


def origin(name: str, arguments: Sequence[str]) -> str | None:
    """Returns where the value of a flag comes from: "" for the command line, a flag file, or None for its default."""
    given = list(arguments)
    for index in reversed(range(len(given))):
        if not given[index].startswith("-"):
            continue
        flag, _, path = given[index].lstrip("-").partition("=")
        if flag_name(given[index], {name}) == name:
            return ""
        if flag == "flagfile":
            path = path or given[index + 1]
            lines = _FlagValues().read_flags_from_files(["", f"--flagfile={path}"], force_gnu=False)
            if any(line.startswith("-") and flag_name(line, {name}) == name for line in lines):
                return path
    return None


def flag_name(argument: str, names: set[str]) -> str:
    """Returns the flag that an argument "--name", "--name=value" or "--noname" gives, whether or not it is known."""
    given = argument.lstrip("-").partition("=")[0]
    return given.removeprefix("no") if given not in names and given.removeprefix("no") in names else given


@functools.cache
def all_flags() -> dict[str, Any]:
    """Returns the type of every flag of every command, by name."""
    kinds = [importlib.import_module(f"kits_tf.{name}").COMMAND.settings for name in command_names()]
    return {item.name: without_none(value_type) for kind in kinds for _, item, value_type in flag_fields(kind)}


def command_names() -> list[str]:
    """Returns the names of all commands: the modules that stand beside the rooms."""
    modules = pkgutil.iter_modules([str(Path(__file__).parent.parent)])
    return [module.name for module in modules if not module.ispkg and not module.name.startswith("_")]


class _FlagValues(flags.FlagValues):
    """Flags whose files may be in any encoding that `read_text` knows, with quotes around values as in a shell."""

    def _get_flag_file_lines(self, filename: str, parsed_file_stack: list[str] | None = None) -> list[str]:
        above = parsed_file_stack or []
        if not filename or filename in above:
            return []
        try:
            text = read_text(filename)
        except OSError as error:
            raise InputError(f"--flagfile={filename}: expected a file of flags, {_obstacle(filename, error)}") from None
        lines = []
        for line in map(str.strip, text.splitlines()):
            if not line or line.startswith(("#", "//")):
                continue
            name, is_given, value = line.partition("=")
            if is_given and len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
                value = value[1:-1]
            line = f"{name}{is_given}{value}"
            if self._is_flag_file_directive(line):
                lines += self._get_flag_file_lines(self._extract_filename(line), [*above, filename])
            else:
                lines.append(line)
        return lines


class _Parser(flags.ArgumentParser):
    """Parses one flag's text by its field's type."""

    def __init__(self, value_type: Any) -> None:
        super().__init__()
        self.value_type = value_type

    def parse(self, argument: Any) -> Any:
        return parse_value(argument, self.value_type) if isinstance(argument, str) else argument

    def flag_type(self) -> str:
        return str(self.value_type)


def _define(values: flags.FlagValues, name: str, value_type: Any, help_text: str) -> None:
    if without_none(value_type) is bool:
        flags.DEFINE_boolean(name, None, help_text, values)
    else:
        flags.DEFINE(_Parser(value_type), name, None, help_text, values)


def _obstacle(filename: str, error: OSError) -> str:
    """Returns what is in the place of a flag file that cannot be read."""
    if isinstance(error, FileNotFoundError):
        similar = similar_path(filename)
        return f"found no such file; did you mean {similar}?" if similar else "found no such file"
    return "found a folder" if isinstance(error, IsADirectoryError) else str(error.strerror or error)


def _without_other_commands(arguments: list[str], own: set[str], typed: set[str]) -> tuple[list[str], list[str]]:
    """Returns the arguments without flags of other commands, and those behind a "--".

    Args:
        arguments: command line, with the lines of flag files in it.
        own: names of the flags of the command.
        typed: arguments of the command line itself, to which no flag of another command is suggested.

    Raises:
        InputError: no command has such a flag.
    """
    kept: list[str] = []
    waiting = iter(arguments)
    for argument in waiting:
        if argument == "--":
            break
        if not argument.startswith("-") or argument == "-":
            kept.append(argument)
            continue
        if _is_retired(argument):
            continue
        is_own = flag_name(argument, own) in own
        name = flag_name(argument, own if is_own else set(all_flags()))
        if not is_own and name not in all_flags():
            raise _unknown(argument, own if argument in typed else own | set(all_flags()))
        flag = [argument]
        if "=" not in argument and argument.lstrip("-") == name and all_flags().get(name) is not bool:
            flag += itertools.islice(waiting, 1)  # its value is the next argument
        kept += flag if is_own else []
    return kept, list(waiting)


def _unknown(argument: str, names: set[str]) -> InputError:
    given = argument.partition("=")[0]
    name = given.lstrip("-")
    similar = difflib.get_close_matches(name, names) or sorted(each for each in names if each.startswith(name))
    question = f"; did you mean {' or '.join(f'--{each}' for each in similar[:_MOST_SUGGESTIONS])}?" if similar else ""
    return InputError(f"{given}: there is no such flag{question}")


def _is_retired(argument: str) -> bool:
    """Returns whether an argument is a retired flag, at the only value that is still accepted.

    Raises:
        flags.IllegalFlagValueError: it has another value.
    """
    name, _, value = argument.lstrip("-").partition("=")
    if name not in RETIRED:
        return False
    if value != RETIRED[name]:
        raise flags.IllegalFlagValueError(f"--{name}: expected {RETIRED[name]}, as other values are gone, got {value}")
    return True
