"""Keras' batch norm over volumes, by the kernel that TensorFlow has for images: same results, but faster."""

from typing import Any

import keras
import tensorflow as tf
from keras import layers


@keras.saving.register_keras_serializable(package="kits_tf")
class BatchNormalization3D(layers.BatchNormalization):
    """`keras.layers.BatchNormalization` over the last axis of volumes, in one operation rather than several.

    Statistics and weights are float32, as half-precision sums over a whole patch lose small values; volumes stay in
    the precision they come in. Synchronized replicas train with Keras' own operations.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "dtype": "float32", "autocast": False})

    def call(self, inputs: tf.Tensor, training: bool | None = None, mask: tf.Tensor | None = None) -> tf.Tensor:
        """Returns the normalized tensor (batch, z, y, x, channels), of the same type."""
        training = bool(training) and self.trainable
        if self.synchronized and training:
            return tf.cast(super().call(inputs, training=training, mask=mask), inputs.dtype)
        moving = (self.moving_mean, self.moving_variance)
        image = tf.reshape(inputs, [1, 1, -1, inputs.shape[-1]])
        normalized, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            image,
            tf.convert_to_tensor(self.gamma),
            tf.convert_to_tensor(self.beta),
            *([] if training else map(tf.convert_to_tensor, moving)),
            epsilon=self.epsilon,
            is_training=training,
        )
        if training:
            voxels = tf.cast(tf.shape(image)[2], tf.float32)
            # The kernel gives the unbiased estimate; Keras, and so synchronized replicas, keep the variance itself.
            for variable, value in zip(moving, (mean, variance * (voxels - 1) / voxels), strict=True):
                variable.assign(variable * self.momentum + value * (1 - self.momentum))
        return tf.reshape(normalized, tf.shape(inputs))
