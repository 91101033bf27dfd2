"""Requests that a server makes before it serves a version, so that no user waits for a graph to be prepared."""

from typing import Any

import numpy as np

from kits_tf.ct.geometry import CANONICAL_WORLD_AXES
from kits_tf.serving.messages import PredictionLog, PredictRequest, TensorProto
from kits_tf.serving.metadata import METADATA, PATCHES, VOLUME, Metadata
from kits_tf.serving.tensors import dtype_number, to_proto

# In assets.extra, where TensorFlow Serving looks for them.
WARMUP_NAME = "tf_serving_warmup_requests"


def warmup_logs(metadata: Metadata) -> list[Any]:
    """Returns one request for each signature, so that the first user does not wait for a graph to be prepared.

    The server fills in the model's name.
    """
    window = metadata.patch_size_zyx
    affine = np.diag(np.array([0, 0, 0, 1], np.float32))
    affine[CANONICAL_WORLD_AXES, (0, 1, 2)] = -np.array(metadata.grid.spacing_zyx_mm)
    inputs = {
        VOLUME: {"hu": _zeros(window), "affine": to_proto(affine)},
        PATCHES: {"hu": _zeros((1, *window))},
        METADATA: {},
    }
    return [_log(name, tensors) for name, tensors in inputs.items()]


def _log(signature: str, tensors: dict) -> Any:
    request = PredictRequest(model_spec={"signature_name": signature})
    for name, tensor in tensors.items():
        request.inputs[name].CopyFrom(tensor)
    return PredictionLog(predict_log={"request": request})


def _zeros(shape: tuple[int, ...]) -> Any:
    """Returns soft tissue of 0 HU all over, in a few bytes: a single value stands for all."""
    dims = {"dim": [{"size": size} for size in shape]}
    return TensorProto(dtype=dtype_number("int16"), tensor_shape=dims, int_val=[0])
