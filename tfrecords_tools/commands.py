"""What the commands share: how their command lines are parsed, and how they end."""

import argparse
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from typing import NoReturn

from tfrecords_tools.errors import RecordError
from tfrecords_tools.signals import SECOND_SIGNAL, heard_at_once, is_free_to_end

# The status that a shell gives to a program whose reader has gone, as in `show FILE | head`.
_BROKEN_PIPE = 128 + signal.SIGPIPE
# How long a command that was interrupted may be silent.
_PATIENCE_S = 1.0
_SHOW_CURSOR = "\x1b[?25h"
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


def run(
    main: Callable[[Sequence[str]], int], arguments: Sequence[str] | None = None, stopped: str = "stopped"
) -> NoReturn:
    """Calls main(arguments) and exits with its status, or with one line for its error.

    After SIGINT or SIGTERM half-written files are removed. A second one ends the process at once; so does the first in
    a block of `signals.free_to_end`.

    Args:
        main: function of the arguments that returns the exit status.
        arguments: arguments of the command line; by default those of the process.
        stopped: line for a command that was stopped by SIGINT or SIGTERM.
    """
    signal.signal(signal.SIGTERM, _terminate)
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # names and texts of records may be any Unicode
    stop = _Stop(stopped)
    with heard_at_once(stop.hear):
        status = _status(main, sys.argv[1:] if arguments is None else arguments, stopped)
    try:
        print(end="", flush=True)
    except OSError as error:
        # What is still buffered has nowhere to go; without this the interpreter would complain at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        status = status or (_BROKEN_PIPE if isinstance(error, BrokenPipeError) else 1)
    if stop.is_stopping:
        # Its memory is the system's to free: TensorFlow takes seconds for it, and nobody says why.
        os._exit(status)
    sys.exit(status)


def say(message: str) -> None:
    """Writes one line to stderr."""
    print(" ".join(message.split()), file=sys.stderr, flush=True)


def say_error(message: str) -> None:
    """Writes one line to stderr."""
    say(f"error: {message}")


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


class _Stop:
    """What a command says and does the moment that it is stopped, while its main thread may be busy.

    Args:
        stopped: line for a command that was stopped.

    Attributes:
        is_stopping: whether a signal has come.
    """

    def __init__(self, stopped: str) -> None:
        self._stopped = stopped
        self.is_stopping = False

    def hear(self, kind: signal.Signals, is_answered: bool) -> bool:
        """Says after a moment that the command is about to stop, unless something else has said what happens.

        Ends the process if a signal came before, or if nothing would be lost.
        """
        if self.is_stopping or is_free_to_end():
            self._end_at_once(kind)
        self.is_stopping = True
        if not is_answered:
            waiting = threading.Timer(_PATIENCE_S, say, [f"stopping; {SECOND_SIGNAL}"])
            waiting.daemon = True  # a command that has ended says nothing
            waiting.start()
        return True

    def _end_at_once(self, kind: signal.Signals) -> NoReturn:
        cursor = _SHOW_CURSOR if sys.stderr.isatty() else ""
        os.write(2, f"{cursor}{self._stopped}\n".encode())
        os._exit(128 + kind)


def _status(main: Callable[[Sequence[str]], int], arguments: Sequence[str], stopped: str) -> int:
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
    except KeyboardInterrupt as interrupt:
        if not interrupt.args:  # otherwise whoever raised it has said more
            say(stopped)
        return 128 + signal.SIGINT
    except _Terminated:
        say(stopped)
        return 128 + signal.SIGTERM


def _terminate(*_: object) -> None:
    raise _Terminated
