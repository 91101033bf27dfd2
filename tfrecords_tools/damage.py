"""Whether a file of records or a shard of a manifest is whole, and where it is not."""

import hashlib
from collections.abc import Callable
from pathlib import Path

from tfrecords_tools.errors import RecordError
from tfrecords_tools.framing import framed_size
from tfrecords_tools.index import Shard
from tfrecords_tools.read import find_damage, list_frames

# Large reads keep a disk busy, and the hash works beside other threads.
_BLOCK_BYTES = 1 << 22
_DIGITS_SHOWN = 12


def check_file(path: Path, on_bytes: Callable[[int], None]) -> list[str]:
    """Returns what is wrong with the records of a file, a line for each damaged one.

    Args:
        path: path of the file.
        on_bytes: function that receives the number of bytes read since the last call.
    """
    lines = []
    for size_or_error in find_damage(path):
        if isinstance(size_or_error, RecordError):
            lines.append(str(size_or_error))
        else:
            on_bytes(framed_size(size_or_error))
    return lines


def check_shard(path: Path, shard: Shard, on_bytes: Callable[[int], None]) -> list[str]:
    """Returns what is wrong with a shard, line by line; an empty list if it agrees with its manifest.

    Where size or SHA-256 differ, the checksums of its records say which one is damaged.

    Args:
        path: path of the shard.
        shard: entry of the shard in its manifest.
        on_bytes: function that receives the number of bytes read since the last call.
    """
    if not path.is_file():
        return [f"{path}: expected a shard of {shard.num_bytes} bytes, found no such file"]
    try:
        num_bytes = path.stat().st_size
        digest = _sha256(path, on_bytes) if num_bytes == shard.num_bytes else ""
        if digest == shard.sha256:
            return _check_count(path, shard)
    except RecordError as error:
        return [str(error)]
    except OSError as error:
        return [f"{path}: expected a readable file, found: {error.strerror}"]
    lines = [] if digest else [f"{path}: expected {shard.num_bytes} bytes, found {num_bytes}"]
    damaged = _damaged_records(path, shard)
    if digest and not damaged:
        digests = f"{shard.sha256[:_DIGITS_SHOWN]}..., found {digest[:_DIGITS_SHOWN]}..."
        damaged = [f"{path}: expected SHA-256 {digests}, and every record is whole: the manifest is wrong or another's"]
        damaged += _check_count(path, shard)
    return lines + damaged


def _check_count(path: Path, shard: Shard) -> list[str]:
    count, expected = len(list_frames(path)), len(shard.examples)
    return [] if count == expected else [f"{path}: expected {expected} records, found {count}"]


def _damaged_records(path: Path, shard: Shard) -> list[str]:
    lines = []
    for number, error in enumerate(find_damage(path)):
        if isinstance(error, RecordError):
            name = f" ({shard.examples[number]})" if number < len(shard.examples) else ""
            lines.append(f"{error}{name}")
    return lines


def _sha256(path: Path, on_bytes: Callable[[int], None]) -> str:
    digest, block = hashlib.sha256(), memoryview(bytearray(_BLOCK_BYTES))
    with open(path, "rb", buffering=0) as file:
        while count := file.readinto(block):
            digest.update(block[:count])
            on_bytes(count)
    return digest.hexdigest()
