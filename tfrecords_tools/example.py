"""From a record to its tf.train.Example."""

import tensorflow as tf
from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet

from tfrecords_tools.describe import describe_bytes
from tfrecords_tools.errors import RecordError


def parse_example(record: bytes) -> tf.train.Example:
    """Returns the Example that a record holds.

    Raises:
        RecordError: it holds something else; the message shows its beginning.
    """
    try:
        example = tf.train.Example.FromString(record)
    except DecodeError:
        example = None
    if example is None or len(UnknownFieldSet(example)):  # another message may look like one with fields of its own
        raise RecordError(f"expected a tf.train.Example, found {describe_bytes(record)}")
    return example
