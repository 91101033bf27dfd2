"""Hounsfield units of a part of a scan, in a few numbers."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_LOWEST = -32768


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


def hu_statistics(hu: NDArray[np.int16]) -> HuStatistics | None:
    """Returns the statistics of int16 HU of any shape; None of nothing. Exact: from a count of every value."""
    if hu.size == 0:
        return None
    counts = np.bincount(hu.ravel().astype(np.int32) - _LOWEST)
    values = np.arange(len(counts)) + _LOWEST
    mean = float((counts * values).sum() / hu.size)
    variance = float((counts * (values - mean) ** 2).sum() / hu.size)
    reached = np.cumsum(counts)
    low, median, high = (int(values[np.searchsorted(reached, share * hu.size)]) for share in (0.005, 0.5, 0.995))
    return HuStatistics(hu.size, mean, variance**0.5, int(hu.min()), low, median, high, int(hu.max()))


def pooled_mean_std(parts: Iterable[HuStatistics]) -> tuple[float, float]:
    """Returns mean and standard deviation of all parts' voxels together; (0, 0) of none."""
    found = list(parts)
    total = sum(part.voxels for part in found)
    if total == 0:
        return 0.0, 0.0
    mean = sum(part.voxels * part.mean for part in found) / total
    variance = sum(part.voxels * (part.std**2 + (part.mean - mean) ** 2) for part in found) / total
    return mean, variance**0.5
