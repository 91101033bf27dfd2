"""The connection to TensorFlow Serving, or a server with the same API, over gRPC. Without TensorFlow."""

import logging
import os
import random
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import grpc
from numpy.typing import NDArray

from kits_tf.base.errors import InputError, UnavailableError
from kits_tf.config import ConnectionSettings
from kits_tf.config.serving import is_this_machine
from kits_tf.inference.model import refusal
from kits_tf.serving import messages
from kits_tf.serving.credentials import authorization, read_file, read_token
from kits_tf.serving.proxy import NO_PROXY, proxy_to
from kits_tf.serving.tensors import from_proto, write_proto

T = TypeVar("T")
logger = logging.getLogger(__name__)

TOKEN_VARIABLE = "KITS_TF_TOKEN"
_OPTIONS = [*messages.LARGE_MESSAGES, ("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.5, 8.0
# The request is at fault: another one may succeed.
_REFUSED = (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.OUT_OF_RANGE)
# No request will succeed.
_USELESS = (
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.UNIMPLEMENTED,
)
_ADVICE = {
    grpc.StatusCode.NOT_FOUND: " (--model_name, --model_version and --model_label say which model)",
    grpc.StatusCode.UNAUTHENTICATED: " (--token_file names the file that holds it)",
}
# What gRPC's details say where a port answers, but in another protocol.
_OTHER_PROTOCOLS = {
    "http1.x server": "expected gRPC, that port speaks HTTP, as REST does: gRPC has another port, usually 8500",
    "WRONG_VERSION_NUMBER": "expected TLS, that port speaks without: leave out --tls",
}


class NotReadyError(Exception):
    """The server does not answer at the moment."""


class Connection:
    """A model on a server, asked signature by signature.

    Args:
        settings: address of the server, name of the model, and limits.

    Attributes:
        version: version of the model that gave the last answer; 0 before the first.

    Raises:
        InputError: a token or certificate cannot be read, or a token would go over the network unencrypted.
    """

    def __init__(self, settings: ConnectionSettings) -> None:
        self._settings = settings
        self.version = 0
        self._is_closed = False
        self._metadata = list(authorization(_token(settings)).items())
        self._channel = _channel(settings)
        self._predict = self._channel.unary_unary(
            messages.PREDICT,
            request_serializer=messages.PredictRequest.SerializeToString,
            response_deserializer=messages.PredictResponse.FromString,
        )

    def predict(self, signature: str, inputs: Mapping[str, NDArray]) -> dict[str, NDArray]:
        """Returns the outputs of a signature by name; several threads may call it.

        Raises:
            InputError: the server refuses the inputs, or does not finish in time.
            UnavailableError: the server cannot be reached, has no such model, or requires another token; or the
                connection is closed.
        """
        if self._is_closed:
            raise UnavailableError(f"{self._settings.server}: expected an open connection, it was closed before")
        request = messages.PredictRequest(model_spec=self._model_spec(signature))
        for name, array in inputs.items():
            write_proto(array, request.inputs[name])
        response = with_back_off(lambda: self._call(request), self._settings)
        self.version = response.model_spec.version.value
        return {name: from_proto(tensor, name) for name, tensor in response.outputs.items()}

    def close(self) -> None:
        """Closes the connection."""
        self._is_closed = True
        self._channel.close()

    def _model_spec(self, signature: str) -> dict[str, Any]:
        spec: dict[str, Any] = {"name": self._settings.model_name, "signature_name": signature}
        if self._settings.model_version is not None:
            spec["version"] = {"value": self._settings.model_version}
        if self._settings.model_label:
            spec["version_label"] = self._settings.model_label
        return spec

    def _call(self, request: Any) -> Any:
        settings = self._settings
        try:
            return self._predict(request, timeout=settings.deadline_s, metadata=self._metadata)
        except grpc.RpcError as error:
            code, details = error.code(), refusal(error.details() or "")
        if code == grpc.StatusCode.UNAVAILABLE:
            if other := next((words for mark, words in _OTHER_PROTOCOLS.items() if mark in details), ""):
                raise UnavailableError(f"{settings.server}: {other}")
            raise NotReadyError(details)
        if code == grpc.StatusCode.DEADLINE_EXCEEDED:
            limit_s = f"{settings.deadline_s:g} s"
            raise InputError(f"{settings.server}: no answer within {limit_s}", f" (--deadline_s){_way(settings)}")
        if code in _REFUSED:
            raise InputError(f"refused by {settings.server}: {details}")
        kind = UnavailableError if code in _USELESS else InputError
        raise kind(f"{settings.server}: {code.name}: {details}", _ADVICE.get(code, ""))


def with_back_off(call: Callable[[], T], settings: ConnectionSettings) -> T:
    """Returns the result of a call, which is repeated after longer and longer waits while it raises NotReadyError.

    Raises:
        UnavailableError: the last attempt failed too.
    """
    attempt = 0
    while True:
        attempt += 1
        try:
            return call()
        except NotReadyError as error:
            if attempt == settings.attempts:
                raise UnavailableError(
                    f"{settings.server}: expected a server, tried {attempt} times{_way(settings)}: {error}"
                ) from None
            if attempt == 1:
                logger.info("%s does not answer yet; it is tried %d times", settings.server, settings.attempts)
        # Random, so that clients that were refused together do not come back together.
        time.sleep(min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2 ** (attempt - 1)) * random.uniform(0.5, 1.0))


def _way(settings: ConnectionSettings) -> str:
    proxy = proxy_to(settings.server)
    return f" through the proxy {proxy} (no_proxy={_host(settings)} goes without)" if proxy else ""


def _token(settings: ConnectionSettings) -> str:
    """Returns the token of --token_file or of the environment's KITS_TF_TOKEN; "" if there is none."""
    token = read_token(settings.token_file) or os.environ.get(TOKEN_VARIABLE, "")
    if token and not settings.tls and not is_this_machine(_host(settings)):
        raise InputError(f"--server={settings.server}: expected --tls with a token, or anyone on the way could read it")
    return token


def _host(settings: ConnectionSettings) -> str:
    return settings.server.rpartition(":")[0].strip("[]")


def _channel(settings: ConnectionSettings) -> grpc.Channel:
    options = _OPTIONS if proxy_to(settings.server) else [*_OPTIONS, NO_PROXY]
    if not settings.tls:
        return grpc.insecure_channel(settings.server, options)
    # None stands for the authorities that the system trusts.
    authorities = read_file(settings.ca_file) or None
    return grpc.secure_channel(settings.server, grpc.ssl_channel_credentials(authorities), options)
