"""The signatures of a loaded SavedModel as TensorFlow Serving's message about them."""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from kits_tf.serving.messages import SignatureDefMap

_PREDICT_METHOD = "tensorflow/serving/predict"


def signature_def_map(signatures: Mapping[str, Any]) -> Any:
    """Returns the SignatureDefMap of a SavedModel's signatures."""
    message = SignatureDefMap()
    for name, signature in signatures.items():
        entry = message.signature_def[name]
        entry.method_name = _PREDICT_METHOD
        for key, spec in signature.structured_input_signature[1].items():
            _write_info(entry.inputs[key], f"{name}_{key}:0", spec)
        for key, spec in signature.structured_outputs.items():
            _write_info(entry.outputs[key], f"{name}:{key}", spec)
    return message


def _write_info(info: Any, name: str, spec: tf.TensorSpec) -> None:
    info.name, info.dtype = name, spec.dtype.as_datatype_enum
    if spec.shape.rank is None:
        info.tensor_shape.unknown_rank = True
    else:
        info.tensor_shape.SetInParent()
        for size in spec.shape:
            info.tensor_shape.dim.add(size=-1 if size is None else size)
