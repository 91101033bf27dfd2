"""Tables for the terminal: columns that stand under each other."""

from collections.abc import Sequence


def aligned(rows: Sequence[Sequence[str]], least_width: int = 0) -> list[str]:
    """Returns one line a row: the first column to the left, the others to the right, at least as wide as asked."""
    widths = [max(least_width * (i > 0), *(len(row[i]) for row in rows)) for i in range(len(rows[0]))]
    lines = ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows]
    return [line.rstrip() for line in lines]
