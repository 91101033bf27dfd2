"""Soft Dice, or with --overlap_squared V-Net's."""

from collections.abc import Sequence

from kits_tf.config import LossSettings
from kits_tf.config.choices import LOSSES
from kits_tf.network.losses.tversky import Tversky, make_overlap


@LOSSES.register("dice")
def make(settings: LossSettings, class_weights: Sequence[float]) -> Tversky:
    """Returns the loss; it has no use for class weights."""
    return make_overlap(settings, 0.5, 0.5)
