"""Several losses as one."""

from collections.abc import Sequence

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("kits_tf")
class Sum(keras.losses.Loss):
    """The sum of losses, each reduced by itself.

    Args:
        losses: two or more losses.
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
