"""What training minimizes."""

from collections.abc import Sequence

import keras
from keras import ops

# By name of --class_weighting: the power of the class frequency that the weight falls with.
WEIGHTING_POWERS = {"inverse": 1.0, "square_root": 0.5, "none": 0.0}


def class_weights(class_voxels: Sequence[int], weighting: str) -> tuple[float, ...]:
    """Returns weights w_c proportional to f_c ** -p, scaled so that their mean over all counted voxels is 1.

    Here f_c is the share of class c among the voxels, and p is 1 ("inverse", then w_c = 1 / (C f_c) with C classes),
    1/2 ("square_root") or 0 ("none"). A class without voxels has weight 0.

    Args:
        class_voxels: voxels of each class over the training cases.
        weighting: a key of WEIGHTING_POWERS.

    Raises:
        ValueError: there is no voxel.
    """
    total = sum(class_voxels)
    if total <= 0:
        raise ValueError(f"class_voxels: expected at least one voxel, received: {tuple(class_voxels)}")
    frequencies = [n / total for n in class_voxels]
    raw = [f ** -WEIGHTING_POWERS[weighting] if f else 0.0 for f in frequencies]
    mean = sum(f * w for f, w in zip(frequencies, raw, strict=True))
    return tuple(w / mean for w in raw)


@keras.saving.register_keras_serializable("kits_tf")
class WeightedCrossEntropy(keras.losses.Loss):
    """Mean over voxels of w_y * (1 - p_y) ** focal_gamma * -log(p_y), with p = softmax(logits) and y the true class.

    With focal_gamma above 0 voxels that are right already count less: Lin et al. 2017, "Focal loss for dense object
    detection", ICCV.

    The weights are constants, not normalized within a batch, so that replicas that each average over their own
    voxels add up to the loss of the whole batch.

    Args:
        class_weights: w by class, background first.
        focal_gamma: 0 or more.
    """

    def __init__(
        self,
        class_weights: Sequence[float],
        focal_gamma: float = 0.0,
        name: str = "weighted_cross_entropy",
        **kwargs: object,
    ) -> None:
        super().__init__(name=name, **kwargs)
        self.class_weights = tuple(float(w) for w in class_weights)
        self.focal_gamma = focal_gamma

    def call(self, y_true: keras.KerasTensor, y_pred: keras.KerasTensor) -> keras.KerasTensor:
        """Returns the loss of each voxel.

        Args:
            y_true: (batch, z, y, x) integer labels.
            y_pred: (batch, z, y, x, classes) logits.
        """
        log_likelihood = ops.log_softmax(ops.cast(y_pred, "float32"), axis=-1)
        weighted = ops.one_hot(y_true, len(self.class_weights)) * ops.array(self.class_weights, "float32")
        if self.focal_gamma:
            # Not 0: with gamma below 1 the power's slope there is infinite.
            wrong = ops.maximum(1 - ops.exp(log_likelihood), 1e-7)
            weighted *= wrong**self.focal_gamma
        return -ops.sum(weighted * log_likelihood, axis=-1)

    def get_config(self) -> dict:
        return {**super().get_config(), "class_weights": self.class_weights, "focal_gamma": self.focal_gamma}
