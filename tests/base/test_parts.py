import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kits_tf.base.errors import InputError
from kits_tf.base.parts import SUMMARY, WHOLE, Part, parse_part


@given(st.lists(st.integers(0, 50), max_size=40), st.integers(1, 7))
def test_every_item_is_in_one_part_and_parts_are_alike(sizes: list[int], count: int) -> None:
    parts = [Part(number=number, count=count).items(sizes) for number in range(1, count + 1)]
    assert sorted(itertools.chain(*parts)) == list(range(len(sizes)))
    loads = [sum(sizes[index] for index in items) for items in parts]
    best = max(sum(sizes) / count, max(sizes, default=0))  # no division has a smaller largest part
    assert max(loads) <= 2 * best and max(loads) - min(loads) <= max(sizes, default=0)


def test_parts_by_hand() -> None:
    sizes = [7, 2, 9, 4, 4]  # 9 + 4 and 7 + 4 + 2
    assert [Part(number=number, count=2).items(sizes) for number in (1, 2)] == [[2, 4], [0, 1, 3]]
    assert [Part(number=number, count=3).items([0] * 7) for number in (1, 2, 3)] == [[0, 3, 6], [1, 4], [2, 5]]
    assert WHOLE.items([3, 1]) == [0, 1] and SUMMARY.items([3, 1]) == []


def test_what_a_flag_and_an_engine_name() -> None:
    assert parse_part("") == WHOLE and parse_part("summary") == SUMMARY
    assert parse_part("3/16") == Part(number=3, count=16)
    slurm = {"SLURM_ARRAY_TASK_ID": "7", "SLURM_ARRAY_TASK_COUNT": "4", "SLURM_ARRAY_TASK_MIN": "5"}
    assert parse_part("slurm", slurm) == Part(number=3, count=4)
    assert parse_part("kubernetes", {"JOB_COMPLETION_INDEX": "0", "JOB_COMPLETIONS": "9"}) == Part(number=1, count=9)
    assert [str(part) for part in (WHOLE, SUMMARY, Part(number=3, count=16))] == ["1/1", "summary", "3/16"]


@pytest.mark.parametrize(
    ("text", "environment", "message"),
    [
        ("0/4", {}, "expected a part from 1/4 to 4/4, got 0/4"),
        ("5/4", {}, "expected a part from 1/4 to 4/4, got 5/4"),
        ("3", {}, "expected I/N, slurm, kubernetes or summary, got 3"),
        ("-1/4", {}, "expected I/N, slurm"),
        ("slurm", {}, "expected the environment of a SLURM array, with a number in SLURM_ARRAY_TASK_ID, found none"),
        (
            "kubernetes",
            {"JOB_COMPLETION_INDEX": "1"},
            "of an indexed job, with a number in JOB_COMPLETIONS, found none",
        ),
        (
            "slurm",  # --array=1-9:4
            {"SLURM_ARRAY_TASK_ID": "9", "SLURM_ARRAY_TASK_COUNT": "3", "SLURM_ARRAY_TASK_MIN": "1"},
            "expected tasks numbered one after the other, 1 to 3, found 9",
        ),
    ],
)
def test_what_is_no_part(text: str, environment: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=f"^--part.*{message}"):
        parse_part(text, environment)
