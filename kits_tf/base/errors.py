"""Exceptions whose message is all that a user needs: one line, without a traceback."""


class InputError(ValueError):
    """Input that cannot be used: the message is one line saying what was expected, what came, and where.

    Commands print it and exit with status 1; a library caller may catch it as a ValueError.

    Args:
        message: what was expected, what came, and where.
        advice: end of the line that names a flag, which a user of the page cannot give.

    Attributes:
        reason: the message without the advice.
        status: exit status of a command that it ends.
    """

    status = 1

    def __init__(self, message: str = "", advice: str = "") -> None:
        super().__init__(message + advice)
        self.reason = message


class TryAgainError(InputError):
    """What may succeed if the same command is started again: EX_TEMPFAIL of sysexits.h, as batch systems know it."""

    status = 75


class GridMismatchError(InputError):
    """A mask that does not lie on its scan's grid."""


class UnavailableError(InputError):
    """A server that does not answer, so that any further request would fail too."""
