import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from tfrecords_tools import encode
from tfrecords_tools.encode import encode_example
from tfrecords_tools.errors import RecordError

INT64 = st.integers(-(2**63), 2**63 - 1)
FEATURES = st.dictionaries(st.text(max_size=20), st.binary(max_size=300) | st.lists(INT64, max_size=40), max_size=6)


def by_protocol_buffers(features: dict) -> tf.train.Example:
    example = tf.train.Example()
    for name, value in features.items():
        if isinstance(value, bytes):
            example.features.feature[name].bytes_list.value.append(value)
        else:
            example.features.feature[name].int64_list.SetInParent()
            example.features.feature[name].int64_list.value.extend(value)
    example.features.SetInParent()
    return example


def check(features: dict) -> None:
    encoded, oracle = encode_example(features), by_protocol_buffers(features)
    assert tf.train.Example.FromString(encoded) == oracle
    assert len(encoded) == oracle.ByteSize()


@given(FEATURES)
def test_protocol_buffers_read_it_and_need_as_many_bytes(features: dict) -> None:
    check(features)


def test_lengths_of_every_width() -> None:
    for size in (127, 128, 16383, 16384, 2**21):
        check({"a": np.random.default_rng(0).bytes(size)})


def test_entries_are_in_the_order_of_their_names() -> None:
    # By hand: 0x0a is field 1 of bytes, 0x12 field 2, 0x1a field 3; -1 is ten groups of seven bits.
    first = b"\x0a\x01a\x12\x05\x0a\x03\x0a\x01x"
    second = b"\x0a\x01b\x12\x0f\x1a\x0d\x0a\x0b\x03" + b"\xff" * 9 + b"\x01"
    entries = b"\x0a\x0a" + first + b"\x0a\x14" + second
    assert encode_example({"b": (3, -1), "a": memoryview(b"x")}) == b"\x0a\x22" + entries


def test_no_record_is_made_that_nobody_can_read(monkeypatch: pytest.MonkeyPatch) -> None:
    fits = {"a": bytes(1000)}
    monkeypatch.setattr(encode, "_LARGEST", len(encode_example(fits)))
    encode_example(fits)
    with pytest.raises(RecordError, match="expected a record of at most 1018 bytes, found 1019"):
        encode_example({"a": bytes(1001)})
