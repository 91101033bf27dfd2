"""Numbers for people."""


def number_text(value: float | None, digits: int) -> str:
    """Returns a number with some digits after the point; "-" for None."""
    return "-" if value is None else f"{value:.{digits}f}"


def percent_text(value: float | None) -> str:
    """Returns a share in whole percent; "-" for None."""
    return "-" if value is None else f"{100 * value:.0f} %"
