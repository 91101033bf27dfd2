import numpy as np
import pytest
import tensorflow as tf

from tfrecords_tools.describe import describe_bytes, describe_features, describe_numbers
from tfrecords_tools.show import main
from tfrecords_tools.spec import Spec, TensorFeature, TextFeature
from tfrecords_tools.write import write_records

SPEC = Spec((TextFeature("name"), TensorFeature("image", "int16", (None, 3)), TensorFeature("size", "float64", (2,))))
RECORD = SPEC.serialize(
    {"name": "Niere", "image": np.arange(-6, 6, dtype=np.int16).reshape(4, 3), "size": np.array([0.5, 2])}
)
LINES = [
    "image  int16    (4, 3)   -6..5, mean -0.5",
    'name   text     1 value  "Niere"',
    "size   float64  (2,)     0.5, 2",
]


BAD, HUGE = "inconsistent: expected", 1 << 62
QUOTED = '"0", "1", "2", "3", "4", "5", "6", "7"'


def features(**values: object):
    """Returns features of bytes, ints or floats, in lists; None is an empty feature."""
    example = tf.train.Example()
    for name, value in values.items():
        stored = example.features.feature[name.replace("__", "/")]
        if value is not None:
            kind = {bytes: stored.bytes_list, int: stored.int64_list, float: stored.float_list}[type(value[0])]
            kind.value.extend(value)
    return example.features.feature


def test_tensors_and_texts_are_a_line_each() -> None:
    assert describe_features(tf.train.Example.FromString(RECORD).features.feature) == LINES


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"x": [7]}, "x  int64  1 value  7"),
        ({"x": [7, -2]}, "x  int64  2 values  7, -2"),
        ({"x": list(range(9))}, "x  int64  9 values  0..8, mean 4"),
        ({"x": [0.5, 1e-9]}, "x  float32  2 values  0.5, 1e-09"),
        ({"x": [float("nan")] * 8 + [1.0, float("-inf")]}, "x  float32  10 values  1..1, mean 1, 8 NaN, 1 infinite"),
        ({"x": [b"one", "zwölf".encode()]}, 'x  text  2 values  "one", "zwölf"'),
        ({"x": [b"%d" % i for i in range(10)]}, f"x  text  10 values  {QUOTED}, ... 2 more"),
        ({"x": [b"\xff\xd8" + bytes(7)]}, "x  bytes  1 value  9 bytes ff d8 00 00 00 00 00 00 ..."),
        ({"x": [b"\xff"]}, "x  bytes  1 value  1 byte ff"),
        ({"x": None}, "x  empty"),
        ({"x\n": [1]}, '"x\\n"  int64  1 value  1'),
    ],
)  # fmt: skip
def test_foreign_features(values: dict, line: str) -> None:
    assert describe_features(features(**values)) == [line]


@pytest.mark.parametrize(
    ("content", "shape", "dtype", "line"),
    [
        (bytes(10), [2, 3], b"int16", f"int16  (2, 3)  {BAD} 12 bytes of int16 of shape (2, 3), found 10"),
        (bytes(6), [-1, 3], b"int16", f"int16  (-1, 3)  {BAD} sizes of at least 0, found shape (-1, 3)"),
        (bytes(8), [1], b"object", f"object  (1,)  {BAD} a number type, found dtype 'object'"),
        (bytes(8), [1], b"nonsense", f"nonsense  (1,)  {BAD} a number type, found dtype 'nonsense'"),
        (bytes(8), [HUGE], b"int32", f"int32  ({HUGE},)  {BAD} {4 * HUGE} bytes of int32 of shape ({HUGE},), found 8"),
        (b"\1\0\1", [3], b"bool", "bool  (3,)  1, 0, 1"),
        (b"", [0, 5], b"float32", "float32  (0, 5)  empty"),
    ],
)  # fmt: skip
def test_tensors_whose_parts_do_not_fit(content: bytes, shape: list[int], dtype: bytes, line: str) -> None:
    stored = features(x=[content], x__shape=shape, x__dtype=[dtype])
    assert describe_features(stored) == [f"x  {line}"]


def test_parts_of_another_convention_are_features_of_their_own() -> None:
    stored = features(image=[b"\xff"], image__shape=[3, 4])
    assert describe_features(stored) == [
        "image        bytes  1 value   1 byte ff",
        "image/shape  int64  2 values  3, 4",
    ]


def test_ranges_survive_nan_and_large_sums() -> None:
    assert describe_numbers(np.full(100, 60000, np.float16)) == "60000..60000, mean 60000"
    assert describe_numbers(np.full(9, np.nan)) == "9 NaN"
    assert describe_numbers(np.array([np.iinfo(np.int64).max, -1] * 5)) == "-1..9223372036854775807, mean 4.61169e+18"
    assert describe_numbers(np.arange(10) > 4) == "0..1, mean 0.5"


def test_long_texts_are_cut() -> None:
    assert describe_bytes(b"a" * 60) == f'"{"a" * 60}"'
    assert describe_bytes(b"a" * 61) == f'"{"a" * 60}"... 61 characters'


def test_a_file_is_shown_up_to_the_limit(tmp_path, capsys) -> None:
    path = tmp_path / "a.tfrecord"
    write_records(path, [RECORD] * 5)
    example = [f", {len(RECORD)} bytes", *[f"  {line}" for line in LINES]]
    for arguments, shown, last in [([], 3, ["2 more examples (--limit=5 shows all)"]), (["--limit=5"], 5, [])]:
        assert main([str(path), *arguments]) == 0
        expected = [f"{path}: {5 * (len(RECORD) + 16) / 1000:.1f} kB"]
        for number in range(shown):
            expected += [f"example {number}{example[0]}", *example[1:]]
        assert capsys.readouterr().out.splitlines() == expected + last


def test_other_records_and_files_are_told_and_the_rest_is_shown(tmp_path, capsys) -> None:
    write_records(tmp_path / "other", [b"no example", b"", RECORD])
    write_records(tmp_path / "empty", [])
    (tmp_path / "cut").write_bytes((tmp_path / "other").read_bytes()[:-1])
    assert main([str(tmp_path / name) for name in ("other", "cut", "gone", "empty")]) == 1
    out, err = capsys.readouterr()
    shown = [
        'record 0, 10 bytes: expected a tf.train.Example, found "no example"',
        "example 1, 0 bytes",
        "  no features",
    ]
    lines = out.splitlines()
    assert lines[1:4] == shown and lines[9:12] == shown
    assert lines[-2:] == [f"{tmp_path}/empty: 0 bytes", "no examples"]
    assert err.splitlines() == [
        f"error: {tmp_path}/cut: expected whole records, record 2 cannot be read: the file ends in the middle of it",
        f"error: {tmp_path}/gone: expected whole records, found no such file",
    ]
    assert main([str(tmp_path / "empty")]) == 0


def test_the_command_line_says_nothing_of_tensorflow(tmp_path, run_command) -> None:
    write_records(tmp_path / "a.tfrecord", [RECORD])
    shown = run_command("show", tmp_path / "a.tfrecord")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.splitlines()[2:] == [f"  {line}" for line in LINES]
