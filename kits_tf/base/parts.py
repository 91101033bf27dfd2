"""A part of a long work: a task of a SLURM array or of an indexed Kubernetes job, or the summary of all of them."""

import heapq
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kits_tf.base.errors import InputError

_PART = re.compile(r"([0-9]+)/([0-9]+)")
# Where engines say which task this is and of how many, and the number of the first: SLURM's arrays begin where the
# user says, and Kubernetes does not say how many there are.
_SLURM = ("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT", "SLURM_ARRAY_TASK_MIN")
_KUBERNETES = ("JOB_COMPLETION_INDEX", "JOB_COMPLETIONS")
CHOICES = "I/N, slurm, kubernetes or summary"


@dataclass(frozen=True, kw_only=True)
class Part:
    """One of several processes that do a work together, each its own items.

    Attributes:
        number: place among all parts, from 1 on; 0 for the summary, which does no item.
        count: number of all parts.
    """

    number: int
    count: int

    @property
    def is_summary(self) -> bool:
        """Whether it only reads what the others have done."""
        return self.number == 0

    def __str__(self) -> str:
        return "summary" if self.is_summary else f"{self.number}/{self.count}"

    def items(self, sizes: Sequence[int]) -> list[int]:
        """Returns the indices of its items, in order; parts have about the same size in all, and every item is in one.

        The largest item goes to the part that is smallest so far, and so on (Graham's longest processing time rule:
        no part is over 4/3 of the best possible).

        Args:
            sizes: size of each item, such as that of its file; the same for all parts.
        """
        if self.is_summary:
            return []
        parts = [(0, 0, number) for number in range(1, self.count + 1)]  # by size, then by how many items they have
        own = []
        for index in sorted(range(len(sizes)), key=lambda i: (-sizes[i], i)):
            size, num_items, number = heapq.heappop(parts)
            heapq.heappush(parts, (size + sizes[index], num_items + 1, number))
            if number == self.number:
                own.append(index)
        return sorted(own)


WHOLE = Part(number=1, count=1)
SUMMARY = Part(number=0, count=0)


def parse_part(text: str, environment: Mapping[str, str] = os.environ) -> Part:
    """Returns the part that a flag names; all of the work for "".

    Args:
        text: "I/N", from 1/N to N/N; "slurm" or "kubernetes", for what the engine's variables say; or "summary".
        environment: the variables.

    Raises:
        InputError: it is none of these, I is not in 1..N, or the engine's variables are not there.
    """
    if not text:
        return WHOLE
    if text == "summary":
        return SUMMARY
    if text in ("slurm", "kubernetes"):
        return _of_engine(text, environment)
    match = _PART.fullmatch(text)
    if not match:
        raise InputError(f"--part: expected {CHOICES}, got {text}")
    number, count = map(int, match.groups())
    if not 1 <= number <= count:
        raise InputError(f"--part: expected a part from 1/{count} to {count}/{count}, got {text}")
    return Part(number=number, count=count)


def _of_engine(name: str, environment: Mapping[str, str]) -> Part:
    names = _SLURM if name == "slurm" else _KUBERNETES
    kind = "of a SLURM array" if name == "slurm" else "of an indexed job"
    values = [environment.get(variable, "") for variable in names]
    for variable, value in zip(names, values, strict=True):
        if not value.isdecimal():
            what = value or "none"
            raise InputError(
                f"--part={name}: expected the environment {kind}, with a number in {variable}, found {what}"
            )
    index, count, first = [*map(int, values), 0][:3]
    if not 0 <= index - first < count:
        raise InputError(
            f"--part={name}: expected tasks numbered one after the other, {first} to {first + count - 1}, found {index}"
        )
    return Part(number=index - first + 1, count=count)
