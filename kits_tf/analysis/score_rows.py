"""What a score is: a row of SCORES, which `analysis.scores` fills, and modules outside the package too."""

import enum
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from kits_tf.analysis.mask_pair import MaskPair
from kits_tf.base.registry import Registry


class Topic(enum.IntEnum):
    """What a score is about, in the order of the report's tables."""

    CHALLENGE = enum.auto()
    CLASS = enum.auto()
    KITS23_DICE = enum.auto()
    SURFACE_DICE = enum.auto()
    HD95 = enum.auto()
    AVERAGE_DISTANCE = enum.auto()
    VOLUME = enum.auto()
    SIDES = enum.auto()
    LESIONS = enum.auto()
    OTHER = enum.auto()
    MLPERF = enum.auto()


# Topics that every case has a line of in the table on the terminal.
DICE_TOPICS = (Topic.CHALLENGE, Topic.CLASS)


def _is_always_there(_: MaskPair) -> bool:
    return True


@dataclass(frozen=True, kw_only=True)
class Score:
    """A score: a column of cases.csv, and with its mean an entry of summary.json.

    Attributes:
        key: name of the column.
        title: what the score is, in words, without the unit.
        value: function that computes the score of a pair of masks.
        applies: whether a pair of masks has the score; each evaluation has it for all its cases or for none.
        topic: place among the other scores.
        region: what the score is of, for its heading, as in "kidney + tumor"; "" for what is of no region.
        measure: name of the score without its region, for its heading, as in "surface Dice"; "" where `title` is
            the heading.
        structure: kidney or tumor, where the score has a color and a place in charts; else "".
        class_name: class of the scheme that the score is of; else "".
        unit: unit of the values, as in "mm"; "" for shares and counts.
        text_format: format of a value in the report.
        in_means: whether the report's table of means has a row of it.
        in_cases: whether the report's table of cases has a column of it.
        when_missing: value of a case without a predicted mask, whatever its truth is; None for that of an empty mask.
            It is the worst one or nan, so that what is missing never makes a mean better.
    """

    key: str
    title: str
    value: Callable[[MaskPair], float]
    applies: Callable[[MaskPair], bool] = _is_always_there
    topic: Topic = Topic.OTHER
    region: str = ""
    measure: str = ""
    structure: str = ""
    class_name: str = ""
    unit: str = ""
    text_format: str = "{:.3f}"
    in_means: bool = True
    in_cases: bool = True
    when_missing: float | None = None

    @property
    def difference_format(self) -> str:
        """Format of a difference of two values, with its sign."""
        return self.text_format.replace("{:.", "{:+.")

    def heading(self, keys: Collection[str]) -> str:
        """Returns the heading on terminal and page, as in "tumor HD95 (mm)"; without cysts it does not speak of them.

        Args:
            keys: keys of the scores that an evaluation has.
        """
        words = " ".join(filter(None, [self.region, self.measure])) if self.measure else self.title
        unit = f" ({self.unit})" if self.unit else ""
        return f"{words if has_cysts(keys) else words.replace(' + cyst', '')}{unit}"


# In the order of the columns of cases.csv.
SCORES: Registry[Score] = Registry("score")


def score(key: str, title: str, **row: Any) -> Callable[[Callable[[MaskPair], float]], Callable[[MaskPair], float]]:
    """Returns a decorator that adds a function of a `MaskPair` to SCORES; `row` has further fields of `Score`."""

    def add(value: Callable[[MaskPair], float]) -> Callable[[MaskPair], float]:
        SCORES.register(key)(Score(key=key, title=title, value=value, **row))
        return value

    return add


def scores_by_topic(*, in_means: bool = False, in_cases: bool = False) -> list[Score]:
    """Returns the scores that the report's table of means, or of cases, shows, in its order."""
    chosen = [row for row in SCORES.values() if (in_means and row.in_means) or (in_cases and row.in_cases)]
    return sorted(chosen, key=lambda row: row.topic)


def scores_of_structures(topic: Topic) -> dict[str, str]:
    """Returns the key of a topic's score of each structure that has one."""
    return {row.structure: row.key for row in SCORES.values() if row.topic == topic and row.structure}


def class_score(class_name: str) -> str:
    """Returns the key of the Dice of a class."""
    return f"dice_{class_name}"


def has_cysts(keys: Collection[str]) -> bool:
    """Returns whether an evaluation with these scores has labels of cysts."""
    return class_score("cyst") in keys
