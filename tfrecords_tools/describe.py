"""One example in words: for each feature its kind, shape and values."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfrecords_tools.array_features import array_of, dtype_feature, one_bytes, shape_feature, values_of
from tfrecords_tools.errors import RecordError
from tfrecords_tools.progress import count_text

Row = tuple[str, str, str, str]
_FEW = 8
_TEXT_CHARACTERS = 60
_HEX_BYTES = 8


def describe_features(features: Mapping[str, Any]) -> list[str]:
    """Returns a line for each feature, in aligned columns: name, kind, shape, values.

    Args:
        features: the features of a tf.train.Example, by name.
    """
    rows = list(_rows(features))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def describe_numbers(values: NDArray) -> str:
    """Returns up to eight numbers in full, and more than eight as least, greatest and mean of the finite ones."""
    flat = values.ravel()
    if flat.dtype == bool:
        flat = flat.astype(np.uint8)
    if flat.size == 0:
        return "empty"
    if flat.size <= _FEW:
        return ", ".join(map(_number, flat))
    if flat.dtype.kind == "c":
        return f"{_number(flat[0])}, ..."
    finite = flat[np.isfinite(flat)] if flat.dtype.kind == "f" else flat
    parts = []
    if finite.size:
        mean = finite.mean(dtype=np.float64)  # a float16 sum would overflow
        parts = [f"{_number(finite.min())}..{_number(finite.max())}", f"mean {mean:.6g}"]
    if finite.size < flat.size:
        nans = np.count_nonzero(np.isnan(flat))
        counts = {"NaN": nans, "infinite": flat.size - finite.size - nans}
        parts += [f"{count} {word}" for word, count in counts.items() if count]
    return ", ".join(parts)


def describe_bytes(content: bytes) -> str:
    """Returns a text in quotes, shortened if it is long; for other bytes their number and the first of them."""
    text = as_text(content)
    if text is None:
        more = " ..." if len(content) > _HEX_BYTES else ""
        return f"{count_text(len(content), 'byte')} {content[:_HEX_BYTES].hex(' ')}{more}"
    if len(text) <= _TEXT_CHARACTERS:
        return json.dumps(text, ensure_ascii=False)
    return f"{json.dumps(text[:_TEXT_CHARACTERS], ensure_ascii=False)}... {len(text)} characters"


def as_text(content: bytes) -> str | None:
    """Returns the text that bytes hold; None if they are not UTF-8 or hold control characters."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return None
    return text if all(c.isprintable() or c in "\t\r\n" for c in text) else None


def _rows(features: Mapping[str, Any]) -> Iterator[Row]:
    tensors = {name for name in features if _is_tensor(features, name)}
    parts = {part(name) for name in tensors for part in (shape_feature, dtype_feature)}
    for name in sorted(set(features) - parts):
        shown = name if name.isprintable() else json.dumps(name)
        yield (shown, *(_tensor(features, name) if name in tensors else _list(features[name])))


def _is_tensor(features: Mapping[str, Any], name: str) -> bool:
    try:
        one_bytes(features, name)
        one_bytes(features, dtype_feature(name))
        values_of(features, shape_feature(name), "int64_list")
    except RecordError:
        return False
    return True


def _tensor(features: Mapping[str, Any], name: str) -> tuple[str, str, str]:
    dtype = one_bytes(features, dtype_feature(name)).decode(errors="replace")
    shape = tuple(values_of(features, shape_feature(name), "int64_list"))
    try:
        values = describe_numbers(array_of(one_bytes(features, name), shape, dtype))
    except RecordError as error:
        values = f"inconsistent: {error}"
    return (dtype if dtype.isprintable() else "?"), str(shape), values


def _list(feature: Any) -> tuple[str, str, str]:
    kind = feature.WhichOneof("kind")
    if kind is None:
        return "empty", "", ""
    values = getattr(feature, kind).value
    count = count_text(len(values), "value")
    if kind == "bytes_list":
        word = "text" if values and all(as_text(value) is not None for value in values) else "bytes"
        return word, count, _several(values)
    dtype = {"int64_list": np.int64, "float_list": np.float32}[kind]
    return np.dtype(dtype).name, count, describe_numbers(np.array(values, dtype))


def _several(values: Sequence[bytes]) -> str:
    if not values:
        return "empty"
    shown = ", ".join(describe_bytes(value) for value in values[:_FEW])
    return shown + (f", ... {len(values) - _FEW} more" if len(values) > _FEW else "")


def _number(value: Any) -> str:
    return str(value) if isinstance(value, np.integer) else f"{value:.6g}"
