"""The server's side of REST: TensorFlow Serving's paths, health and metrics.

POST /v1/models/NAME[/versions/N]:predict     {"signature_name": ..., "inputs": {...}} -> {"outputs": {...}}
GET  /v1/models/NAME[/versions/N]             the versions and their states
GET  /v1/models/NAME[/versions/N]/metadata    signatures
GET  /monitoring/prometheus/metrics
GET  /healthz, /readyz                        200, or 503
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from google.protobuf.json_format import MessageToDict
from numpy.typing import NDArray
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from kits_tf.serving.credentials import is_authorized
from kits_tf.serving.http_server import TooLargeError, read_body
from kits_tf.serving.messages import STATES
from kits_tf.serving.metadata import VOLUME
from kits_tf.serving.server.grpc_service import status_response
from kits_tf.serving.server.metrics import CONTENT_TYPE
from kits_tf.serving.server.service import ModelSpec, Service, ServiceError
from kits_tf.serving.server.signatures import signature_def_map
from kits_tf.serving.tensors import DTYPE_NAMES

_HTTP_STATUS = {
    "INVALID_ARGUMENT": 400,
    "UNAUTHENTICATED": 401,
    "NOT_FOUND": 404,
    "DEADLINE_EXCEEDED": 408,
    "TOO_LARGE": 413,
    "RESOURCE_EXHAUSTED": 429,
    "CANCELLED": 499,
    "INTERNAL": 500,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
}
_MODEL = "/v1/models/{name}"
_VERSION = _MODEL + "/versions/{version:int}"


class RestService:
    """Answers over REST.

    Args:
        service: the service that computes the answers.
        max_bytes: largest number of bytes of a request.
        receive_s: seconds that a client may take to send its request.
        token: token that clients must send, except for health and metrics; "" for none.
    """

    def __init__(self, service: Service, max_bytes: int, receive_s: float, token: str = "") -> None:
        self._service, self._token = service, token
        self._max_bytes, self._receive_s = max_bytes, receive_s
        self.routes = [
            Route("/healthz", self._health),
            Route("/readyz", self._ready),
            Route("/monitoring/prometheus/metrics", self._metrics),
        ]
        for prefix in (_VERSION, _MODEL):
            self.routes += [
                Route(f"{prefix}:predict", self._predict, methods=["POST"]),
                Route(f"{prefix}/metadata", self._metadata),
                Route(prefix, self._status),
            ]
        self.exception_handlers: Mapping[Any, Any] = {ServiceError: self._refuse, Exception: self._fail}

    async def _health(self, _: Request) -> Response:
        return PlainTextResponse("alive")

    async def _ready(self, _: Request) -> Response:
        is_ready = self._service.folder.find(None) is not None and not self._service.is_stopping
        return PlainTextResponse("ready" if is_ready else "not ready", 200 if is_ready else 503)

    async def _metrics(self, _: Request) -> Response:
        return Response(self._service.metrics.text(), media_type=CONTENT_TYPE)

    async def _status(self, request: Request) -> Response:
        self._check_token(request)
        name, version = _name_and_version(request)
        states = status_response(self._service, name, version).model_version_status
        return JSONResponse(
            {
                "model_version_status": [
                    {
                        "version": str(state.version),
                        "state": STATES[state.state],
                        "status": {
                            "error_code": "UNKNOWN" if state.status.error_code else "OK",
                            "error_message": state.status.error_message,
                        },
                    }
                    for state in states
                ]
            }
        )

    async def _metadata(self, request: Request) -> Response:
        self._check_token(request)
        name, version = _name_and_version(request)
        model = self._service.find(ModelSpec(name, version))
        signatures = MessageToDict(
            signature_def_map(model.content.signatures),
            preserving_proto_field_name=True,
            always_print_fields_with_no_presence=True,
        )
        for signature in signatures["signature_def"].values():
            for info in [*signature["inputs"].values(), *signature["outputs"].values()]:
                info["dtype"] = DTYPE_NAMES[info["dtype"]]
        return JSONResponse(
            {
                "model_spec": {"name": name, "signature_name": "", "version": str(model.number)},
                "metadata": {"signature_def": signatures},
            }
        )

    async def _predict(self, request: Request) -> Response:
        self._check_token(request)
        name, version = _name_and_version(request)
        with self._service.place():
            body = await self._body(request)
            watcher = asyncio.ensure_future(_is_gone(request))
            try:
                text = await run_in_threadpool(self._answer, name, version, body, lambda: not watcher.done())
            finally:
                watcher.cancel()
        self._count("OK")
        return Response(text, media_type="application/json")

    def _answer(self, name: str, version: int | None, body: bytes, is_active: Callable[[], bool]) -> str:
        content = _parsed(body)
        signature = content.get("signature_name", VOLUME)
        model = self._service.find(ModelSpec(name, version))
        known = model.content.signatures.get(signature) if isinstance(signature, str) else None
        if known is None:
            raise ServiceError(
                "INVALID_ARGUMENT", f"signature_name: expected one of {', '.join(model.content.signatures)}"
            )
        specs = known.structured_input_signature[1]
        values = content["inputs"]
        if len(specs) == 1 and not isinstance(values, dict):  # the only input may come without its name
            values = {next(iter(specs)): values}
        if not isinstance(values, dict):
            raise ServiceError("INVALID_ARGUMENT", "inputs: expected an object of tensors by name")
        inputs = {
            key: _array(value, specs[key].dtype.as_numpy_dtype, key) if key in specs else np.zeros(0)
            for key, value in values.items()
        }
        spec = ModelSpec(name, model.number, signature=signature)
        arrays, _ = self._service.predict(spec, inputs, (), is_active)
        outputs: dict[str, Any] = {key: _jsonable(array) for key, array in arrays.items()}
        return json.dumps({"outputs": next(iter(outputs.values())) if len(outputs) == 1 else outputs})

    async def _body(self, request: Request) -> bytes:
        if request.headers.get("content-encoding", "identity") != "identity":
            raise ServiceError("INVALID_ARGUMENT", "expected a body that is not compressed")
        try:
            return await asyncio.wait_for(read_body(request, self._max_bytes), self._receive_s)
        except TooLargeError:
            expected = f"expected a body of {self._max_bytes} bytes at most; gRPC takes larger ones"
            raise ServiceError("TOO_LARGE", expected) from None
        except asyncio.TimeoutError:
            raise ServiceError("DEADLINE_EXCEEDED", f"expected the whole body within {self._receive_s:g} s") from None
        except ClientDisconnect:
            raise ServiceError("CANCELLED", "the client is gone") from None

    def _check_token(self, request: Request) -> None:
        if not is_authorized(request.headers.get("authorization", ""), self._token):
            raise ServiceError("UNAUTHENTICATED", "expected the token of this server")

    async def _refuse(self, _: Request, error: Exception) -> Response:
        assert isinstance(error, ServiceError)
        self._count(error.code)
        return JSONResponse({"error": error.message}, _HTTP_STATUS[error.code])

    async def _fail(self, _: Request, __: Exception) -> Response:
        self._count("INTERNAL")
        return JSONResponse({"error": "the server failed at this request; its log says why"}, 500)

    def _count(self, status: str) -> None:
        self._service.metrics.requests.labels("rest", status).inc()


def _name_and_version(request: Request) -> tuple[str, int | None]:
    return request.path_params["name"], request.path_params.get("version")


async def _is_gone(request: Request) -> None:
    """Returns when the client has closed the connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ServiceError("INVALID_ARGUMENT", f"expected JSON: {str(error)[:200]}") from None
    if not isinstance(content, dict) or "inputs" not in content:
        raise ServiceError(
            "INVALID_ARGUMENT",
            'expected {"inputs": {...}}, columns; "instances", rows, would need scans of one shape in a batch',
        )
    return content


def _array(value: Any, dtype: Any, name: str) -> NDArray:
    """Returns nested lists as an array of the same values.

    Raises:
        ServiceError: INVALID_ARGUMENT, the lists are ragged, or hold something other than numbers of the type.
    """
    try:
        array = np.asarray(value)
    except (ValueError, OverflowError, RecursionError):
        array = np.array(None)
    kinds = "iu" if np.dtype(dtype).kind in "iu" else "iuf"
    is_empty = not array.size and array.dtype.kind == "f"
    if array.dtype.kind not in kinds and not is_empty:
        raise ServiceError(
            "INVALID_ARGUMENT", f"{name}: expected nested lists of {np.dtype(dtype).name}, of even lengths"
        )
    if array.dtype.kind in "iu" and kinds == "iu" and array.size:
        limits = np.iinfo(dtype)
        if array.min() < limits.min or array.max() > limits.max:
            raise ServiceError("INVALID_ARGUMENT", f"{name}: expected numbers of {np.dtype(dtype).name}")
    with np.errstate(over="ignore"):
        return array.astype(dtype)


def _jsonable(array: NDArray) -> Any:
    return array.item().decode() if array.dtype == np.object_ else array.tolist()  # the only text is a scalar
