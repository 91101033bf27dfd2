"""The sum of cross-entropy and the mean distance of what is predicted from its class."""

from collections.abc import Sequence

import keras
from keras import ops

from kits_tf.config import LossSettings
from kits_tf.config.choices import LOSSES
from kits_tf.network.losses import cross_entropy
from kits_tf.network.losses._sum import Sum


@keras.saving.register_keras_serializable("kits_tf")
class Boundary(keras.losses.Loss):
    """Mean over voxels of sum_c d_c p_c over the foreground: probability costs the more the farther it is outside.

    d_c is the distance to class c, and within it minus the distance to what is not class c, less one; chessboard
    distance in voxels, at most `reach`, divided by it. A class that is absent does not count. Kervadec et al. 2019,
    "Boundary loss for highly unbalanced segmentation", MIDL, take Euclidean distances, and add it to another loss, as
    alone it may end in predicting nothing at all.

    Args:
        reach: distance in voxels, 1 or more, beyond which there is no difference; each adds a dilation.
    """

    def __init__(self, reach: int = 5, name: str = "boundary", **kwargs: object) -> None:
        super().__init__(name=name, **kwargs)
        self.reach = reach

    def call(self, y_true: keras.KerasTensor, y_pred: keras.KerasTensor) -> keras.KerasTensor:
        """Returns the loss of each voxel, (batch, z, y, x)."""
        p = ops.softmax(ops.cast(y_pred, "float32"), axis=-1)[..., 1:]
        return ops.sum(self.distance(y_true, y_pred.shape[-1]) * p, axis=-1) / self.reach

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


@LOSSES.register("boundary_cross_entropy")
def make(settings: LossSettings, class_weights: Sequence[float]) -> Sum:
    """Returns the loss.

    Args:
        settings: settings of both losses.
        class_weights: weights of the cross-entropy, background first.
    """
    return Sum([cross_entropy.make(settings, class_weights), Boundary(settings.boundary_reach)])
