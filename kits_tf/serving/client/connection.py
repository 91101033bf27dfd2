"""How a client reaches a server: the same call over gRPC and REST. Without TensorFlow."""

import os
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from kits_tf.base.errors import InputError, UnavailableError
from kits_tf.config import ConnectionSettings
from kits_tf.serving.credentials import read_file, read_token

T = TypeVar("T")
Tensors = Mapping[str, NDArray]
# What signatures put out; REST has numbers without a type.
OUTPUT_DTYPES = {
    "labels": np.uint8,
    "volumes_ml": np.float32,
    "confidence": np.float32,
    "probabilities": np.float16,
    "json": np.object_,
}
TOKEN_VARIABLE = "KITS_TF_TOKEN"
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.5, 8.0


class Connection(Protocol):
    """A model on a server."""

    def predict(self, signature: str, inputs: Tensors) -> dict[str, NDArray]:
        """Returns the outputs of a signature by name.

        May be called from several threads.

        Raises:
            InputError: the server refuses the inputs, or does not finish in time.
            UnavailableError: the server cannot be reached, has no such model, or wants another token.
        """

    def close(self) -> None:
        """Ends it."""


@dataclass(frozen=True)
class Secrets:
    """What a connection proves itself with, and how it knows the server.

    Attributes:
        token: sent with every call; "" for none.
        root_certificates: PEM of those who may sign for the server; None for the system's.
    """

    token: str
    root_certificates: bytes | None


class NotReadyError(Exception):
    """The server does not answer now; it may in a moment."""


def read_secrets(settings: ConnectionSettings) -> Secrets:
    """Returns the secrets that the settings, and the environment's KITS_TF_TOKEN, name.

    Raises:
        InputError: a file cannot be read, or a token would go over the network in the clear.
    """
    token = read_token(settings.token_file) or os.environ.get(TOKEN_VARIABLE, "")
    host = settings.server.rpartition(":")[0].strip("[]")
    if token and not settings.tls and host not in ("localhost", "127.0.0.1", "::1"):
        raise InputError(f"--server={settings.server}: expected --tls with a token, or anyone on the way could read it")
    return Secrets(token, read_file(settings.ca_file) or None)


def with_back_off(call: Callable[[], T], settings: ConnectionSettings) -> T:
    """Returns what a call returns; while it raises NotReadyError it is made again, after longer and longer waits.

    Raises:
        UnavailableError: the server did not answer at the last attempt either.
    """
    attempt = 0
    while True:
        attempt += 1
        try:
            return call()
        except NotReadyError as error:
            if attempt == settings.attempts:
                tried = f"tried {attempt} times: {error}"
                raise UnavailableError(f"{settings.server}: expected a server, {tried}") from None
        # Not all clients at the same moment.
        time.sleep(min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2 ** (attempt - 1)) * random.uniform(0.5, 1.0))
