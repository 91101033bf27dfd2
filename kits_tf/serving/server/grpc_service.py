"""The server's side of gRPC: PredictionService and ModelService as TensorFlow Serving has them."""

import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from kits_tf.base.errors import InputError
from kits_tf.serving import messages
from kits_tf.serving.credentials import is_authorized
from kits_tf.serving.server.service import ModelSpec, Service, ServiceError
from kits_tf.serving.server.signatures import signature_def_map
from kits_tf.serving.tensors import from_proto, write_proto

# Threads for what is refused or answered at once while others wait in the queue.
_SPARE_THREADS = 16
# A response has a byte a voxel; requests are limited, these are not.
_OPTIONS = [*messages.LARGE_MESSAGES, ("grpc.max_send_message_length", -1), ("grpc.so_reuseport", 0)]


class GrpcServer:
    """Answers over gRPC.

    Args:
        service: what answers.
        address: HOST:PORT to listen on; port 0 takes one that is free.
        queue: as the service's.
        max_message_bytes: of a request.
        receive_s: that a client may take to send its request.
        token: that clients must send; "" for none.
        credentials: certificate and key; None does not encrypt.

    Raises:
        InputError: the port is taken.
    """

    def __init__(
        self,
        service: Service,
        address: str,
        *,
        queue: int,
        max_message_bytes: int,
        receive_s: float,
        token: str = "",
        credentials: grpc.ServerCredentials | None = None,
    ) -> None:
        self._service, self._receive_s, self._token = service, receive_s, token
        options = [*_OPTIONS, ("grpc.max_receive_message_length", max_message_bytes)]
        self._server = grpc.server(ThreadPoolExecutor(1 + queue + _SPARE_THREADS), options=options)
        # Not unary on this side: the handler then decides before it reads the request whether there is room for it.
        methods = {
            messages.PREDICT: (self._predict, messages.PredictRequest),
            messages.GET_MODEL_METADATA: (self._get_metadata, messages.GetModelMetadataRequest),
            messages.GET_MODEL_STATUS: (self._get_status, messages.GetModelStatusRequest),
        }
        for path, (answer, kind) in methods.items():
            _, name, method = path.split("/")
            handler = grpc.stream_unary_rpc_method_handler(self._handler(method, answer, kind))
            self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, {method: handler}),))
        try:
            add = self._server.add_insecure_port
            self.port = self._server.add_secure_port(address, credentials) if credentials else add(address)
        except RuntimeError:
            raise InputError(f"{address}: expected an address and a port that is free for gRPC") from None

    def start(self) -> None:
        """Begins to listen."""
        self._server.start()

    def stop(self, grace_s: float) -> None:
        """Takes no further requests, and gives those that run so long."""
        self._server.stop(grace_s).wait()

    def _handler(self, method: str, answer: Callable[..., Any], kind: Any) -> Callable[..., bytes]:
        """Returns what takes the bytes of a request to those of its response, and errors to a status."""

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
                logging.exception("a request failed")
                context.abort(grpc.StatusCode.INTERNAL, "the server failed at this request; its log tells why")
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
            parts = next(requests, None)
        except grpc.RpcError:
            raise ServiceError("CANCELLED", "the request did not come in time, or its sender is gone") from None
        finally:
            timer.cancel()
        if parts is None:
            raise ServiceError("INVALID_ARGUMENT", "expected a request, got none")
        try:
            return kind.FromString(parts)
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
            spec, wanted = _spec(request.model_spec), tuple(request.output_filter)
            del request
            found, model = self._service.predict(spec, inputs, wanted, context.is_active)
        response = messages.PredictResponse(
            model_spec={
                "name": self._service.name,
                "version": {"value": model.version},
                "signature_name": spec.signature,
            }
        )
        for name, array in found.items():
            write_proto(array, response.outputs[name])
        return response

    def _get_metadata(self, read: Callable[[], Any], _: grpc.ServicerContext) -> Any:
        request = read()
        if list(request.metadata_field) != ["signature_def"]:
            raise ServiceError("INVALID_ARGUMENT", "metadata_field: expected signature_def")
        model = self._service.find(_spec(request.model_spec))
        response = messages.GetModelMetadataResponse(
            model_spec={"name": self._service.name, "version": {"value": model.version}}
        )
        entry = response.metadata["signature_def"]
        entry.type_url = "type.googleapis.com/tensorflow.serving.SignatureDefMap"
        entry.value = signature_def_map(model.exported.signatures).SerializeToString()
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
    found = {number: state for number, state in states.items() if version in (None, number)}
    if name != service.name or not found:
        raise ServiceError("NOT_FOUND", f"Could not find any versions of model {name[:100]!r}")
    statuses = [
        {
            "version": number,
            "state": state.state,
            # UNKNOWN
            "status": {"error_code": 2 if state.error else 0, "error_message": state.error},
        }
        for number, state in found.items()
    ]
    return messages.GetModelStatusResponse(model_version_status=statuses)


def _spec(spec: Any) -> ModelSpec:
    # Some clients, as ovmsclient, send 0 for the server's choice; versions begin at 1.
    return ModelSpec(spec.name, spec.version.value or None, spec.version_label, spec.signature_name)
