"""How an array is stored in an example: as three features, so that a record explains itself.

NAME holds its bytes (little-endian, C order), NAME/shape its int64 sizes and NAME/dtype NumPy's name of its type.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfrecords_tools.errors import RecordError


def shape_feature(name: str) -> str:
    """Returns the name of the feature that holds an array's shape."""
    return f"{name}/shape"


def dtype_feature(name: str) -> str:
    """Returns the name of the feature that holds an array's dtype."""
    return f"{name}/dtype"


def array_of(content: bytes, shape: Sequence[int], dtype: str) -> NDArray:
    """Returns the array that the three features hold, as a read-only view of the bytes where the machine can.

    Raises:
        RecordError: the dtype is not a number type, the shape is negative, or the bytes do not fill it.
    """
    try:
        kind = np.dtype(dtype)
    except (TypeError, ValueError, SyntaxError):
        kind = np.dtype("V")
    if kind.kind not in "biufc":
        raise RecordError(f"expected a number type, found dtype {dtype!r}")
    if any(size < 0 for size in shape):
        raise RecordError(f"expected sizes of at least 0, found shape {tuple(shape)}")
    needed = math.prod(shape) * kind.itemsize
    if needed != len(content):
        raise RecordError(f"expected {needed} bytes of {dtype} of shape {tuple(shape)}, found {len(content)}")
    flat = np.frombuffer(content, kind.newbyteorder("<"))
    return flat.astype(kind, copy=False).reshape(shape)


def one_bytes(features: Mapping[str, Any], name: str) -> bytes:
    """Returns the only value of a bytes feature.

    Raises:
        RecordError: the feature is missing, of another kind, or has another number of values.
    """
    values = values_of(features, name, "bytes_list")
    if len(values) != 1:
        raise RecordError(f"feature {name}: expected 1 value, found {len(values)}")
    return values[0]


def values_of(features: Mapping[str, Any], name: str, kind: str) -> Sequence[Any]:
    """Returns the values of a feature of one kind.

    Args:
        features: the features of a tf.train.Example, by name.
        name: name of the feature.
        kind: "bytes_list", "int64_list" or "float_list".

    Raises:
        RecordError: the feature is missing or of another kind.
    """
    if name not in features:
        raise RecordError(f"feature {name}: expected a value, found none")
    stored_kind = features[name].WhichOneof("kind")
    if stored_kind != kind:
        raise RecordError(f"feature {name}: expected a {kind}, found {stored_kind or 'an empty feature'}")
    return getattr(features[name], kind).value
