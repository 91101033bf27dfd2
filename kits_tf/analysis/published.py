"""What others reached, and on which data: none of it is comparable with a number from other cases."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """Dice as published.

    Attributes:
        name: of whom.
        measured_on: the cases.
        kidney_dice: of kidney with tumor.
        tumor_dice: of tumor.
    """

    name: str
    measured_on: str
    kidney_dice: float
    tumor_dice: float


# The last two: Heller et al. 2021, "The state of the art in kidney and kidney tumor segmentation in contrast-enhanced
# CT imaging: results of the KiTS19 challenge", Medical Image Analysis 67:101821.
PUBLISHED = (
    Published("the method that base.flags reproduces", "KiTS19, its own validation cases", 0.91, 0.65),
    Published("winner of the challenge", "KiTS19, the 90 test cases", 0.974, 0.851),
    Published("two radiologists beside each other", "KiTS19", 0.983, 0.923),
)
