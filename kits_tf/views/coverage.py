"""What an evaluation covers, in lines for terminal and page."""

from collections.abc import Collection

from kits_tf.analysis.statistics import Coverage
from kits_tf.base.words import count_text, listed

# Names of cases in a line; summary.json has all.
_MOST_NAMES = 8


def coverage_lines(coverage: Coverage) -> list[str]:
    """Returns a line for each kind of case that the means do not rest on as on the others."""
    kinds = (
        ("without a mask, scored 0", coverage.missing),
        ("failed, in no mean", coverage.failed),
        ("of the data with a true mask and no predicted one, not scored", coverage.not_predicted),
    )
    return [
        f"{count_text(len(names), 'case')} {words}: {listed(names, _MOST_NAMES)}" for words, names in kinds if names
    ]


def alone_lines(first: Collection[str], second: Collection[str]) -> list[str]:
    """Returns a line for each of two evaluations that has cases which the other one lacks.

    Args:
        first: cases of the first evaluation.
        second: cases of the second one.
    """
    alone = {
        "first": [name for name in first if name not in second],
        "second": [name for name in second if name not in first],
    }
    return [
        f"{count_text(len(names), 'case')} of the {which} evaluation alone, not compared: {listed(names, _MOST_NAMES)}"
        for which, names in alone.items()
        if names
    ]
