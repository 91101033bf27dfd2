"""Scores of many cases in a few numbers: means with intervals, and the paired comparison of two evaluations."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import wilcoxon

from kits_tf.analysis.lesions import LesionCounts, count_lesions
from kits_tf.analysis.scores import SCORES, CaseScores, ScoreTable, Topic
from kits_tf.base.errors import InputError

BOOTSTRAP_DRAWS = 2000
_PERCENTILES = (2.5, 97.5)


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """One score over the cases of an evaluation; None stands for what JSON has no number for.

    Attributes:
        mean: mean of the finite values.
        interval_95: bootstrap 95 % interval of that mean over cases.
        median: median of the values that exist, infinite ones among them.
        left_out: number of cases whose value is not finite, which the mean leaves out.
    """

    mean: float | None
    interval_95: tuple[float | None, float | None]
    median: float | None
    left_out: int

    @property
    def median_or_inf(self) -> float | None:
        """The median; inf where a mean of finite values exists and the median does not: most cases are infinite."""
        return np.inf if self.median is None and self.mean is not None else self.median


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """Which cases an evaluation covers, and what the labels of its masks were read as.

    Attributes:
        labels: line about the labels of the masks.
        missing: cases that were due and have no mask, scored 0.
        failed: cases with a mask or a scan that cannot be used, and masks that have no case, not scored.
        not_predicted: cases of the data set without a mask, which were not due, not scored.
        warnings: sentences that whoever reads the scores must know.
    """

    labels: str = ""
    missing: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    not_predicted: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Scores over the cases of an evaluation: what summary.json holds.

    Attributes:
        num_cases: number of cases.
        scores: statistics of each score, by its key.
        lesions_by_size: tumors of all cases, a row for each size.
        inference: flags of inference that were not at their defaults; "" where masks were given.
        coverage: cases that are covered, and the labels of the masks.
    """

    num_cases: int
    scores: dict[str, Statistics]
    lesions_by_size: list[LesionCounts]
    inference: str = ""
    coverage: Coverage = Coverage()


def summarize(cases: Sequence[CaseScores], inference: str = "", coverage: Coverage = Coverage()) -> Summary:
    """Returns the summary of some cases, which all have the same scores.

    Raises:
        ValueError: there is no case.
    """
    if not cases:
        raise ValueError("expected at least one scored case, received: none")
    return Summary(
        num_cases=len(cases),
        scores={key: statistics_of([case.values[key] for case in cases]) for key in cases[0].values},
        lesions_by_size=count_lesions([lesion for case in cases for lesion in case.lesions]),
        inference=inference,
        coverage=coverage,
    )


def statistics_of(values: Sequence[float]) -> Statistics:
    """Returns the statistics of a score's values, one for each case, of which some may be inf or nan."""
    array = np.array(values, np.float64)
    finite, existing = array[np.isfinite(array)], array[~np.isnan(array)]
    mean, (low, high) = mean_with_interval(finite)
    return Statistics(
        mean=finite_or_none(mean),
        interval_95=(finite_or_none(low), finite_or_none(high)),
        median=finite_or_none(float(np.median(existing)) if existing.size else np.nan),
        left_out=len(array) - len(finite),
    )


def mean_with_interval(values: NDArray[np.float64]) -> tuple[float, tuple[float, float]]:
    """Returns the mean of values (n,), nan of none, and its percentile bootstrap 95 % interval (Efron 1979).

    A single value says nothing of an interval: its ends are nan.
    """
    if values.size < 2:
        return float(values.mean()) if values.size else np.nan, (np.nan, np.nan)
    draws = np.random.default_rng(0).integers(0, len(values), (BOOTSTRAP_DRAWS, len(values)))
    low, high = np.percentile(values[draws].mean(axis=1), _PERCENTILES)
    return float(values.mean()), (float(low), float(high))


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One score in two evaluations of the same cases: the second minus the first.

    Attributes:
        key: key of the score.
        num_cases: number of cases for which both values are finite.
        mean: mean of the differences; nan without cases.
        interval_95: bootstrap 95 % interval of that mean over cases; nan without cases.
        p_value: p of Wilcoxon's signed-rank test, two-sided; 1 where no case differs, nan without cases.
    """

    key: str
    num_cases: int
    mean: float
    interval_95: tuple[float, float]
    p_value: float


def difference(key: str, first: ArrayLike, second: ArrayLike) -> Difference:
    """Returns how a score of the same cases, in the same order, differs."""
    with np.errstate(invalid="ignore"):  # of two infinite distances there is no difference
        changes = np.array(second, np.float64) - np.array(first, np.float64)
    changes = changes[np.isfinite(changes)]
    mean, interval_95 = mean_with_interval(changes)
    return Difference(
        key=key, num_cases=len(changes), mean=mean, interval_95=interval_95, p_value=_signed_rank_p(changes)
    )


def differences(first: ScoreTable, second: ScoreTable, case_ids: Sequence[str]) -> list[Difference]:
    """Returns how the scores that two evaluations have differ, on cases that both have, one at least.

    MLPerf's score is none of them: it is taken on the training grid, which the two need not share.
    """
    keys = [key for key in first[case_ids[0]] if key in second[case_ids[0]] and not _is_of_training_grid(key)]
    return [
        difference(
            key,
            first=[first[case_id][key] for case_id in case_ids],
            second=[second[case_id][key] for case_id in case_ids],
        )
        for key in keys
    ]


def _is_of_training_grid(key: str) -> bool:
    return key in SCORES and SCORES[key].topic == Topic.MLPERF


def shared_cases(first: ScoreTable, second: ScoreTable, first_name: str, second_name: str) -> list[str]:
    """Returns the cases that two evaluations have, in the order of the first one.

    Raises:
        InputError: there is none; the message has the names of the evaluations.
    """
    shared = [case_id for case_id in first if case_id in second]
    if not shared:
        raise InputError(f"{second_name}: expected cases of {first_name}, found none of them")
    return shared


def _signed_rank_p(changes: NDArray[np.float64]) -> float:
    if not changes.size:
        return np.nan
    return float(wilcoxon(changes).pvalue) if changes.any() else 1.0


def finite_or_none(value: float) -> float | None:
    """Returns a number that JSON has, or None."""
    return value if np.isfinite(value) else None
