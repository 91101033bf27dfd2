"""A command: from a command line to settings, and from an exception to an exit status."""

import functools
import importlib
import inspect
import logging
import os
import re
import sys
import textwrap
import typing
from collections.abc import Callable, Sequence
from dataclasses import MISSING, Field, dataclass
from typing import Any, NoReturn

from absl import flags

from kits_tf.base import progress
from kits_tf.base.errors import InputError
from kits_tf.base.flagfile import all_flags, command_names, flag_name, origin, parse_flags
from kits_tf.base.paths import expand_home
from kits_tf.base.settings import Settings, build, flag_fields, format_flag, format_value, without_none
from tfrecords_tools import commands

_HELP_FLAGS = {"-h", "-?", "--help", "-help", "--helpfull", "--helpshort"}
# Flags of every command.
_COMMON_FLAGS = {"flagfile", "plugins"}
_DISK_FULL = ("No space left on device", "Disk quota exceeded")


class UsageError(InputError):
    """The command line itself is wrong; exit status 2."""


@dataclass(frozen=True, kw_only=True)
class Command:
    """A command of the package: `python -m kits_tf.NAME`.

    Attributes:
        name: name of its module.
        settings: class of its settings, whose docstring is its help.
        main: function of the settings and, if the command has `inputs`, the list of positional arguments.
        inputs: word for a positional argument, as in "SCAN"; "" if the command takes none.
        needs_inputs: whether there must be one, if the command takes any.
        continues: whether the same command, after it was stopped, continues where it was.
    """

    name: str
    settings: type[Settings]
    main: Callable[..., None]
    inputs: str = ""
    needs_inputs: bool = True
    continues: bool = False

    @property
    def summary(self) -> str:
        """The first line of the command's help."""
        return _description(self.settings).partition("\n")[0]

    def run(self, arguments: Sequence[str] | None = None) -> NoReturn:
        """Parses the arguments, by default those of the process, calls main and exits.

        Exit statuses: 0 done, 1 bad input, 2 bad command line, 130 interrupted, 143 terminated, 141 nobody reads
        standard output any more. Log messages go to standard error.
        """
        stopped = "stopped: the same command continues" if self.continues else "stopped"
        commands.run(self._status, arguments, stopped)

    def parse(self, arguments: Sequence[str]) -> tuple[Any, list[str]]:
        """Returns the settings and positional arguments of a command line; prints help and exits where asked to.

        A flag of another command is refused on the command line, and allowed in a --flagfile, so that one file serves
        every command.

        Raises:
            UsageError: a flag is unknown, another command's, ill-formed or missing.
        """
        if _HELP_FLAGS & set(arguments):
            print(self.help_text())
            sys.exit(0)
        self._check_own(arguments)
        try:
            values, positional = parse_flags(self.settings, arguments)
            if positional and not self.inputs:
                raise UsageError(f"expected flags only, got {positional[0]!r}")
            if self.inputs and self.needs_inputs and not positional:
                raise UsageError(f"expected at least one {self.inputs} after the flags")
            return build(self.settings, values), [expand_home(text) for text in positional]
        except (InputError, flags.Error) as error:
            message = " ".join(str(error).split())
            raise UsageError(f"{message}{self._origin(message, arguments)}") from None

    def help_text(self) -> str:
        """Returns what --help prints: usage, then the command's own flags, grouped."""
        inputs = f" {self.inputs} ..." if self.needs_inputs else f" [{self.inputs} ...]"
        inputs = inputs if self.inputs else ""
        program = f"-m kits_tf.{self.name}" if self.name in command_names() else f"{self.name}.py"
        lines = [f"usage: python {program} [--flagfile=FILE] [--flag=value ...]{inputs}", ""]
        lines.append(_description(self.settings))
        group = None
        for holder, item, value_type in flag_fields(self.settings):
            if holder is not group:
                group = holder
                lines += ["", "Flags" if holder is self.settings else _description(holder)]
            lines += _flag_help(item, value_type)
        lines += [
            "",
            "Every command",
            "  --flagfile=FILE",
            "      Reads flags from a file, one per line; # starts a comment. Later flags win.",
        ]
        if "plugins" not in {item.name for _, item, _ in flag_fields(self.settings)}:
            lines += ["  --plugins=MODULE,...", "      Your own modules to import first (docs/extending.md)."]
        return "\n".join(lines)

    def _status(self, arguments: Sequence[str]) -> int:
        _log_to_stderr()
        # Nothing opens a window, and matplotlib cannot be imported with a backend that it does not know.
        os.environ["MPLBACKEND"] = "agg"
        try:
            _check_folder()
            settings, positional = self.parse(arguments)
            with progress.show_bars():
                self.main(settings, *([positional] if self.inputs else []))
        except UsageError as error:
            commands.say_error(f"{error} (--help lists the flags)")
            return 2
        except InputError as error:
            commands.say_error(str(error))
            return error.status
        except OSError:
            raise
        except Exception as error:
            # TensorFlow's writers raise several kinds for it, none of which is an OSError.
            message = " ".join(str(error).split())
            reason = next((reason for reason in _DISK_FULL if reason in message), "")
            if not reason:
                raise
            where = re.sub(r"\{\{.*?\}\} ?", "", message)  # the operation, at the beginning of TensorFlow's messages
            commands.say_error(f"nothing more can be written: {reason}: {where:.200}")
            return 1
        return 0

    def _origin(self, message: str, arguments: Sequence[str]) -> str:
        """Returns where the flag that an error begins with comes from, where that is not the command line."""
        match = re.match(r"(?:flag )?-{1,2}(\w+)", message)
        if match is None or match[1] in _COMMON_FLAGS:
            return ""
        name, place = match[1], origin(match[1], arguments)
        if place:
            return f"; --{name} is from {place}"
        defaults = {item.name: item.default for _, item, _ in flag_fields(self.settings)}
        is_default = place is None and defaults.get(name, MISSING) not in (MISSING, None, "")
        return f"; {format_flag(name, defaults[name])} is the default" if is_default else ""

    def _check_own(self, arguments: Sequence[str]) -> None:
        """Refuses flags of other commands."""
        own = {item.name for _, item, _ in flag_fields(self.settings)} | _COMMON_FLAGS
        for argument in arguments:
            if argument == "--":
                return
            if argument.startswith("-") and flag_name(argument, own) not in own:
                given = argument.lstrip("-").partition("=")[0]
                if flag_name(argument, set(all_flags())) in all_flags():
                    raise UsageError(f"--{given} is not a flag of {self.name}")


def end_with(main: Callable[[Sequence[str]], int], arguments: Sequence[str]) -> NoReturn:
    """Calls main(arguments) and exits with the status that it returns, or that of its exception, as a command does."""
    commands.run(main, arguments)


@functools.cache
def all_commands() -> dict[str, Command]:
    """Returns all commands by name."""
    return {name: importlib.import_module(f"kits_tf.{name}").COMMAND for name in command_names()}


class _StderrHandler(logging.StreamHandler):
    """Writes to what is seen at the time: progress bars put themselves in the place of standard error to stay below."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = progress.log_stream()
        super().emit(record)


def _check_folder() -> None:
    try:
        os.getcwd()
    except OSError:
        raise InputError("expected a current folder, found that it was removed: cd to another one") from None


def _log_to_stderr() -> None:
    """Shows the package's log messages, bare, on standard error."""
    logger = logging.getLogger("kits_tf")
    handler = _StderrHandler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger.handlers = [handler]
    logger.setLevel(logging.INFO)
    logger.propagate = False


def _description(settings: type[Settings]) -> str:
    """Returns the docstring of a group of settings; under python -OO, which has none, its name."""
    return settings.__name__ if sys.flags.optimize > 1 else inspect.cleandoc(str(settings.__doc__))


def _flag_help(item: Field, value_type: Any) -> list[str]:
    default = "required" if item.default is MISSING else f"default {format_value(item.default)}"
    text = item.metadata["help"] + ("" if item.default in (None, "") else f" ({default})")
    is_boolean = without_none(value_type) is bool
    flag = f"  --{item.name}" if is_boolean else f"  --{item.name}={_value_text(item, value_type)}"
    return [flag, *textwrap.wrap(text, 100, initial_indent=" " * 6, subsequent_indent=" " * 6)]


def _value_text(item: Field, value_type: Any) -> str:
    """Returns what a value looks like in --help."""
    kind = without_none(value_type)
    if typing.get_origin(kind) is tuple:
        items = typing.get_args(kind)
        letter = {int: "N", float: "X"}.get(items[0], "NAME")
        return f"{letter},..." if items[-1] is Ellipsis else ",".join([letter] * len(items))
    if "choices" in item.metadata:
        return "|".join(item.metadata["choices"])
    return {int: "N", float: "X"}.get(kind, "TEXT")
