import numpy as np
import pytest
import tensorflow as tf

from tfrecords_tools.errors import RecordError
from tfrecords_tools.read import check_files
from tfrecords_tools.spec import Spec, TensorFeature, TextFeature
from tfrecords_tools.write import sha256, write_records

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
        ({"image": VALUES["image"].astype(np.int32)}, "feature image: expected int16 of shape .* got int32"),
        (
            {"image": VALUES["image"].T},
            r"feature image: expected int16 of shape \(None, 3\), got int16 of shape \(3, 4\)",
        ),
        ({"extra": 1}, "feature extra: unknown, expected only name, image, matrix"),
        ({"name": 7}, "feature name: expected a text, got int"),
    ],
)
def test_wrong_values_are_named(change: dict, message: str) -> None:
    with pytest.raises(RecordError, match=message):
        SPEC.serialize(VALUES | change)


def test_missing_values_are_named() -> None:
    with pytest.raises(RecordError, match="feature matrix: expected a value, got none"):
        SPEC.serialize({name: value for name, value in VALUES.items() if name != "matrix"})
    smaller = Spec(SPEC.features[:2]).serialize({name: VALUES[name] for name in ("name", "image")})
    with pytest.raises(tf.errors.InvalidArgumentError, match="matrix"):
        SPEC.parse(smaller)


def test_another_dtype_in_the_record_is_an_error() -> None:
    other = Spec((TextFeature("name"), TensorFeature("image", "uint16", (None, 3)), SPEC.features[2]))
    record = other.serialize(VALUES | {"image": VALUES["image"].astype(np.uint16)})
    with pytest.raises(tf.errors.InvalidArgumentError, match="feature image: expected dtype int16"):
        SPEC.parse(record)


def test_written_files_are_whole_and_described(tmp_path) -> None:
    written = write_records(tmp_path / "a.tfrecord", [b"one", b"two"])
    assert written.num_bytes == (tmp_path / "a.tfrecord").stat().st_size
    assert written.sha256 == sha256(tmp_path / "a.tfrecord")
    assert [r.numpy() for r in tf.data.TFRecordDataset(str(tmp_path / "a.tfrecord"))] == [b"one", b"two"]
    check_files([tmp_path / "a.tfrecord"])


def test_an_interrupted_write_leaves_nothing(tmp_path) -> None:
    def records():
        yield b"one"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_records(tmp_path / "a.tfrecord", records())
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_an_os_error(tmp_path) -> None:
    with pytest.raises(OSError, match=r"gone/a.tfrecord: cannot be written"):
        write_records(tmp_path / "gone" / "a.tfrecord", [b"one"])


def test_damaged_files_are_named(tmp_path) -> None:
    path = tmp_path / "a.tfrecord"
    write_records(path, [b"first record", b"second record"])
    content = path.read_bytes()
    path.write_bytes(content[:-3])
    with pytest.raises(RecordError, match=r"a.tfrecord: expected whole records, record 1 cannot be read"):
        check_files([path])
    flipped = bytearray(content)
    flipped[14] ^= 1
    path.write_bytes(flipped)
    with pytest.raises(RecordError, match=r"a.tfrecord: expected whole records, record 0 cannot be read"):
        check_files([path])
    with pytest.raises(RecordError, match=r"gone.tfrecord: expected whole records"):
        check_files([tmp_path / "gone.tfrecord"])
