"""The bytes of a tf.train.Example, with each value copied once; protocol buffers would copy it into a message first.

Fields by number, in the wire format of https://protobuf.dev/programming-guides/encoding:

    Example: 1 features.  Features: 1 entries, each 1 name and 2 Feature.  Feature: 1 bytes_list, 3 int64_list.
    BytesList and Int64List: 1 values.
"""

from collections.abc import Mapping, Sequence

from tfrecords_tools.errors import RecordError

# The value of a bytes feature of one value, or the values of an int64 feature.
FeatureValue = bytes | memoryview | Sequence[int]
# Protocol buffers read no larger message.
_LARGEST = (1 << 31) - 1


def encode_example(features: Mapping[str, FeatureValue]) -> bytes:
    """Returns the serialized tf.train.Example of features by name, in the order of their names.

    Raises:
        RecordError: it would be larger than the 2 GiB that a tf.train.Example may take.
    """
    entries: list[bytes | memoryview] = []
    for name in sorted(features):
        entries += _field(1, [*_field(1, [name.encode()]), *_field(2, _feature(features[name]))])
    parts = _field(1, entries)
    size = sum(map(len, parts))
    if size > _LARGEST:
        raise RecordError(f"expected a record of at most {_LARGEST} bytes, found {size}")
    return b"".join(parts)


def _feature(value: FeatureValue) -> list[bytes | memoryview]:
    if isinstance(value, bytes | memoryview):
        return _field(1, _field(1, [value]))
    return _field(3, _field(1, [b"".join(map(_varint, value))]) if value else [])


def _field(number: int, content: list[bytes | memoryview]) -> list[bytes | memoryview]:
    """Returns the parts of a field whose value is bytes, a text, a message, or packed numbers."""
    return [_varint(number << 3 | 2) + _varint(sum(map(len, content))), *content]


def _varint(number: int) -> bytes:
    """Returns an int64 in groups of seven bits, the lowest first; negative ones as their two's complement."""
    number &= (1 << 64) - 1
    groups = []
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*groups, number])
