"""The sum of Dice and cross-entropy."""

from collections.abc import Sequence

from kits_tf.config import LossSettings
from kits_tf.config.choices import LOSSES
from kits_tf.network.losses import cross_entropy, dice
from kits_tf.network.losses._sum import Sum


@LOSSES.register("dice_cross_entropy")
def make(settings: LossSettings, class_weights: Sequence[float]) -> Sum:
    """Returns the loss.

    Args:
        settings: settings of both losses.
        class_weights: weights of the cross-entropy, background first.
    """
    return Sum([cross_entropy.make(settings, class_weights), dice.make(settings, class_weights)])
