"""What training minimizes, from labels (batch, z, y, x), integers, and logits (batch, z, y, x, classes).

Everything is summed in float32, whatever the logits' type.
"""

import math
from collections.abc import Sequence

import keras
import tensorflow as tf
from keras import ops

from kits_tf.config import LossSettings

# The least that a power with an infinite slope at 0 is taken of.
_TINY = 1e-7
# Voxels added to the denominator of Tversky losses; that of Dice, as MONAI and nnU-Net write it, is twice as large.
_SMOOTH = 5e-6


def make_loss(settings: LossSettings, class_weights: Sequence[float]) -> keras.losses.Loss:
    """Returns the loss that the settings name.

    Args:
        settings: of the loss.
        class_weights: of the cross-entropy, background first.
    """
    sums = (settings.overlap_over, settings.overlap_background, settings.overlap_squared)
    tversky_sums = (*sums, settings.overlap_absent)
    alpha, beta = settings.tversky_alpha, settings.tversky_beta
    cross_entropy = WeightedCrossEntropy(
        class_weights, settings.focal_gamma, settings.label_smoothing, settings.logit_adjustment
    )
    dice = Tversky(0.5, 0.5, 1.0, *tversky_sums)
    losses: dict[str, keras.losses.Loss] = {
        "cross_entropy": cross_entropy,
        "dice": dice,
        "dice_cross_entropy": Sum([cross_entropy, dice]),
        "generalized_dice": GeneralizedDice(*sums),
        "tversky": Tversky(alpha, beta, 1.0, *tversky_sums),
        "focal_tversky": Tversky(alpha, beta, settings.focal_tversky_exponent, *tversky_sums),
        "boundary_cross_entropy": Sum([cross_entropy, Boundary(settings.boundary_reach)]),
    }
    return losses[settings.loss]


@keras.saving.register_keras_serializable("kits_tf")
class WeightedCrossEntropy(keras.losses.Loss):
    """Mean over voxels of sum_c w_c q_c (1 - p_c) ** focal_gamma * -log(p_c).

    p = softmax(logits + logit_adjustment * log(w)). q is 1 for the true class and 0 for the others; with label
    smoothing s among C classes it is 1 - s + s / C and s / C: Szegedy et al. 2016, "Rethinking the Inception
    architecture", CVPR. With focal_gamma above 0 voxels that are right already count less: Lin et al. 2017, "Focal loss
    for dense object detection", ICCV.

    What minimizes a weighted cross-entropy is not the share of each class in what the network sees alike, but w times
    it: with inverse weights every doubtful voxel goes to the rarest class. With an adjustment of 1 the softmax of the
    bare logits is the shares again, whatever the weights, and the largest logit is the likeliest class: Menon et al.
    2021, "Long-tail learning via logit adjustment", ICLR.

    The weights are constants, not normalized within a batch, so that replicas that each average over their own
    voxels add up to the loss of the whole batch.

    Args:
        class_weights: w by class, background first.
        focal_gamma: 0 or more.
        label_smoothing: s, 0..1.
        logit_adjustment: 0..1; a class of weight 0 is not adjusted.
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


class _Overlap(keras.losses.Loss):
    """A loss of sums over voxels: of each example, or of the batch over all replicas.

    A class that has no voxel in an example (or the batch) does not count there: its overlap is 0 however little is
    found of it; false positives cost those classes that are there. Where no class counts the loss is 0. Tversky losses
    can count it.

    Args:
        over: "example" or "batch".
        background: whether class 0 counts.
        squared: whether sum(p) is sum(p ** 2); sum(p y) stays.
    """

    def __init__(self, over: str, background: bool, squared: bool, name: str, **kwargs: object) -> None:
        super().__init__(name=name, **kwargs)
        if over not in ("example", "batch"):
            raise ValueError(f"over: expected example or batch, received: {over}")
        self.over = over
        self.background = background
        self.squared = squared

    def sums(self, labels: keras.KerasTensor, logits: keras.KerasTensor) -> list[keras.KerasTensor]:
        """Returns the sums of p y, p (or p ** 2) and y, each (examples or 1, classes); p = softmax(logits)."""
        found = ops.softmax(ops.cast(logits, "float32"), axis=-1)
        truth = ops.one_hot(labels, logits.shape[-1])
        axes = (1, 2, 3) if self.over == "example" else (0, 1, 2, 3)
        sums = [ops.sum(values, axis=axes) for values in (found * truth, found**2 if self.squared else found, truth)]
        if self.over == "batch":
            context = tf.distribute.get_replica_context()
            if context is not None and context.num_replicas_in_sync > 1:
                sums = context.all_reduce(tf.distribute.ReduceOp.SUM, sums)
            sums = [part[None] for part in sums]
        return sums if self.background else [part[:, 1:] for part in sums]

    def get_config(self) -> dict:
        return super().get_config() | {"over": self.over, "background": self.background, "squared": self.squared}


@keras.saving.register_keras_serializable("kits_tf")
class Tversky(_Overlap):
    """Mean over classes of (1 - T) ** exponent with T = TP / (TP + alpha FP + beta FN), true positives sum(p y) etc.

    alpha = beta = 1/2 is soft Dice: Milletari et al. 2016, "V-Net", 3DV, there squared. Salehi et al. 2017, "Tversky
    loss function for image segmentation", MLMI, weigh false negatives more. An exponent below 1 has classes that are
    found badly count more: Abraham and Khan 2019, "A novel focal Tversky loss", ISBI, who write it 1 / gamma.

    Args:
        alpha: weight of false positives.
        beta: weight of false negatives.
        exponent: above 0.
        over: "example" or "batch", as for all losses of sums.
        background: likewise.
        squared: likewise.
        absent: whether a class without voxels counts too: T = 5e-6 / (5e-6 + alpha FP), next to 0 unless FP is too.
    """

    def __init__(
        self,
        alpha: float = 0.5,
        beta: float = 0.5,
        exponent: float = 1.0,
        over: str = "batch",
        background: bool = False,
        squared: bool = False,
        absent: bool = False,
        name: str = "tversky",
        **kwargs: object,
    ) -> None:
        super().__init__(over, background, squared, name, **kwargs)
        self.alpha = alpha
        self.beta = beta
        self.exponent = exponent
        self.absent = absent

    def call(self, y_true: keras.KerasTensor, y_pred: keras.KerasTensor) -> keras.KerasTensor:
        """Returns the loss of each example, or one for the batch."""
        both, found, truth = self.sums(y_true, y_pred)
        wrong = self.alpha * (found - both) + self.beta * (truth - both)
        missed = wrong / (both + wrong + _SMOOTH)
        if self.exponent != 1:
            missed = ops.maximum(missed, _TINY) ** self.exponent
        present = ops.cast((truth > 0) | self.absent, "float32")
        return ops.sum(present * missed, axis=-1) / ops.maximum(ops.sum(present, axis=-1), 1)

    def get_config(self) -> dict:
        return super().get_config() | {
            "alpha": self.alpha,
            "beta": self.beta,
            "exponent": self.exponent,
            "absent": self.absent,
        }


@keras.saving.register_keras_serializable("kits_tf")
class GeneralizedDice(_Overlap):
    """1 - 2 sum_c v_c sum(p y) / sum_c v_c sum(p + y), with v_c = 1 / (voxels of class c) ** 2.

    Sudre et al. 2017, "Generalised Dice overlap as a deep learning loss function for highly unbalanced segmentations",
    DLMIA.

    Args:
        over: "example" or "batch", as for all losses of sums.
        background: likewise.
        squared: likewise.
    """

    def __init__(
        self,
        over: str = "batch",
        background: bool = True,
        squared: bool = False,
        name: str = "generalized_dice",
        **kwargs: object,
    ) -> None:
        super().__init__(over, background, squared, name, **kwargs)

    def call(self, y_true: keras.KerasTensor, y_pred: keras.KerasTensor) -> keras.KerasTensor:
        """Returns the loss of each example, or one for the batch."""
        both, found, truth = self.sums(y_true, y_pred)
        volume_weights = ops.where(truth > 0, 1 / ops.maximum(truth, 1) ** 2, 0.0)
        total = ops.sum(volume_weights * (found + truth), axis=-1)
        missed = ops.sum(volume_weights * (found + truth - 2 * both), axis=-1)
        # Not the largest of total and a tiny number: all of it is tiny where classes are large.
        return ops.where(total > 0, missed / ops.where(total > 0, total, 1.0), 0.0)


@keras.saving.register_keras_serializable("kits_tf")
class Boundary(keras.losses.Loss):
    """Mean over voxels of sum_c d_c p_c over the foreground: probability costs the more the farther it is outside.

    d_c is the distance to class c, and within it minus the distance to what is not class c, less one; chessboard
    distance in voxels, at most `reach`, divided by it. A class that is absent does not count. Kervadec et al. 2019,
    "Boundary loss for highly unbalanced segmentation", MIDL, take Euclidean distances, and add it to another loss, as
    alone it may find nothing at all.

    Args:
        reach: voxels, 1 or more; so many dilations are made.
    """

    def __init__(self, reach: int = 5, name: str = "boundary", **kwargs: object) -> None:
        super().__init__(name=name, **kwargs)
        self.reach = reach

    def call(self, y_true: keras.KerasTensor, y_pred: keras.KerasTensor) -> keras.KerasTensor:
        """Returns the loss of each voxel, (batch, z, y, x)."""
        found = ops.softmax(ops.cast(y_pred, "float32"), axis=-1)[..., 1:]
        return ops.sum(self.distance(y_true, y_pred.shape[-1]) * found, axis=-1) / self.reach

    def distance(self, labels: keras.KerasTensor, classes: int) -> keras.KerasTensor:
        """Returns d_c in voxels, (batch, z, y, x, classes - 1) float32."""
        inside = ops.one_hot(labels, classes)[..., 1:]
        present = ops.max(inside, axis=(1, 2, 3), keepdims=True)
        outward, inward = self._steps_to(inside), self._steps_to(1 - inside)
        return present * (outward - ops.maximum(inward - 1, 0))

    def _steps_to(self, region: keras.KerasTensor) -> keras.KerasTensor:
        """Returns how many dilations each voxel is away from a region of zeros and ones, at most `reach`."""
        steps = 1 - region
        for _ in range(self.reach - 1):
            region = ops.max_pool(region, 3, strides=1, padding="same")
            steps += 1 - region
        return steps

    def get_config(self) -> dict:
        return super().get_config() | {"reach": self.reach}


@keras.saving.register_keras_serializable("kits_tf")
class Sum(keras.losses.Loss):
    """The sum of losses, each reduced by itself.

    Args:
        losses: two or more.
    """

    def __init__(self, losses: Sequence[keras.losses.Loss], name: str = "sum", **kwargs: object) -> None:
        super().__init__(name=name, **kwargs)
        self.losses = list(losses)

    def __call__(self, y_true: keras.KerasTensor, y_pred: keras.KerasTensor, sample_weight: None = None) -> tf.Tensor:
        """Returns the sum, a scalar."""
        return sum(loss(y_true, y_pred) for loss in self.losses)

    def get_config(self) -> dict:
        return super().get_config() | {"losses": [keras.losses.serialize(loss) for loss in self.losses]}

    @classmethod
    def from_config(cls, config: dict) -> "Sum":
        return cls(**config | {"losses": [keras.losses.deserialize(loss) for loss in config["losses"]]})


@keras.saving.register_keras_serializable("kits_tf")
class DeepSupervision(keras.losses.Loss):
    """Mean of a loss at several resolutions with weights 1, 1/2, 1/4, ...: Lee et al. 2015, "Deeply-supervised nets",
    AISTATS, with nnU-Net's weights.

    Args:
        loss: at each.
        strides: (z, y, x), voxels of the labels for one of each logits, finest first.
    """

    def __init__(
        self,
        loss: keras.losses.Loss,
        strides: Sequence[Sequence[int]],
        name: str = "deep_supervision",
        **kwargs: object,
    ) -> None:
        super().__init__(name=name, **kwargs)
        self.loss = loss
        self.strides = [tuple(stride) for stride in strides]

    def __call__(
        self, y_true: keras.KerasTensor, y_pred: Sequence[keras.KerasTensor], sample_weight: None = None
    ) -> tf.Tensor:
        """Returns the mean, a scalar; of the labels those count that are nearest to the logits' voxels."""
        weights = [0.5**i for i in range(len(self.strides))]
        parts = [
            weight * self.loss(y_true[:, z // 2 :: z, y // 2 :: y, x // 2 :: x], logits)
            for weight, (z, y, x), logits in zip(weights, self.strides, y_pred, strict=True)
        ]
        return sum(parts) / sum(weights)

    def get_config(self) -> dict:
        return super().get_config() | {"loss": keras.losses.serialize(self.loss), "strides": self.strides}

    @classmethod
    def from_config(cls, config: dict) -> "DeepSupervision":
        return cls(**config | {"loss": keras.losses.deserialize(config["loss"])})
