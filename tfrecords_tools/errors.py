"""The one exception of this package."""


class RecordError(ValueError):
    """A record or a file of records that cannot be used: one line saying what was expected, what came, and where."""
