from dataclasses import dataclass
from pathlib import Path

import pytest

from kits_tf.base.errors import InputError
from kits_tf.base.results import Done, Results, do_and_keep, stamp


@dataclass(frozen=True)
class Sum:
    value: int
    parts: tuple[int, ...]


def add(first: int, second: int, earlier: Sum | None) -> Sum:
    if first < 0:
        raise InputError(f"expected a number from 0 on, got {first}")
    result = Sum(first + second, (first, second))
    return earlier if earlier == result and earlier is not None else result


@pytest.fixture
def results(tmp_path: Path) -> Results[Sum]:
    return Results(tmp_path / "deep" / "results", Sum)


def test_an_item_is_done_once_and_again_if_its_input_changes(results: Results[Sum]) -> None:
    assert results.read("a") is None
    assert do_and_keep(add, results, "a", 1, 2) == Done(Sum(3, (1, 2)), is_new=True)
    assert results.read("a") == Sum(3, (1, 2))
    written = (results.folder / "a.json").stat().st_mtime_ns
    assert do_and_keep(add, results, "a", 1, 2) == Done(Sum(3, (1, 2)), is_new=False)
    assert (results.folder / "a.json").stat().st_mtime_ns == written
    assert do_and_keep(add, results, "a", 1, 4) == Done(Sum(5, (1, 4)), is_new=True)
    assert results.read("a") == Sum(5, (1, 4))


def test_the_reason_of_a_failure_is_kept_until_the_item_is_done(results: Results[Sum]) -> None:
    with pytest.raises(InputError, match="expected a number from 0 on, got -1"):
        do_and_keep(add, results, "a", -1, 2)
    kept = results.read("a")
    assert isinstance(kept, InputError) and str(kept) == "expected a number from 0 on, got -1"
    assert do_and_keep(add, results, "a", 1, 2).is_new and results.read("a") == Sum(3, (1, 2))


@pytest.mark.parametrize(
    "content", [b"", b'{"value": 3, "par', b'{"value": 3}', b"[]", b'{"value":3,"parts":[],"x":1}']
)
def test_a_file_that_is_no_result_is_done_again(content: bytes, results: Results[Sum]) -> None:
    results.folder.mkdir(parents=True)
    (results.folder / "a.json").write_bytes(content)
    assert results.read("a") is None
    assert do_and_keep(add, results, "a", 1, 2).is_new and results.read("a") == Sum(3, (1, 2))


def test_a_stamp_is_the_size_and_the_time_of_the_last_change(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"four")
    assert stamp(tmp_path / "a") == (4, (tmp_path / "a").stat().st_mtime_ns)
    with pytest.raises(OSError, match="No such file"):
        stamp(tmp_path / "b")
