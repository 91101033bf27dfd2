"""Scores of many cases in a few numbers: means with intervals, and the paired comparison of two evaluations."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import wilcoxon

from kits_tf.analysis.lesions import lesion_table
from kits_tf.analysis.scores import CaseScores

BOOTSTRAP_DRAWS = 2000
_PERCENTILES = (2.5, 97.5)


def summarize(cases: Sequence[CaseScores]) -> dict:
    """Returns the content of summary.json.

    Of each score its mean, with the bootstrap 95 % interval over cases, its median, and, as `left_out`, the cases whose
    score is not finite: an infinite distance counts for the median only, one that does not exist for neither. `dice`
    holds the classes; `lesions` a row for each size.

    Raises:
        ValueError: there is no case.
    """
    if not cases:
        raise ValueError("expected at least one scored case, received: none")
    table = {name: _statistics([case.values[name] for case in cases]) for name in cases[0].values}
    by_class = {name: table.pop(name) for name in list(table) if name.startswith("dice_")}
    return {
        "num_cases": len(cases),
        **table,
        "dice": {name.removeprefix("dice_"): value for name, value in by_class.items()},
        "lesions_by_size": lesion_table([lesion for case in cases for lesion in case.lesions]),
    }


def _statistics(values: Sequence[float]) -> dict:
    array = np.array(values, np.float64)
    finite, known = array[np.isfinite(array)], array[~np.isnan(array)]
    mean, interval = mean_with_interval(finite)
    median = float(np.median(known)) if known.size else np.nan
    return {
        "mean": _json(mean),
        "interval_95": [_json(bound) for bound in interval],
        "median": _json(median),
        "left_out": len(array) - len(finite),
    }


def mean_with_interval(values: NDArray[np.float64]) -> tuple[float, tuple[float, float]]:
    """Returns the mean of values (n,) and its percentile bootstrap 95 % interval (Efron 1979); nan of none."""
    if not values.size:
        return np.nan, (np.nan, np.nan)
    draws = np.random.default_rng(0).integers(0, len(values), (BOOTSTRAP_DRAWS, len(values)))
    low, high = np.percentile(values[draws].mean(axis=1), _PERCENTILES)
    return float(values.mean()), (float(low), float(high))


@dataclass(frozen=True)
class Difference:
    """Of one score between two evaluations of the same cases, the second minus the first.

    Attributes:
        name: of the score.
        num_cases: for which both have a finite one.
        mean: of the differences; nan without cases, and what follows too.
        interval_95: of that mean, by bootstrap over cases.
        p_value: of Wilcoxon's signed-rank test, two-sided; 1 where no case differs.
    """

    name: str
    num_cases: int
    mean: float
    interval_95: tuple[float, float]
    p_value: float


def difference(name: str, first: ArrayLike, second: ArrayLike) -> Difference:
    """Returns how a score of the same cases, in the same order, differs."""
    with np.errstate(invalid="ignore"):  # of two infinite distances there is no difference
        changes = np.array(second, np.float64) - np.array(first, np.float64)
    changes = changes[np.isfinite(changes)]
    return Difference(name, len(changes), *mean_with_interval(changes), _signed_rank_p(changes))


def _signed_rank_p(changes: NDArray[np.float64]) -> float:
    if not changes.size:
        return np.nan
    return float(wilcoxon(changes).pvalue) if changes.any() else 1.0


def _json(value: float) -> float | None:
    """Returns the value, None for what JSON has no number for."""
    return value if np.isfinite(value) else None
