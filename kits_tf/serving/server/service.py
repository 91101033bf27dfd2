"""Requests to a served model, however they came: checks, a bounded queue, one computed at a time."""

import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from kits_tf.base.errors import InputError
from kits_tf.base.memory import return_freed_memory
from kits_tf.base.progress import Report
from kits_tf.ct.preprocess import as_tensor
from kits_tf.inference.model import Model, Segmentation, refusal
from kits_tf.serving.metadata import METADATA, VOLUME
from kits_tf.serving.server.metrics import Metrics
from kits_tf.serving.server.model_folder import ModelFolder, ModelVersion


class ServiceError(Exception):
    """A request that is not answered.

    Attributes:
        code: name of a gRPC status, or TOO_LARGE.
        message: reason, in a sentence.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


@dataclass(frozen=True)
class ModelSpec:
    """The model, version and signature of a request.

    Attributes:
        name: name of the model.
        version: number of the version; None leaves the choice to the server.
        label: label of the version; this server has none.
        signature: name of the signature; "" is that of volumes.
    """

    name: str
    version: int | None = None
    label: str = ""
    signature: str = ""


class Service:
    """Answers requests by the models of a folder.

    Args:
        name: name of the model.
        folder: folder of its versions.
        queue: number of requests that may wait while one is computed.
        max_values: largest number of values of an input.
        metrics: counters to count in.
    """

    def __init__(self, name: str, folder: ModelFolder, queue: int, max_values: int, metrics: Metrics) -> None:
        self.name, self.folder = name, folder
        self.metrics = metrics
        self._max_values, self._size = max_values, 1 + queue
        self._places = threading.BoundedSemaphore(self._size)
        # All devices belong to the one graph that runs.
        self._device = threading.Lock()
        self.is_stopping = False

    @contextmanager
    def place(self) -> Iterator[None]:
        """Holds a place in the queue; taken before a request is read, so that memory is bounded.

        Raises:
            ServiceError: RESOURCE_EXHAUSTED, there is none; UNAVAILABLE, the server is stopping.
        """
        if self.is_stopping:
            raise ServiceError("UNAVAILABLE", "the server is stopping")
        if not self._places.acquire(blocking=False):
            raise ServiceError("RESOURCE_EXHAUSTED", f"all {self._size} places in the queue are taken, try again later")
        self.metrics.waiting.inc()
        try:
            yield
        finally:
            self.metrics.waiting.dec()
            self._places.release()
            return_freed_memory()

    def find(self, spec: ModelSpec) -> ModelVersion:
        """Returns the version that a request asks for.

        Raises:
            ServiceError: NOT_FOUND, it is not served.
        """
        version = self.folder.find(spec.version) if spec.name == self.name and not spec.label else None
        if version is None:
            request = spec.name + (f" version {spec.version}" if spec.version is not None else "")
            request += f" label {spec.label}" if spec.label else ""
            raise ServiceError("NOT_FOUND", f"Servable not found for request: {request[:100]!r}, {self.name} is served")
        return version

    def predict(
        self,
        spec: ModelSpec,
        inputs: Mapping[str, NDArray],
        output_names: Sequence[str] = (),
        is_active: Callable[[], bool] = lambda: True,
    ) -> tuple[dict[str, NDArray], ModelVersion]:
        """Returns outputs by name, and the version that computed them. A place must be held.

        Args:
            spec: model, version and signature.
            inputs: input arrays by name.
            output_names: names of the outputs to return; none stands for all.
            is_active: function that returns whether the client still waits for the answer; called when it is the
                request's turn.

        Raises:
            ServiceError: INVALID_ARGUMENT, NOT_FOUND, CANCELLED, RESOURCE_EXHAUSTED (memory) or INTERNAL.
        """
        version, name = self.find(spec), spec.signature or VOLUME
        signature = version.content.signatures.get(name)
        if signature is None:
            names = ", ".join(version.content.signatures)
            raise ServiceError("INVALID_ARGUMENT", f"expected a signature of {names}, got {name[:100]!r}")
        self._check_inputs(signature, inputs)
        unknown = set(output_names) - set(signature.structured_outputs)
        if unknown:
            known = ", ".join(signature.structured_outputs)
            raise ServiceError("INVALID_ARGUMENT", f"expected outputs of {known}, got {min(unknown)[:100]!r}")
        tensors = {key: as_tensor(array) for key, array in inputs.items()}
        if name == METADATA:  # needs no computation, so it does not wait for its turn
            outputs = signature()
        else:
            with self._device:
                if not is_active():
                    raise ServiceError("CANCELLED", "the client is no longer waiting for the answer")
                start = time.monotonic()
                outputs = _run(signature, tensors)
                self.metrics.seconds.labels(name).observe(time.monotonic() - start)
        selected = {key: value for key, value in outputs.items() if not output_names or key in output_names}
        arrays = {key: np.asarray(value.numpy(), value.dtype.as_numpy_dtype) for key, value in selected.items()}
        return arrays, version

    def model(self, report: Report | None = None) -> Model:
        """Returns the newest version as a model, whose scans wait for their turn like all requests.

        Args:
            report: function called with (windows done, windows in all) while a scan is segmented.

        Raises:
            ServiceError: NOT_FOUND, none is served.
        """
        version = self.find(ModelSpec(self.name))
        saved = version.content

        def segment(hu: NDArray[np.int16], affine: NDArray[np.float32]) -> Segmentation:
            with self._device:
                return saved.segment(hu, affine, report)

        metadata = saved.metadata
        chain = metadata.postprocessing.chain
        return Model(segment, metadata.scheme, chain, identity=version.identity, notices=metadata.notices)

    def _check_inputs(self, signature: Any, inputs: Mapping[str, NDArray]) -> None:
        specs = signature.structured_input_signature[1]
        if set(specs) != set(inputs):
            expected = ", ".join(sorted(specs)) or "none"
            got = ", ".join(sorted(inputs))[:200] or "none"
            raise ServiceError("INVALID_ARGUMENT", f"expected inputs {expected}, got {got}")
        for name, spec in specs.items():
            array, dtype = inputs[name], spec.dtype.as_numpy_dtype
            if array.dtype != dtype:
                raise ServiceError(
                    "INVALID_ARGUMENT", f"{name}: expected {np.dtype(dtype).name}, got {array.dtype.name}"
                )
            if math.prod(array.shape) > self._max_values:
                raise ServiceError(
                    "INVALID_ARGUMENT",
                    f"{name}: expected {self._max_values} values at most, got shape {list(array.shape)}",
                )
            if not spec.shape.is_compatible_with(array.shape):
                raise ServiceError("INVALID_ARGUMENT", f"{name}: expected shape {spec.shape}, got {list(array.shape)}")


def _run(signature: Callable, tensors: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    try:
        return signature(**tensors)
    except (tf.errors.InvalidArgumentError, InputError) as error:
        raise ServiceError("INVALID_ARGUMENT", refusal(str(getattr(error, "message", error)))) from None
    except tf.errors.ResourceExhaustedError as error:
        raise ServiceError("RESOURCE_EXHAUSTED", refusal(error.message)) from None
    except tf.errors.OpError as error:
        raise ServiceError("INTERNAL", refusal(error.message)) from None
