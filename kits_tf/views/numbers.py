"""Numbers for people."""

import math


def number_text(value: float | None, digits: int) -> str:
    """Returns a number with some digits after the point; "-" for None."""
    return "-" if value is None else f"{value:.{digits}f}"


def score_text(value: float | None, text_format: str) -> str:
    """Returns a score in its format; "-" for None and nan, "∞" for infinity."""
    if value is None or math.isnan(value):
        return "-"
    return "∞" if math.isinf(value) else text_format.format(value)


def percent_text(value: float | None) -> str:
    """Returns a share in whole percent; "-" for None."""
    return "-" if value is None else f"{100 * value:.0f} %"
