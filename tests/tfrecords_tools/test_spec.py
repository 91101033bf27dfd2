import itertools
import re

import numpy as np
import pytest
import tensorflow as tf

from tfrecords_tools.errors import RecordError
from tfrecords_tools.spec import Spec, TensorFeature, TextFeature

SPEC = Spec(
    (TextFeature("name"), TensorFeature("image", "int16", (None, 3)), TensorFeature("matrix", "float64", (2, 2)))
)
VALUES = {
    "name": "Niere, ö",
    "image": np.arange(-6, 6, dtype=np.int16).reshape(4, 3),
    "matrix": np.array([[0.1, 2], [np.pi, -1e-300]]),
}


def test_parsing_gives_back_every_value_to_the_bit() -> None:
    parsed = SPEC.parse(tf.constant(SPEC.serialize(VALUES)))
    assert parsed["name"].numpy().decode() == VALUES["name"]
    for name in ("image", "matrix"):
        assert parsed[name].numpy().dtype == VALUES[name].dtype
        np.testing.assert_array_equal(parsed[name], VALUES[name])


def test_parsing_works_in_a_dataset_with_static_shapes() -> None:
    dataset = tf.data.Dataset.from_tensors(SPEC.serialize(VALUES)).map(SPEC.parse)
    assert dataset.element_spec["image"].shape.as_list() == [None, 3]
    np.testing.assert_array_equal(next(iter(dataset))["image"], VALUES["image"])


def test_views_and_empty_arrays_are_stored_in_order() -> None:
    turned = VALUES | {"image": np.arange(12, dtype=np.int16).reshape(3, 4).T}
    np.testing.assert_array_equal(SPEC.parse(SPEC.serialize(turned))["image"], turned["image"])
    empty = VALUES | {"image": np.zeros((0, 3), np.int16)}
    assert SPEC.parse(SPEC.serialize(empty))["image"].shape == (0, 3)


def test_equal_values_give_equal_bytes() -> None:
    assert SPEC.serialize(VALUES) == SPEC.serialize(dict(reversed(VALUES.items())))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": VALUES["image"].astype(np.int32)}, "feature image: expected int16 of shape .* found int32"),
        (
            {"image": VALUES["image"].T},
            r"feature image: expected int16 of shape \(None, 3\), found int16 of shape \(3, 4\)",
        ),
        ({"extra": 1}, "feature extra: unknown, expected only name, image, matrix"),
        ({"name": 7}, "feature name: expected a text, found int"),
    ],
)
def test_wrong_values_are_named(change: dict, message: str) -> None:
    with pytest.raises(RecordError, match=message):
        SPEC.serialize(VALUES | change)


def test_missing_values_are_named() -> None:
    with pytest.raises(RecordError, match="^feature matrix: expected a value, found none$"):
        SPEC.serialize({name: value for name, value in VALUES.items() if name != "matrix"})
    smaller = Spec(SPEC.features[:2]).serialize({name: VALUES[name] for name in ("name", "image")})
    with pytest.raises(tf.errors.InvalidArgumentError, match="matrix"):
        SPEC.parse(smaller)


def test_another_dtype_in_the_record_is_an_error() -> None:
    other = Spec((TextFeature("name"), TensorFeature("image", "uint16", (None, 3)), SPEC.features[2]))
    record = other.serialize(VALUES | {"image": VALUES["image"].astype(np.uint16)})
    with pytest.raises(tf.errors.InvalidArgumentError, match="(?s)feature image: expected int16 .* found.*uint16"):
        SPEC.parse(record)


def changed(**features: object) -> bytes:
    """Returns the record of VALUES with stored features changed: bytes, lists of ints or floats; None removes one."""
    example = tf.train.Example.FromString(SPEC.serialize(VALUES))
    stored = example.features.feature
    for name, value in features.items():
        name = name.replace("__", "/")
        if name in stored:
            del stored[name]
        if isinstance(value, bytes):
            stored[name].bytes_list.value.append(value)
        elif isinstance(value, list) and value and isinstance(value[0], float):
            stored[name].float_list.value.extend(value)
        elif isinstance(value, list):
            stored[name].int64_list.value.extend(value)
    return example.SerializeToString()


def test_reading_gives_back_every_value_without_a_copy() -> None:
    values = SPEC.read(SPEC.serialize(VALUES))
    assert list(values) == list(VALUES) and values["name"] == VALUES["name"]
    for name in ("image", "matrix"):
        array = values[name]
        assert isinstance(array, np.ndarray) and array.dtype == VALUES[name].dtype
        assert not array.flags.writeable and not array.flags.owndata
        np.testing.assert_array_equal(array, VALUES[name])
    empty = SPEC.read(SPEC.serialize(VALUES | {"image": np.zeros((0, 3), np.int16)}))["image"]
    assert isinstance(empty, np.ndarray) and empty.shape == (0, 3)


def test_reading_and_parsing_agree() -> None:
    dtypes, shapes = ("bool", "uint8", "int64", "float16", "float32", "complex64"), ((), (2, 3), (0, 5))
    for dtype, shape in itertools.product(dtypes, shapes):
        spec = Spec((TensorFeature("x", dtype, shape),))
        value = (np.arange(np.prod(shape)).reshape(shape) - 2).astype(dtype)
        record = spec.serialize({"x": value})
        for array in (spec.read(record)["x"], spec.parse(record)["x"].numpy()):
            assert array.dtype == value.dtype and array.shape == shape
            np.testing.assert_array_equal(array, value)


IN_GRAPH = "feature image: expected int16 of shape (None 3) and bytes that fill it found"
FITTING = VALUES["image"].tobytes()
MISFITS = [
    ({"image": None}, "feature image: expected a value, found none", "image"),
    ({"image__shape": None}, "feature image/shape: expected a value, found none", "image/shape"),
    ({"image__dtype": None}, "feature image/dtype: expected a value, found none", "image/dtype"),
    ({"name": None}, "feature name: expected a value, found none", "name"),
    ({"image": [1, 2]}, "feature image: expected a bytes_list, found int64_list", "image"),
    ({"image__shape": [4.0, 3.0]}, "feature image/shape: expected a int64_list, found float_list", "image/shape"),
    ({"name": [1]}, "feature name: expected a bytes_list, found int64_list", "name"),
    (
        {"image__dtype": b"uint16"},
        "feature image: expected int16 of shape (None, 3), found uint16 of shape (4, 3)",
        f"{IN_GRAPH} uint16 4 3 24",
    ),
    (
        {"image__shape": [3, 4]},
        "feature image: expected int16 of shape (None, 3), found int16 of shape (3, 4)",
        f"{IN_GRAPH} int16 3 4 24",
    ),
    (
        {"image__shape": [12]},
        "feature image: expected int16 of shape (None, 3), found int16 of shape (12,)",
        "image/shape",
    ),
    (
        {"image__shape": [-1, 3]},
        "feature image: expected sizes of at least 0, found shape (-1, 3)",
        f"{IN_GRAPH} int16 -1 3 24",
    ),
    (
        {"image__shape": [5, 3]},
        "feature image: expected 30 bytes of int16 of shape (5, 3), found 24",
        f"{IN_GRAPH} int16 5 3 24",
    ),
    (
        {"image": FITTING[:-1]},
        "feature image: expected 24 bytes of int16 of shape (4, 3), found 23",
        f"{IN_GRAPH} int16 4 3 23",
    ),
]


@pytest.mark.parametrize(("changes", "message", "in_graph"), MISFITS, ids=[str(misfit[0])[:40] for misfit in MISFITS])
def test_what_does_not_fit_is_named_by_reading_and_parsing(changes: dict, message: str, in_graph: str) -> None:
    record = changed(**changes)
    with pytest.raises(RecordError) as caught:
        SPEC.read(record)
    assert str(caught.value) == message
    dataset = tf.data.Dataset.from_tensors(record).map(SPEC.parse)
    for parse in (lambda: SPEC.parse(record), lambda: next(iter(dataset))):
        with pytest.raises(tf.errors.InvalidArgumentError) as wrong:
            parse()
        # Eager and graph assertions quote their data differently.
        words = re.sub(r"[\[\]',\s]+", " ", wrong.value.message.replace(" b'", " ").replace("\nb'", " "))
        assert in_graph in words


def test_only_reading_sees_unknown_features() -> None:
    record = changed(extra=b"x")
    with pytest.raises(RecordError, match=r"^feature extra: unknown, expected only name, image, image/shape, .*$"):
        SPEC.read(record)
    assert SPEC.parse(record)["name"].numpy().decode() == VALUES["name"]


def test_only_reading_sees_texts_of_another_encoding() -> None:
    with pytest.raises(RecordError, match=r"^feature name: expected a text in UTF-8, found b'\\xff\\xfe'$"):
        SPEC.read(changed(name=b"\xff\xfe"))


@pytest.mark.parametrize("record", [b"no example", SPEC.serialize(VALUES)[:-1], b"\x10\x01"])
def test_other_bytes_are_no_example(record: bytes) -> None:
    with pytest.raises(RecordError, match="^expected a tf.train.Example, found "):
        SPEC.read(record)


def test_several_values_are_one_too_many() -> None:
    example = tf.train.Example.FromString(SPEC.serialize(VALUES))
    example.features.feature["name"].bytes_list.value.append(b"second")
    with pytest.raises(RecordError, match="^feature name: expected 1 value, found 2$"):
        SPEC.read(example.SerializeToString())
