"""Which example goes into which shard when records are packed anew."""

import os
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tfrecords_tools.errors import RecordError
from tfrecords_tools.framing import Frame, framed_size
from tfrecords_tools.index import MANIFEST_NAME, Index
from tfrecords_tools.read import list_frames

Places = dict[str, tuple[Path, Frame]]


@dataclass(frozen=True)
class ShardPlan:
    """A shard to write: its file name and its examples in order."""

    name: str
    examples: tuple[str, ...]


def find_examples(directory: str | os.PathLike, index: Index) -> Places:
    """Returns the shard and place of each example.

    Raises:
        RecordError: a shard is missing, cut or of another size or number of records, or two examples share a name.
    """
    places: Places = {}
    for name, shard in index.shards.items():
        path = Path(directory) / name
        located = list_frames(path)
        num_bytes = sum(framed_size(where.num_bytes) for where in located)
        if (num_bytes, len(located)) != (shard.num_bytes, len(shard.examples)):
            expected = f"{shard.num_bytes} bytes in {len(shard.examples)} records"
            raise RecordError(f"{path}: expected {expected}, found {num_bytes} in {len(located)}")
        for example, where in zip(shard.examples, located, strict=True):
            if example in places:
                raise RecordError(f"{path}: expected examples of different names, found {example} twice")
            places[example] = path, where
    return places


def check_splits(directory: str | os.PathLike, index: Index, examples: Collection[str]) -> None:
    """Checks that every example is in exactly one split.

    Raises:
        RecordError: one is in none or in several, or a split names one that is in no shard or cannot name files.
    """
    manifest = Path(directory) / MANIFEST_NAME
    counts = Counter(name for names in index.splits.values() for name in names)
    for split, names in index.splits.items():
        if Path(split).name != split:
            raise RecordError(f"{manifest}: expected splits whose names can begin a file's, found {split!r}")
        for name in names:
            if name not in examples:
                raise RecordError(f"{manifest}: expected the examples of {split} in shards, found {name} in none")
            if counts[name] > 1:
                raise RecordError(
                    f"{manifest}: expected every example in one split once, found {name} again in {split}"
                )
    for name in examples:
        if name not in counts:
            raise RecordError(f"{manifest}: expected every example in a split, found {name} in none")


def pack_splits(splits: Mapping[str, Sequence[str]], places: Places, max_bytes: int) -> list[ShardPlan]:
    """Returns the shards to write, of one split each, examples in its order.

    Args:
        splits: names of the examples of each split.
        places: shard and position of each example.
        max_bytes: largest size of a shard in bytes; a larger example gets one of its own.

    Returns:
        shards named as in "train-00000-of-00004.tfrecord".
    """
    plans = []
    for split, names in splits.items():
        groups = list(_fill(names, places, max_bytes))
        for number, group in enumerate(groups):
            plans.append(ShardPlan(f"{split}-{number:05d}-of-{len(groups):05d}.tfrecord", tuple(group)))
    return plans


def _fill(names: Sequence[str], places: Places, max_bytes: int) -> Iterator[list[str]]:
    """Yields runs of examples whose file is at most `max_bytes`; a larger example makes a run of its own."""
    run: list[str] = []
    run_bytes = 0
    for name in names:
        num_bytes = framed_size(places[name][1].num_bytes)
        if run and run_bytes + num_bytes > max_bytes:
            yield run
            run, run_bytes = [], 0
        run.append(name)
        run_bytes += num_bytes
    if run:
        yield run
