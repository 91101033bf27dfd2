"""One description of an example that serializes it, reads it, and parses it in a graph.

A tensor is stored as three features (`array_features`), a text as one bytes feature in UTF-8.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import tensorflow as tf
from numpy.typing import NDArray

from tfrecords_tools.encode import FeatureValue, encode_example
from tfrecords_tools.errors import RecordError
from tfrecords_tools.example import parse_example
from tfrecords_tools.features import TensorFeature, TextFeature

__all__ = ["Spec", "TensorFeature", "TextFeature"]


@dataclass(frozen=True)
class Spec:
    """All features of an example."""

    features: tuple[TensorFeature | TextFeature, ...]

    def serialize(self, values: Mapping[str, Any]) -> bytes:
        """Returns the serialized tf.train.Example.

        Raises:
            RecordError: a feature is missing, unknown, or of another dtype or shape, and the message names it; or the
                record would be larger than 2 GiB.
        """
        _check_names(values, [feature.name for feature in self.features])
        stored: dict[str, FeatureValue] = {}
        for feature in self.features:
            stored |= feature.encode(values[feature.name])
        return encode_example(stored)

    def read(self, record: bytes) -> dict[str, NDArray | str]:
        """Returns the values by name, without a graph: texts, and arrays that are read-only views of their bytes.

        Raises:
            RecordError: the record is not a tf.train.Example, or a feature is missing, unknown, of another dtype or
                shape, or its bytes do not fill its shape; the message names it.
        """
        stored = parse_example(record).features.feature
        _check_names(stored, [name for feature in self.features for name in feature.feature_names])
        return {feature.name: feature.read(stored) for feature in self.features}

    def parse(self, serialized: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns the values by name, as tensors; works eagerly and in a graph.

        Unknown features are not noticed, since tf.io.parse_single_example reads only those it is
        asked for; `read` refuses them.

        Raises:
            tf.errors.InvalidArgumentError: a feature is missing, of another kind, dtype or shape, or its bytes do
                not fill its shape; the message names it.
        """
        parsing: dict[str, tf.io.FixedLenFeature] = {}
        for feature in self.features:
            parsing |= feature.parsing_spec()
        parsed = tf.io.parse_single_example(serialized, parsing)
        return {feature.name: feature.decode(parsed) for feature in self.features}


def _check_names(given: Iterable[str], expected: list[str]) -> None:
    given = list(given)
    for name in expected:
        if name not in given:
            raise RecordError(f"feature {name}: expected a value, found none")
    for name in given:
        if name not in expected:
            raise RecordError(f"feature {name}: unknown, expected only {', '.join(expected)}")
