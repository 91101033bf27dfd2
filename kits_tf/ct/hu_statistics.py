"""Hounsfield units of a part of a scan, in a few numbers."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_LOWEST, _VALUES = -32768, 65536
# Values counted at a time: NumPy makes int64 of them, 4 MB, which stay in the processor's cache.
_SLAB = 1 << 19


@dataclass(frozen=True, kw_only=True)
class HuStatistics:
    """Statistics of some voxels of a scan, in HU.

    Attributes:
        voxels: number of voxels.
        mean: mean of all of them.
        std: standard deviation of all of them, not the estimate from a sample.
        lowest: smallest value.
        percentile_0_5: value that 0.5 % lie at or below.
        median: value that half lie at or below.
        percentile_99_5: value that 99.5 % lie at or below.
        highest: largest value.
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
    """Returns the exact statistics of int16 HU above `above`, of any shape; None if there are none."""
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
    return HuStatistics(
        voxels=total,
        mean=mean,
        std=variance**0.5,
        lowest=int(values[0]),
        percentile_0_5=low,
        median=median,
        percentile_99_5=high,
        highest=int(values[-1]),
    )


def pooled_mean_std(parts: Iterable[HuStatistics]) -> tuple[float, float]:
    """Returns mean and standard deviation of all parts' voxels together; (0, 0) of none."""
    statistics = list(parts)
    total = sum(part.voxels for part in statistics)
    if total == 0:
        return 0.0, 0.0
    mean = sum(part.voxels * part.mean for part in statistics) / total
    variance = sum(part.voxels * (part.std**2 + (part.mean - mean) ** 2) for part in statistics) / total
    return mean, variance**0.5
