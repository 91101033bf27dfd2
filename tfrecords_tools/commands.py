"""What the commands share: how their command lines are parsed, and how they end."""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from tfrecords_tools.errors import RecordError

# The status that a shell gives to a program whose reader has gone, as in `show FILE | head`.
_BROKEN_PIPE = 128 + signal.SIGPIPE
_STATUSES = "exit status: 0 all fine, 1 damage or bad input, 2 wrong command line, 130 interrupted"


class Parser(argparse.ArgumentParser):
    """The arguments of a command; a mistake in them is one line on stderr.

    Args:
        name: name of the command's module.
        description: description of what the command does.
        example: arguments of an example.
    """

    def __init__(self, name: str, description: str, example: str) -> None:
        super().__init__(
            prog=f"python -m tfrecords_tools.{name}",
            description=description,
            epilog=f"example:\n  python -m tfrecords_tools.{name} {example}\n\n{_STATUSES}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )

    def error(self, message: str) -> NoReturn:
        """Says what is wrong and exits with 2."""
        say_error(f"{message} (--help lists the arguments)")
        sys.exit(2)


class _Terminated(BaseException):
    """SIGTERM; as KeyboardInterrupt, nothing that catches errors catches it, and half-written files go."""


def run(main: Callable[[Sequence[str]], int], arguments: Sequence[str] | None = None) -> NoReturn:
    """Calls main(arguments), by default those of the process, and exits with its status, or one line for its error."""
    signal.signal(signal.SIGTERM, _terminate)
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # names and texts of records may be any Unicode
    status = _status(main, sys.argv[1:] if arguments is None else arguments)
    try:
        print(end="", flush=True)
    except OSError as error:
        # What is still buffered has nowhere to go; without this the interpreter would complain at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        status = status or (_BROKEN_PIPE if isinstance(error, BrokenPipeError) else 1)
    sys.exit(status)


def say_error(message: str) -> None:
    """Writes one line to stderr."""
    print(f"error: {' '.join(message.split())}", file=sys.stderr, flush=True)


def whole_number(lowest: int) -> Callable[[str], int]:
    """Returns what argparse calls to read a whole number that is not below `lowest`."""

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = lowest - 1
        if value < lowest:
            raise argparse.ArgumentTypeError(f"expected a whole number of at least {lowest}, found {text!r}")
        return value

    return read


def _status(main: Callable[[Sequence[str]], int], arguments: Sequence[str]) -> int:
    try:
        return main(arguments)
    except SystemExit as ended:  # after --help, or a wrong command line
        return int(ended.code or 0)
    except BrokenPipeError:
        return _BROKEN_PIPE
    except RecordError as error:
        say_error(str(error))
        return 1
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        say_error(f"{where}{error.strerror or error}")
        return 1
    except KeyboardInterrupt:
        say_error("interrupted")
        return 130
    except _Terminated:
        say_error("terminated")
        return 128 + signal.SIGTERM


def _terminate(*_: object) -> None:
    raise _Terminated
