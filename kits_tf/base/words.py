"""Words for people."""


def count_text(count: int, noun: str) -> str:
    """Returns a number of things, as "1 mask" or "2 masks"; `noun` is one that takes an s."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
