"""What others reached, and on which data: none of it is comparable with a number from other cases."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PublishedScores:
    """Dice as published.

    Attributes:
        name: method or persons that reached it.
        measured_on: cases that it was measured on.
        kidney_dice: Dice of kidney with tumor.
        tumor_dice: Dice of tumor.
    """

    name: str
    measured_on: str
    kidney_dice: float
    tumor_dice: float


# The last two: Heller et al. 2021, "The state of the art in kidney and kidney tumor segmentation in contrast-enhanced
# CT imaging: results of the KiTS19 challenge", Medical Image Analysis 67:101821.
PUBLISHED = (
    PublishedScores("the method that base.flags reproduces", "KiTS19, its own validation cases", 0.91, 0.65),
    PublishedScores("winner of the challenge", "KiTS19, the 90 test cases", 0.974, 0.851),
    PublishedScores("two radiologists beside each other", "KiTS19", 0.983, 0.923),
)
