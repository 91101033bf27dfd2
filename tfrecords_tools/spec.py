"""One description of an example that both serializes and parses it.

A tensor NAME is stored as three features, so that a record explains itself: NAME (its little-endian bytes, C
order), NAME/shape (int64 list) and NAME/dtype (as in "int16"). A text is one bytes feature in UTF-8.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from tfrecords_tools.errors import RecordError


@dataclass(frozen=True)
class TensorFeature:
    """An array.

    Attributes:
        name: of the feature.
        dtype: NumPy's name of a fixed-size number type, as in "int16".
        shape: its size along each axis, None where it varies.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...]

    def encode(self, value: Any) -> dict[str, tf.train.Feature]:
        """Returns the features of an array.

        Raises:
            RecordError: dtype or shape differ from the description's.
        """
        array = np.asarray(value)
        wanted = np.dtype(self.dtype)
        fits = len(array.shape) == len(self.shape) and all(
            w is None or w == n for w, n in zip(self.shape, array.shape, strict=True)
        )
        if array.dtype != wanted or not fits:
            expected = f"{self.dtype} of shape {self.shape}"
            raise RecordError(f"feature {self.name}: expected {expected}, got {array.dtype} of shape {array.shape}")
        stored = np.ascontiguousarray(array, wanted.newbyteorder("<"))
        return {
            self.name: _bytes(stored.tobytes()),
            f"{self.name}/shape": tf.train.Feature(int64_list=tf.train.Int64List(value=array.shape)),
            f"{self.name}/dtype": _bytes(self.dtype.encode()),
        }

    def parsing(self) -> dict[str, tf.io.FixedLenFeature]:
        """Returns what tf.io.parse_single_example needs."""
        return {
            self.name: tf.io.FixedLenFeature([], tf.string),
            f"{self.name}/shape": tf.io.FixedLenFeature([len(self.shape)], tf.int64),
            f"{self.name}/dtype": tf.io.FixedLenFeature([], tf.string),
        }

    def decode(self, parsed: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Returns the array as a tensor whose static shape is `shape`."""
        stored_dtype = parsed[f"{self.name}/dtype"]
        message = f"feature {self.name}: expected dtype {self.dtype}, got"
        check = tf.debugging.Assert(tf.equal(stored_dtype, self.dtype), [message, stored_dtype])
        with tf.control_dependencies([] if check is None else [check]):  # None when run eagerly
            flat = tf.io.decode_raw(parsed[self.name], tf.as_dtype(self.dtype))
        return tf.ensure_shape(tf.reshape(flat, parsed[f"{self.name}/shape"]), self.shape)


@dataclass(frozen=True)
class TextFeature:
    """A text in UTF-8."""

    name: str

    def encode(self, value: Any) -> dict[str, tf.train.Feature]:
        """Returns the feature of a text.

        Raises:
            RecordError: the value is no str.
        """
        if not isinstance(value, str):
            raise RecordError(f"feature {self.name}: expected a text, got {type(value).__name__}")
        return {self.name: _bytes(value.encode())}

    def parsing(self) -> dict[str, tf.io.FixedLenFeature]:
        """Returns what tf.io.parse_single_example needs."""
        return {self.name: tf.io.FixedLenFeature([], tf.string)}

    def decode(self, parsed: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Returns the text as a scalar string tensor."""
        return parsed[self.name]


@dataclass(frozen=True)
class Spec:
    """All features of an example."""

    features: tuple[TensorFeature | TextFeature, ...]

    def serialize(self, values: Mapping[str, Any]) -> bytes:
        """Returns the serialized tf.train.Example.

        Raises:
            RecordError: a feature is missing, unknown, or of another dtype or shape; the message names it.
        """
        names = [feature.name for feature in self.features]
        for name in names:
            if name not in values:
                raise RecordError(f"feature {name}: expected a value, got none")
        for name in values:
            if name not in names:
                raise RecordError(f"feature {name}: unknown, expected only {', '.join(names)}")
        encoded: dict[str, tf.train.Feature] = {}
        for feature in self.features:
            encoded |= feature.encode(values[feature.name])
        return tf.train.Example(features=tf.train.Features(feature=encoded)).SerializeToString(deterministic=True)

    def parse(self, serialized: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns the values by name, as tensors; works eagerly and in a graph.

        Raises:
            tf.errors.InvalidArgumentError: a feature is missing or of another kind; the message names it.
        """
        parsing: dict[str, tf.io.FixedLenFeature] = {}
        for feature in self.features:
            parsing |= feature.parsing()
        parsed = tf.io.parse_single_example(serialized, parsing)
        return {feature.name: feature.decode(parsed) for feature in self.features}


def _bytes(value: bytes) -> tf.train.Feature:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
