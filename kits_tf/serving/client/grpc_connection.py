"""A connection to TensorFlow Serving, or what speaks like it, over gRPC."""

from typing import Any

import grpc
from numpy.typing import NDArray

from kits_tf.base.errors import InputError, UnavailableError
from kits_tf.config import ConnectionSettings
from kits_tf.inference.model import refusal
from kits_tf.serving import messages
from kits_tf.serving.client.connection import NotReadyError, Secrets, Tensors, read_secrets, with_back_off
from kits_tf.serving.credentials import authorization
from kits_tf.serving.tensors import from_proto, write_proto

_OPTIONS = [*messages.LARGE_MESSAGES, ("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
_REFUSED = (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.OUT_OF_RANGE)
_USELESS = (
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.UNIMPLEMENTED,
)


class GrpcConnection:
    """As `Connection`.

    Args:
        settings: where the server is, and which model is meant.

    Raises:
        InputError: a token or certificate cannot be read.
    """

    def __init__(self, settings: ConnectionSettings) -> None:
        self._settings = settings
        secrets = read_secrets(settings)
        self._channel = _channel(settings, secrets)
        self._metadata = list(authorization(secrets.token).items())
        self._predict = self._channel.unary_unary(
            messages.PREDICT,
            request_serializer=messages.PredictRequest.SerializeToString,
            response_deserializer=messages.PredictResponse.FromString,
        )

    def predict(self, signature: str, inputs: Tensors) -> dict[str, NDArray]:
        request = messages.PredictRequest(model_spec=self._model_spec(signature))
        for name, array in inputs.items():
            write_proto(array, request.inputs[name])
        response = with_back_off(lambda: self._call(request), self._settings)
        return {name: from_proto(tensor, name) for name, tensor in response.outputs.items()}

    def close(self) -> None:
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
            raise NotReadyError(details)
        if code == grpc.StatusCode.DEADLINE_EXCEEDED:
            raise InputError(f"{settings.server}: no answer within --deadline_s={settings.deadline_s:g}")
        if code in _REFUSED:
            raise InputError(f"refused by {settings.server}: {details}")
        kind = UnavailableError if code in _USELESS else InputError
        raise kind(f"{settings.server}: {code.name}: {details}")


def _channel(settings: ConnectionSettings, secrets: Secrets) -> grpc.Channel:
    if not settings.tls:
        return grpc.insecure_channel(settings.server, _OPTIONS)
    return grpc.secure_channel(settings.server, grpc.ssl_channel_credentials(secrets.root_certificates), _OPTIONS)
