"""Exceptions whose message is all that a user needs: one line, without a traceback."""


class InputError(ValueError):
    """Input that cannot be used: the message is one line saying what was expected, what came, and where.

    Commands print it and exit with status 1; a library caller may catch it as a ValueError.
    """


class GridMismatchError(InputError):
    """A mask that does not lie on its scan's grid."""


class UnavailableError(InputError):
    """A server that does not answer, so that any further request would fail too."""
