"""Overlap of each class, with weights of false positives and false negatives; the general form of soft Dice."""

from collections.abc import Sequence

import keras
import tensorflow as tf
from keras import ops

from kits_tf.config import LossSettings
from kits_tf.config.choices import LOSSES

# Voxels added to the denominator; that of Dice, as MONAI and nnU-Net write it, is twice as large.
_SMOOTH = 5e-6


@keras.saving.register_keras_serializable("kits_tf")
class Tversky(keras.losses.Loss):
    """Mean over classes of 1 - TP / (TP + alpha FP + beta FN), with true positives sum(p y) etc. over voxels.

    alpha = beta = 1/2 is soft Dice: Milletari et al. 2016, "V-Net", 3DV, there squared. Salehi et al. 2017, "Tversky
    loss function for image segmentation", MLMI, weigh false negatives more.

    A class that has no voxel in an example (or the batch) does not count there: its overlap is 0 however little is
    predicted of it; false positives cost those classes that are there. Where no class counts the loss is 0.

    Args:
        alpha: weight of false positives.
        beta: weight of false negatives.
        over: "example" or "batch": the voxels of a sum; a batch is that of all replicas.
        background: whether class 0 counts.
        squared: whether sum(p) is sum(p ** 2); sum(p y) stays.
        absent: whether a class without voxels counts too: its overlap is 5e-6 / (5e-6 + alpha FP).
    """

    def __init__(
        self,
        alpha: float = 0.5,
        beta: float = 0.5,
        over: str = "batch",
        background: bool = False,
        squared: bool = False,
        absent: bool = False,
        name: str = "tversky",
        **kwargs: object,
    ) -> None:
        super().__init__(name=name, **kwargs)
        if over not in ("example", "batch"):
            raise ValueError(f"over: expected example or batch, got {over}")
        self.alpha = alpha
        self.beta = beta
        self.over = over
        self.background = background
        self.squared = squared
        self.absent = absent

    def call(self, y_true: keras.KerasTensor, y_pred: keras.KerasTensor) -> keras.KerasTensor:
        """Returns the loss of each example, or one for the batch."""
        both, predicted, truth = self.sums(y_true, y_pred)
        wrong = self.alpha * (predicted - both) + self.beta * (truth - both)
        missed = wrong / (both + wrong + _SMOOTH)
        present = ops.cast((truth > 0) | self.absent, "float32")
        return ops.sum(present * missed, axis=-1) / ops.maximum(ops.sum(present, axis=-1), 1)

    def sums(self, labels: keras.KerasTensor, logits: keras.KerasTensor) -> list[keras.KerasTensor]:
        """Returns the sums of p y, p (or p ** 2) and y, each (examples or 1, classes); p = softmax(logits)."""
        p = ops.softmax(ops.cast(logits, "float32"), axis=-1)
        truth = ops.one_hot(labels, logits.shape[-1])
        axes = (1, 2, 3) if self.over == "example" else (0, 1, 2, 3)
        sums = [ops.sum(values, axis=axes) for values in (p * truth, p**2 if self.squared else p, truth)]
        if self.over == "batch":
            context = tf.distribute.get_replica_context()
            if context is not None and context.num_replicas_in_sync > 1:
                sums = context.all_reduce(tf.distribute.ReduceOp.SUM, sums)
            sums = [part[None] for part in sums]
        return sums if self.background else [part[:, 1:] for part in sums]

    def get_config(self) -> dict:
        return super().get_config() | {
            "alpha": self.alpha,
            "beta": self.beta,
            "over": self.over,
            "background": self.background,
            "squared": self.squared,
            "absent": self.absent,
        }


@LOSSES.register("tversky")
def make(settings: LossSettings, class_weights: Sequence[float]) -> Tversky:
    """Returns the loss; it has no use for class weights."""
    return make_overlap(settings, settings.tversky_alpha, settings.tversky_beta)


def make_overlap(settings: LossSettings, alpha: float, beta: float) -> Tversky:
    """Returns a loss of sums as the settings describe these.

    Args:
        settings: settings of the loss.
        alpha: weight of false positives.
        beta: weight of false negatives.
    """
    return Tversky(
        alpha,
        beta,
        over=settings.overlap_over,
        background=settings.overlap_background,
        squared=settings.overlap_squared,
        absent=settings.overlap_absent,
    )
