"""Class-weighted cross-entropy, the recipe of record; focal with --focal_gamma above 0."""

import math
from collections.abc import Sequence

import keras
from keras import ops

from kits_tf.config import LossSettings
from kits_tf.config.choices import LOSSES

# The least number that a power is taken of, whose slope at 0 may be infinite.
_TINY = 1e-7


@keras.saving.register_keras_serializable("kits_tf")
class WeightedCrossEntropy(keras.losses.Loss):
    """Mean over voxels of sum_c w_c q_c (1 - p_c) ** focal_gamma * -log(p_c).

    p = softmax(logits + logit_adjustment * log(w)). q is 1 for the true class and 0 for the others; with label
    smoothing s among C classes it is 1 - s + s / C and s / C: Szegedy et al. 2016, "Rethinking the Inception
    architecture", CVPR. With focal_gamma above 0 voxels that are right already count less: Lin et al. 2017, "Focal loss
    for dense object detection", ICCV.

    A weighted cross-entropy is not minimized by the shares p of the classes among voxels that look alike, but by w * p,
    scaled to a sum of 1: with inverse weights every doubtful voxel goes to the rarest class. With an adjustment of 1
    the softmax of the bare logits is p again, whatever the weights, and the largest logit is the likeliest class: Menon
    et al. 2021, "Long-tail learning via logit adjustment", ICLR.

    The weights are constants, not normalized within a batch, so that replicas that each average over their own
    voxels add up to the loss of the whole batch.

    Args:
        class_weights: w by class, background first.
        focal_gamma: exponent of the focal factor, 0 or more.
        label_smoothing: s, 0..1.
        logit_adjustment: factor of log(w), 0..1; a class of weight 0 is not adjusted.
    """

    def __init__(
        self,
        class_weights: Sequence[float],
        focal_gamma: float = 0.0,
        label_smoothing: float = 0.0,
        logit_adjustment: float = 0.0,
        name: str = "weighted_cross_entropy",
        **kwargs: object,
    ) -> None:
        super().__init__(name=name, **kwargs)
        self.class_weights = tuple(float(w) for w in class_weights)
        self.focal_gamma = focal_gamma
        self.label_smoothing = label_smoothing
        self.logit_adjustment = logit_adjustment

    def call(self, y_true: keras.KerasTensor, y_pred: keras.KerasTensor) -> keras.KerasTensor:
        """Returns the loss of each voxel, (batch, z, y, x)."""
        classes = len(self.class_weights)
        offsets = [self.logit_adjustment * math.log(w) if w > 0 else 0.0 for w in self.class_weights]
        log_likelihood = ops.log_softmax(ops.cast(y_pred, "float32") + ops.array(offsets, "float32"), axis=-1)
        truth = ops.one_hot(y_true, classes) * (1 - self.label_smoothing) + self.label_smoothing / classes
        weighted = truth * ops.array(self.class_weights, "float32")
        if self.focal_gamma:
            weighted *= ops.maximum(1 - ops.exp(log_likelihood), _TINY) ** self.focal_gamma
        return -ops.sum(weighted * log_likelihood, axis=-1)

    def get_config(self) -> dict:
        return super().get_config() | {
            "class_weights": self.class_weights,
            "focal_gamma": self.focal_gamma,
            "label_smoothing": self.label_smoothing,
            "logit_adjustment": self.logit_adjustment,
        }


@LOSSES.register("cross_entropy")
def make(settings: LossSettings, class_weights: Sequence[float]) -> WeightedCrossEntropy:
    """Returns the loss.

    Args:
        settings: settings of the loss.
        class_weights: weights of the cross-entropy, background first.
    """
    return WeightedCrossEntropy(
        class_weights, settings.focal_gamma, settings.label_smoothing, settings.logit_adjustment
    )
