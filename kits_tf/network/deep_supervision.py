"""A loss at several resolutions."""

from collections.abc import Sequence

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("kits_tf")
class DeepSupervision(keras.losses.Loss):
    """Mean of a loss at several resolutions with weights 1, 1/2, 1/4, ...: Lee et al. 2015, "Deeply-supervised nets",
    AISTATS, with nnU-Net's weights.

    Args:
        loss: loss at each resolution.
        strides: (z, y, x) voxels of the labels for one voxel of each logits, finest first.
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
