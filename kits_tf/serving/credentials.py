"""Who may ask, and how both sides prove it: tokens and the files that hold secrets."""

import hmac
from pathlib import Path

from kits_tf.base.errors import InputError


def read_file(path: str) -> bytes:
    """Returns the content of a file that a flag names; nothing of "".

    Raises:
        InputError: it cannot be read.
    """
    try:
        return Path(path).read_bytes() if path else b""
    except OSError as error:
        raise InputError(f"{path}: expected a file that can be read: {error.strerror}") from None


def read_token(path: str) -> str:
    """Returns the token in a file that a flag names; "" of "".

    Raises:
        InputError: the file cannot be read, or is empty: who names one wants a token.
    """
    token = read_file(path).decode(errors="replace").strip()
    if path and not token:
        raise InputError(f"{path}: expected a token, found an empty file")
    return token


def authorization(token: str) -> dict[str, str]:
    """Returns the header, or metadata, that carries a token; none for ""."""
    return {"authorization": f"Bearer {token}"} if token else {}


def is_authorized(sent: str, token: str) -> bool:
    """Returns whether what was sent carries the token, in a time that tells nothing; any is right where it is ""."""
    return not token or hmac.compare_digest(sent.encode(), authorization(token)["authorization"].encode())
