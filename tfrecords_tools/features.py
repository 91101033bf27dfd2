"""The two kinds of feature: an array and a text, each written, read, and parsed in a graph."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfrecords_tools.array_features import array_of, dtype_feature, one_bytes, shape_feature, values_of
from tfrecords_tools.encode import FeatureValue
from tfrecords_tools.errors import RecordError


@dataclass(frozen=True)
class TensorFeature:
    """An array.

    Attributes:
        name: name of the feature.
        dtype: NumPy's name of a number type of fixed size, as in "int16".
        shape: size along each axis, None where it varies.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...]

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The names of the features that it is stored as."""
        return self.name, shape_feature(self.name), dtype_feature(self.name)

    def encode(self, value: Any) -> dict[str, FeatureValue]:
        """Returns the features of an array; its bytes are copied only if their order in memory is another one.

        Raises:
            RecordError: dtype or shape differ from the description's.
        """
        array = np.asarray(value)
        self._check(str(array.dtype), array.shape)
        content = np.ascontiguousarray(array, np.dtype(self.dtype).newbyteorder("<"))
        return {
            self.name: content.reshape(-1).view(np.uint8).data,
            shape_feature(self.name): array.shape,
            dtype_feature(self.name): self.dtype.encode(),
        }

    def read(self, features: Mapping[str, tf.train.Feature]) -> NDArray:
        """Returns the array, as a read-only view of its bytes.

        Raises:
            RecordError: the features are missing, of another kind, dtype or shape, or the bytes do not fill the shape.
        """
        content, shape_name = one_bytes(features, self.name), shape_feature(self.name)
        dtype = one_bytes(features, dtype_feature(self.name)).decode(errors="replace")
        shape = tuple(values_of(features, shape_name, "int64_list"))
        self._check(dtype, shape)
        try:
            return array_of(content, shape, dtype)
        except RecordError as error:
            raise RecordError(f"feature {self.name}: {error}") from None

    def parsing_spec(self) -> dict[str, tf.io.FixedLenFeature]:
        """Returns the features as tf.io.parse_single_example describes them."""
        return {
            self.name: tf.io.FixedLenFeature([], tf.string),
            shape_feature(self.name): tf.io.FixedLenFeature([len(self.shape)], tf.int64),
            dtype_feature(self.name): tf.io.FixedLenFeature([], tf.string),
        }

    def decode(self, parsed: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Returns the array as a tensor whose static shape is `shape`."""
        content, dtype = parsed[self.name], parsed[dtype_feature(self.name)]
        shape = parsed[shape_feature(self.name)]
        sizes = tf.constant([-1 if size is None else size for size in self.shape], tf.int64)
        sizes_fit = tf.reduce_all((shape >= 0) & ((sizes < 0) | (shape == sizes)))
        length = tf.cast(tf.strings.length(content), tf.int64)
        needed = tf.reduce_prod(shape) * np.dtype(self.dtype).itemsize
        message = f"feature {self.name}: expected {self.dtype} of shape {self.shape} and bytes that fill it, found"
        check = tf.debugging.Assert(
            tf.equal(dtype, self.dtype) & sizes_fit & tf.equal(length, needed), [message, dtype, shape, length]
        )
        with tf.control_dependencies([] if check is None else [check]):  # None when run eagerly
            flat = tf.io.decode_raw(content, tf.as_dtype(self.dtype))
        return tf.ensure_shape(tf.reshape(flat, shape), self.shape)

    def _check(self, dtype: str, shape: tuple[int, ...]) -> None:
        fits = len(shape) == len(self.shape) and all(
            size is None or size == actual for size, actual in zip(self.shape, shape, strict=True)
        )
        if dtype != self.dtype or not fits:
            expected = f"{self.dtype} of shape {self.shape}"
            raise RecordError(f"feature {self.name}: expected {expected}, found {dtype} of shape {shape}")


@dataclass(frozen=True)
class TextFeature:
    """A text in UTF-8."""

    name: str

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The names of the features that it is stored as."""
        return (self.name,)

    def encode(self, value: Any) -> dict[str, FeatureValue]:
        """Returns the feature of a text.

        Raises:
            RecordError: the value is not a str.
        """
        if not isinstance(value, str):
            raise RecordError(f"feature {self.name}: expected a text, found {type(value).__name__}")
        return {self.name: value.encode()}

    def read(self, features: Mapping[str, tf.train.Feature]) -> str:
        """Returns the text.

        Raises:
            RecordError: the feature is missing, of another kind, or not UTF-8.
        """
        content = one_bytes(features, self.name)
        try:
            return content.decode()
        except UnicodeDecodeError:
            raise RecordError(f"feature {self.name}: expected a text in UTF-8, found {content!r:.40}") from None

    def parsing_spec(self) -> dict[str, tf.io.FixedLenFeature]:
        """Returns the features as tf.io.parse_single_example describes them."""
        return {self.name: tf.io.FixedLenFeature([], tf.string)}

    def decode(self, parsed: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Returns the text as a scalar string tensor."""
        return parsed[self.name]
