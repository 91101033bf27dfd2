"""The server's side of gRPC: TensorFlow Serving's PredictionService and ModelService."""

import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from kits_tf.base.errors import InputError
from kits_tf.config import ServerSettings
from kits_tf.serving import messages
from kits_tf.serving.credentials import is_authorized, read_file
from kits_tf.serving.http_server import format_address, listen
from kits_tf.serving.server.service import ModelSpec, Service, ServiceError
from kits_tf.serving.server.signatures import signature_def_map
from kits_tf.serving.tensors import from_proto, write_proto

logger = logging.getLogger(__name__)

# Threads for requests that are refused or answered at once while others wait in the queue.
_SPARE_THREADS = 16
# Requests are limited; responses, with a byte per voxel, are not.
_OPTIONS = [*messages.LARGE_MESSAGES, ("grpc.max_send_message_length", -1), ("grpc.so_reuseport", 0)]


class GrpcServer:
    """Answers over gRPC.

    Args:
        service: the service that computes the answers.
        settings: address to listen on, certificate and limits.
        token: token that clients must send; "" for none.

    Attributes:
        address: HOST:PORT, with the port that is listened on.

    Raises:
        InputError: the port is taken, or a file of the certificate cannot be read.
    """

    def __init__(self, service: Service, settings: ServerSettings, token: str = "") -> None:
        self._service, self._token = service, token
        self._receive_s = settings.receive_s
        options = [*_OPTIONS, ("grpc.max_receive_message_length", settings.max_message_bytes)]
        self._server = grpc.server(ThreadPoolExecutor(1 + settings.queue + _SPARE_THREADS), options=options)
        # No unary handlers: a stream is read by the handler itself, after it has decided that there is room for it.
        methods = {
            messages.PREDICT: (self._predict, messages.PredictRequest),
            messages.GET_MODEL_METADATA: (self._get_metadata, messages.GetModelMetadataRequest),
            messages.GET_MODEL_STATUS: (self._get_status, messages.GetModelStatusRequest),
        }
        for path, (answer, kind) in methods.items():
            name, method = path.removeprefix("/").split("/")
            handler = grpc.stream_unary_rpc_method_handler(self._handler(method, answer, kind))
            self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, {method: handler}),))
        self.address = format_address(settings.host, self._listen(settings))

    def _listen(self, settings: ServerSettings) -> int:
        """Takes the port and returns its number."""
        address, credentials = format_address(settings.host, settings.grpc_port), _credentials(settings)
        listen(settings.host, settings.grpc_port, "grpc_port").close()  # gRPC itself would not say why it cannot
        try:
            if credentials:
                return self._server.add_secure_port(address, credentials)
            return self._server.add_insecure_port(address)
        except RuntimeError:
            raise InputError(f"--grpc_port: expected a free port, gRPC cannot listen on {address}") from None

    def start(self) -> None:
        """Begins to listen."""
        self._server.start()

    def stop(self, grace_s: float) -> None:
        """Takes no further requests; running ones may finish within `grace_s` seconds."""
        self._server.stop(grace_s).wait()

    def _handler(self, method: str, answer: Callable[..., Any], kind: Any) -> Callable[..., bytes]:
        """Returns a function from the bytes of a request to those of its response; it turns errors into a status."""

        def handle(requests: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
            status = "OK"
            try:
                self._check_token(context)
                return answer(lambda: self._read(requests, kind, context), context).SerializeToString()
            except ServiceError as error:
                status = error.code
                context.abort(grpc.StatusCode[status], error.message)
                raise  # abort has raised
            except Exception:
                status = "INTERNAL"
                logger.exception("a request failed")
                context.abort(grpc.StatusCode.INTERNAL, "the server failed at this request; its log says why")
                raise  # abort has raised
            finally:
                self._service.metrics.requests.labels(method, status).inc()

        return handle

    def _check_token(self, context: grpc.ServicerContext) -> None:
        sent = str(dict(context.invocation_metadata()).get("authorization", ""))
        if not is_authorized(sent, self._token):
            raise ServiceError("UNAUTHENTICATED", "expected the token of this server")

    def _read(self, requests: Iterator[bytes], kind: Any, context: grpc.ServicerContext) -> Any:
        """Returns the request; a client that does not send it in time is dropped."""
        timer = threading.Timer(self._receive_s, context.cancel)
        timer.start()
        try:
            content = next(requests, None)
        except grpc.RpcError:
            raise ServiceError("CANCELLED", "the request did not come in time, or the client is gone") from None
        finally:
            timer.cancel()
        if content is None:
            raise ServiceError("INVALID_ARGUMENT", "expected a request, got none")
        try:
            return kind.FromString(content)
        except DecodeError:
            raise ServiceError(
                "INVALID_ARGUMENT", f"expected a message {kind.DESCRIPTOR.full_name}, got something else"
            ) from None

    def _predict(self, read: Callable[[], Any], context: grpc.ServicerContext) -> Any:
        with self._service.place():
            request = read()
            try:
                inputs = {name: from_proto(tensor, name[:100]) for name, tensor in request.inputs.items()}
            except InputError as error:
                raise ServiceError("INVALID_ARGUMENT", str(error)) from None
            spec, names = _spec(request.model_spec), tuple(request.output_filter)
            del request
            outputs, model = self._service.predict(spec, inputs, names, context.is_active)
        response = messages.PredictResponse(
            model_spec={
                "name": self._service.name,
                "version": {"value": model.number},
                "signature_name": spec.signature,
            }
        )
        for name, array in outputs.items():
            write_proto(array, response.outputs[name])
        return response

    def _get_metadata(self, read: Callable[[], Any], _: grpc.ServicerContext) -> Any:
        request = read()
        if list(request.metadata_field) != ["signature_def"]:
            raise ServiceError("INVALID_ARGUMENT", "metadata_field: expected signature_def")
        model = self._service.find(_spec(request.model_spec))
        response = messages.GetModelMetadataResponse(
            model_spec={"name": self._service.name, "version": {"value": model.number}}
        )
        entry = response.metadata["signature_def"]
        entry.type_url = "type.googleapis.com/tensorflow.serving.SignatureDefMap"
        entry.value = signature_def_map(model.content.signatures).SerializeToString()
        return response

    def _get_status(self, read: Callable[[], Any], _: grpc.ServicerContext) -> Any:
        spec = _spec(read().model_spec)
        return status_response(self._service, spec.name, spec.version)


def status_response(service: Service, name: str, version: int | None) -> Any:
    """Returns the GetModelStatusResponse of one version of a model, or of all.

    Raises:
        ServiceError: NOT_FOUND, there is no such model or version.
    """
    states = service.folder.states()
    selected = {number: state for number, state in states.items() if version in (None, number)}
    if name != service.name or not selected:
        raise ServiceError("NOT_FOUND", f"Could not find any versions of model {name[:100]!r}")
    statuses = [
        {
            "version": number,
            "state": state.state,
            # UNKNOWN
            "status": {"error_code": 2 if state.error else 0, "error_message": state.error},
        }
        for number, state in selected.items()
    ]
    return messages.GetModelStatusResponse(model_version_status=statuses)


def _credentials(settings: ServerSettings) -> grpc.ServerCredentials | None:
    """Returns certificate and key; None where nothing is encrypted."""
    if not settings.tls_cert:
        return None
    return grpc.ssl_server_credentials([(read_file(settings.tls_key), read_file(settings.tls_cert))])


def _spec(spec: Any) -> ModelSpec:
    # Some clients, such as ovmsclient, send 0 for the server's choice; versions begin at 1.
    return ModelSpec(spec.name, spec.version.value or None, spec.version_label, spec.signature_name)
