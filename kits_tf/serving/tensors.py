"""NumPy arrays <-> TensorProto, without TensorFlow."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kits_tf.base.errors import InputError
from kits_tf.serving.messages import TensorProto

# Number in DataType, type, field that holds values one by one: tensorflow/core/framework/types.proto, tensor.proto.
_TYPES: tuple[tuple[int, Any, str], ...] = (
    (1, np.float32, "float_val"),
    (2, np.float64, "double_val"),
    (3, np.int32, "int_val"),
    (4, np.uint8, "int_val"),
    (5, np.int16, "int_val"),
    (6, np.int8, "int_val"),
    (7, np.object_, "string_val"),
    (9, np.int64, "int64_val"),
    (10, np.bool_, "bool_val"),
    (19, np.float16, "half_val"),
)
_OF_NUMBER = {number: (np.dtype(kind), field) for number, kind, field in _TYPES}
_OF_DTYPE = {np.dtype(kind): number for number, kind, _ in _TYPES}
STRING = 7
DTYPE_NAMES = {number: f"DT_{np.dtype(kind).name.upper()}" for number, kind, _ in _TYPES} | {
    1: "DT_FLOAT",
    2: "DT_DOUBLE",
    STRING: "DT_STRING",
    10: "DT_BOOL",
    19: "DT_HALF",
}


def dtype_number(dtype: Any) -> int:
    """Returns the DataType of a NumPy type, one of those above."""
    return _OF_DTYPE[np.dtype(dtype)]


def to_proto(array: NDArray) -> Any:
    """Returns the TensorProto of an array of a type above; strings are bytes in an array of objects."""
    tensor = TensorProto()
    write_proto(array, tensor)
    return tensor


def write_proto(array: NDArray, tensor: Any) -> None:
    """Writes an array into an empty TensorProto, such as one of a request, where a copy of it would take long."""
    tensor.dtype = dtype_number(array.dtype)
    tensor.tensor_shape.SetInParent()
    for size in array.shape:
        tensor.tensor_shape.dim.add(size=size)
    if array.dtype == np.object_:
        tensor.string_val.extend(array.ravel().tolist())
    else:
        tensor.tensor_content = array.tobytes()


def from_proto(tensor: Any, name: str) -> NDArray:
    """Returns the array of a TensorProto; strings as bytes in an array of objects. Nothing is allocated beyond it.

    In TensorFlow a field of values may be shorter than the shape says: its last value stands for the rest. Here that
    is allowed for a single value only, and the array is a view of it.

    Args:
        tensor: TensorProto.
        name: name of the tensor, for errors.

    Raises:
        InputError: the type is none of the above, or the content does not fit the shape.
    """
    if tensor.dtype not in _OF_NUMBER:
        raise InputError(f"{name}: expected a tensor of numbers or strings, got DataType {tensor.dtype}")
    (dtype, field), shape = _OF_NUMBER[tensor.dtype], tuple(dim.size for dim in tensor.tensor_shape.dim)
    if tensor.tensor_shape.unknown_rank or any(size < 0 for size in shape):
        raise InputError(f"{name}: expected a known shape, got {list(shape)}")
    count, content = math.prod(shape), tensor.tensor_content
    needed = count * dtype.itemsize
    if content:
        if tensor.dtype == STRING or len(content) != needed:
            raise InputError(f"{name}: expected {needed} bytes for shape {list(shape)} of {dtype}, got {len(content)}")
        return np.frombuffer(content, dtype).reshape(shape)
    values = getattr(tensor, field)
    if len(values) not in (count, 1):
        raise InputError(f"{name}: expected {count} values for shape {list(shape)}, got {len(values)}")
    array = _array(values, dtype, name)
    try:
        return array.reshape(shape) if len(values) == count else np.broadcast_to(array, shape)
    except ValueError:
        raise InputError(f"{name}: expected a shape that an array may have, got {list(shape)}") from None


def _array(values: Any, dtype: np.dtype, name: str) -> NDArray:
    try:
        return np.array(values, np.uint16).view(dtype) if dtype == np.float16 else np.array(values, dtype)
    except OverflowError:
        raise InputError(f"{name}: expected values within {dtype}") from None
