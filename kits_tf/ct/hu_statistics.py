"""Hounsfield units of a part of a scan, in a few numbers."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_LOWEST, _VALUES = -32768, 65536
# Values counted at a time: NumPy makes int64 of them, 4 MB, which stay in the processor's cache.
_SLAB = 1 << 19


@dataclass(frozen=True)
class HuStatistics:
    """Of voxels of a scan, in HU.

    Attributes:
        voxels: how many.
        mean: of them.
        std: standard deviation, of all of them rather than of a sample.
        lowest: the smallest.
        percentile_0_5: the value that 0.5 % lie at or below.
        median: the value that half lie at or below.
        percentile_99_5: the value that 99.5 % lie at or below.
        highest: the largest.
    """

    voxels: int
    mean: float
    std: float
    lowest: int
    percentile_0_5: int
    median: int
    percentile_99_5: int
    highest: int


def hu_counts(hu: NDArray[np.int16], above: int = _LOWEST - 1) -> NDArray[np.int64]:
    """Returns how often each int16 value above `above` occurs, (65536,) from -32768 on; `hu` has any shape."""
    counts = np.zeros(_VALUES, np.int64)
    flat = hu.reshape(-1).view(np.uint16)
    for start in range(0, len(flat), _SLAB):
        counts += np.bincount(flat[start : start + _SLAB], minlength=_VALUES)
    counts = np.roll(counts, -_LOWEST)  # as unsigned numbers, negative values come last
    counts[: above - _LOWEST + 1] = 0
    return counts


def hu_statistics(hu: NDArray[np.int16], above: int = _LOWEST - 1) -> HuStatistics | None:
    """Returns the statistics of int16 HU above `above`, of any shape; None of nothing. Exact: every value counts."""
    counts = hu_counts(hu, above)
    present = np.flatnonzero(counts)
    if len(present) == 0:
        return None
    counts, values = counts[present], present + _LOWEST
    total = int(counts.sum())
    mean = float((counts * values).sum() / total)
    variance = float((counts * (values - mean) ** 2).sum() / total)
    reached = np.cumsum(counts)
    low, median, high = (int(values[np.searchsorted(reached, share * total)]) for share in (0.005, 0.5, 0.995))
    return HuStatistics(total, mean, variance**0.5, int(values[0]), low, median, high, int(values[-1]))


def pooled_mean_std(parts: Iterable[HuStatistics]) -> tuple[float, float]:
    """Returns mean and standard deviation of all parts' voxels together; (0, 0) of none."""
    found = list(parts)
    total = sum(part.voxels for part in found)
    if total == 0:
        return 0.0, 0.0
    mean = sum(part.voxels * part.mean for part in found) / total
    variance = sum(part.voxels * (part.std**2 + (part.mean - mean) ** 2) for part in found) / total
    return mean, variance**0.5
