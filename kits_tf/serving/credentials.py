"""Tokens, and the files that hold secrets, for both sides of a connection."""

import hmac
from pathlib import Path

from kits_tf.base.errors import InputError
from kits_tf.base.files import read_text


def read_file(path: str) -> bytes:
    """Returns the content of a file that a flag names; no bytes for "".

    Raises:
        InputError: the file cannot be read.
    """
    try:
        return Path(path).read_bytes() if path else b""
    except OSError as error:
        raise InputError(f"{path}: expected a file that can be read: {error.strerror}") from None


def read_token(path: str) -> str:
    """Returns the token in a file that a flag names; "" for "".

    Raises:
        InputError: the file cannot be read, or is empty.
    """
    try:
        token = read_text(path).strip() if path else ""
    except OSError as error:
        raise InputError(f"{path}: expected a file that can be read: {error.strerror}") from None
    if path and not token:
        raise InputError(f"{path}: expected a token, got an empty file")
    return token


def authorization(token: str) -> dict[str, str]:
    """Returns the header (of gRPC, the metadata) that carries a token; an empty one for ""."""
    return {"authorization": f"Bearer {token}"} if token else {}


def is_authorized(header: str, token: str) -> bool:
    """Returns whether a header carries the token; every header does where no token is required.

    The comparison takes the same time whatever the header holds, so that a token cannot be guessed from it.
    """
    return not token or hmac.compare_digest(header.encode(), authorization(token)["authorization"].encode())
