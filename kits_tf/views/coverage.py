"""What an evaluation covers, in lines for terminal and page."""

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
