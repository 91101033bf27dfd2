"""Words for people."""

from collections.abc import Sequence


def count_text(count: int, noun: str) -> str:
    """Returns a number of things, as "1 mask" or "2 masks"; `noun` is one that takes an s."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def listed(names: Sequence[str], most: int) -> str:
    """Returns the first names, `most` at most, with commas, and the number of the others."""
    others = len(names) - most
    return ", ".join(names[:most]) + (f" and {others} more" if others > 0 else "")
