"""Whether the voxels of a scan can be CT in Hounsfield units: one table of rules, for arrays and for graphs.

A CT of the abdomen has air or gas far below 0, fat a little below 0, soft tissue around 40, and few voxels as dense as
1000. What was normalized, windowed, shifted or measured by another device lacks one of these. The rules see shares of
voxels in a few ranges, so that single values, as padding, metal or a coin on the table, decide nothing. What they
cannot see: a shift by less than about 300, and a factor close to 1.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kits_tf.base.errors import InputError
from kits_tf.ct.hu_statistics import hu_counts

_LOWEST = -32768
# Every CT of a body has air, gas or lung below this; all of the body but the lungs is above.
AIR_BELOW_HU = -200
# Air alone, as in a part of a scan beside the body: no structure is in it, and none will be seen.
AIR_HU = (-1100, -900)
# Fat, and what shares a voxel with air, lies between air and this.
FAT_BELOW_HU = -20
# Soft tissue, blood with contrast agent and most of the spongy bone end here.
SOFT_BELOW_HU = 300
# Dense bone; with 1024 or 1000 added, fat and soft tissue come to lie here.
DENSE_HU = (800, 1400)

# Z-scores, SUV and labels span a few numbers, 8 bits 256, HU of a body thousands.
_RANGE_OF_SCORES, _HIGHEST_LABEL, _HIGHEST_OF_8_BITS, _SMALLEST_RANGE = 50, 20, 255, 200
# 0.7 % of the body in real scans is dense, 2 % in a small part around the spine. With 1024 added, the body of a child
# in a field of view of 70 cm is still a tenth of what is then above air.
_LARGEST_DENSE_SHARE = 0.05
# Of all that is above SOFT_BELOW_HU, dense bone is a fifth, half in a skull; with 1024 added, nearly all is the body.
_LARGEST_DENSE_SHARE_OF_HARD = 0.7
# A window leaves air at its lower end: as whole percents of all voxels. In a scan that was not cut off, a single voxel
# has the lowest value, or air has.
_SMALLEST_END_SHARE = 0.01
# A window that ends below this cuts lung and fat apart no more; -1000, -1024 and -500 do.
_HIGHEST_LOWER_END_HU = -500
# The body takes 10 % of the voxels of a wide field of view. With -1024 added twice only dense bone, 0.2 %, is left.
_SMALLEST_MATTER_SHARE = 0.02
# 85 % of the body at least in small parts of real scans, 95 % in whole ones.
_SMALLEST_SOFT_SHARE = 0.5
# 1.5 % of the body at least in small parts of real scans, 18 % in larger ones; none in other quantities than HU.
_SMALLEST_FAT_SHARE = 0.01


class IntensityError(InputError):
    """The voxels of a scan are no Hounsfield units; the reason is the sentence of `hounsfield_problem`."""

    def __init__(self, evidence: str) -> None:
        super().__init__(evidence, " (--accept_intensities segments it anyway)")


@dataclass(frozen=True, kw_only=True)
class Intensities:
    """What the rules see of a scan: numbers, or scalar tensors of a graph.

    "Matter" is all that is denser than air.

    Attributes:
        low: the lowest value.
        high: the highest value.
        low_share: share of all voxels that have the lowest value.
        matter_share: share of all voxels that are matter.
        fat: share of matter below FAT_BELOW_HU.
        soft: share of matter below SOFT_BELOW_HU, fat too.
        dense: share of matter in DENSE_HU.
    """

    low: Any
    high: Any
    low_share: Any
    matter_share: Any
    fat: Any
    soft: Any
    dense: Any


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A way in which voxels can be something else than Hounsfield units.

    Attributes:
        holds: function of `Intensities` that returns whether they are; of arithmetic that tensors have too.
        evidence: what is seen, with fields in braces that `_facts` gives.
        question: what it probably is.
    """

    holds: Callable[[Intensities], Any]
    evidence: str
    question: str


def is_air_alone(of: Intensities) -> Any:
    """Returns whether all voxels are air, for which no rule is made."""
    return (of.low >= AIR_HU[0]) & (of.high <= AIR_HU[1])


_RANGE = "values {low}..{high}"
# The first one that holds is the reason.
RULES = (
    Rule(holds=lambda of: of.low == of.high, evidence="{low} in every voxel", question="an empty scan?"),
    Rule(
        holds=lambda of: (of.low >= -1) & (of.high <= 1),
        evidence=_RANGE,
        question="normalized already, or a mask?",
    ),
    Rule(
        holds=lambda of: (of.low < 0) & (of.high - of.low < _RANGE_OF_SCORES),
        evidence=_RANGE,
        question="z-scores already?",
    ),
    Rule(
        holds=lambda of: (of.low >= 0) & (of.high <= _HIGHEST_LABEL),
        evidence=_RANGE,
        question="a mask, or PET?",
    ),
    Rule(
        holds=lambda of: (of.low >= 0) & (of.high <= _HIGHEST_OF_8_BITS),
        evidence=_RANGE,
        question="an 8-bit window?",
    ),
    Rule(
        holds=lambda of: (of.dense > _LARGEST_DENSE_SHARE) & (of.dense > _LARGEST_DENSE_SHARE_OF_HARD * (1 - of.soft)),
        evidence="air near {air} and the body near {body}",
        question="was an offset of 1024 or 1000 lost, or is it inverted, or no CT?",
    ),
    Rule(
        holds=lambda of: of.low >= 0,
        evidence="values {low}..{high}, none below 0",
        question="no CT, as an MR, or was an offset lost?",
    ),
    Rule(
        holds=lambda of: (of.low > _HIGHEST_LOWER_END_HU) & (of.low_share > _SMALLEST_END_SHARE),
        evidence="values {low}..{high}, {low_percent:.0f} % of the voxels at {low} and {high_percent:.0f} % at {high}",
        question="was a window applied?",
    ),
    Rule(
        holds=lambda of: of.high - of.low < _SMALLEST_RANGE,
        evidence=_RANGE,
        question="normalized already, or less than a body?",
    ),
    Rule(
        holds=lambda of: of.low > AIR_BELOW_HU,
        evidence=f"values {{low}}..{{high}}, no air below {AIR_BELOW_HU}",
        question="no CT, or cropped to less than a body?",
    ),
    Rule(
        holds=lambda of: of.matter_share < _SMALLEST_MATTER_SHARE,
        evidence=f"{{air_percent:.1f}} % of the voxels below {AIR_BELOW_HU}",
        question="was an offset of -1024 added twice, or is it air alone?",
    ),
    Rule(
        holds=lambda of: of.soft < _SMALLEST_SOFT_SHARE,
        evidence=f"{{hard_percent:.0f}} % of the body above {SOFT_BELOW_HU}",
        question="no CT, or was a number added?",
    ),
    Rule(
        holds=lambda of: of.fat < _SMALLEST_FAT_SHARE,
        evidence=f"{{fat_percent:.1f}} % of the body in {AIR_BELOW_HU}..{FAT_BELOW_HU}, where fat is",
        question="no CT, as an MR?",
    ),
)


def hounsfield_problem(hu: NDArray[np.int16]) -> str:
    """Returns why voxels cannot be CT in Hounsfield units, in one sentence; "" if they can.

    Args:
        hu: int16, of any shape.

    Raises:
        InputError: it has another type.
    """
    if hu.dtype != np.int16:
        raise InputError(f"expected Hounsfield units as int16, got {hu.dtype}")
    if hu.size == 0:
        return ""  # the graph says that it has no voxel
    counts = hu_counts(hu)
    below = np.concatenate([[0], np.cumsum(counts)])
    intensities = _intensities(counts, below)
    for rule in () if is_air_alone(intensities) else RULES:
        if rule.holds(intensities):
            evidence = rule.evidence.format(**_facts(intensities, counts))
            return f"expected Hounsfield units, got {evidence}: {rule.question}"
    return ""


def _intensities(counts: NDArray[np.int64], below: NDArray[np.int64]) -> Intensities:
    """Returns what the rules see, of how often each value from -32768 on occurs, and how often one below it."""

    def share(low: int, high: int, of: int) -> float:
        return int(below[high - _LOWEST] - below[low - _LOWEST]) / max(of, 1)

    present, total = np.flatnonzero(counts), int(below[-1])
    low, matter = int(present[0]), total - int(below[AIR_BELOW_HU - _LOWEST])
    return Intensities(
        low=low + _LOWEST,
        high=int(present[-1]) + _LOWEST,
        low_share=int(counts[low]) / total,
        matter_share=matter / total,
        fat=share(AIR_BELOW_HU, FAT_BELOW_HU, matter),
        soft=share(AIR_BELOW_HU, SOFT_BELOW_HU, matter),
        dense=share(*DENSE_HU, matter),
    )


def _facts(of: Intensities, counts: NDArray[np.int64]) -> dict[str, float]:
    """Returns the numbers for evidence; "air" and "body" are the most frequent values below and in DENSE_HU."""

    def most_frequent(low: int, high: int) -> int:
        return low + int(np.argmax(counts[low - _LOWEST : high - _LOWEST]))

    return {
        "low": of.low,
        "high": of.high,
        "low_percent": 100 * of.low_share,
        "high_percent": 100 * int(counts[of.high - _LOWEST]) / int(counts.sum()),
        "air": most_frequent(AIR_BELOW_HU, SOFT_BELOW_HU),
        "body": most_frequent(*DENSE_HU),
        "air_percent": 100 * (1 - of.matter_share),
        "hard_percent": 100 * (1 - of.soft),
        "fat_percent": 100 * of.fat,
    }
