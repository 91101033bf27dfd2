"""Words for people."""

import textwrap
from collections.abc import Sequence


def count_text(count: int, noun: str) -> str:
    """Returns a number of things, as "1 mask" or "2 masks"; `noun` is one that takes an s."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def duration_text(seconds: float) -> str:
    """Returns a duration, as "41 s", "34 min" or "29 h", in the unit of which there are two or more."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"


def listed(names: Sequence[str], most: int) -> str:
    """Returns the first names, `most` at most, with commas, and the number of the others."""
    others = len(names) - most
    return ", ".join(names[:most]) + (f" and {others} more" if others > 0 else "")


def structure_text(name: str) -> str:
    """Returns the name of a structure for people, as in "right kidney" for right_kidney."""
    return name.replace("_", " ")


def shortened(text: str, most: int) -> str:
    """Returns a text in one line, cut at a space to `most` characters and "..." at its end if it is longer."""
    return textwrap.shorten(text, most, placeholder=" ...")


def warnings_text(warnings: Sequence[str]) -> str:
    """Returns what an object that prints in one line says of its warnings, cut if they are long; "" for none."""
    return f"; WARNING: {shortened('; '.join(warnings), 120)}" if warnings else ""
