"""How sure a network is of each class: the mean probability of a class where it is the largest."""

import tensorflow as tf

from kits_tf.inference.sliding import Receive


class Confidence:
    """Sums probabilities of merged planes as they pass by, on the training grid.

    Args:
        num_classes: the first channels of the planes are their logits.
        temperature: by which logits are divided (Guo et al. 2017, "On calibration of modern neural networks").
    """

    def __init__(self, num_classes: int, temperature: float) -> None:
        self._num_classes, self._temperature = num_classes, temperature

    def begin(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the state before the first planes."""
        return tf.zeros([self._num_classes], tf.float64), tf.zeros([self._num_classes], tf.float64)

    def watch(self, receive: Receive) -> Receive:
        """Returns `receive` with the two tensors of `begin` before its own state."""

        def watched(planes: tf.Tensor, sums: tf.Tensor, counts: tf.Tensor, *state: tf.Tensor) -> tuple:
            probabilities = tf.nn.softmax(
                tf.reshape(planes[..., : self._num_classes], [-1, self._num_classes]) / self._temperature
            )
            classes = tf.argmax(probabilities, axis=-1, output_type=tf.int32)
            largest = tf.cast(tf.reduce_max(probabilities, axis=-1), tf.float64)
            sums += tf.math.unsorted_segment_sum(largest, classes, self._num_classes)
            counts += tf.math.unsorted_segment_sum(tf.ones_like(largest), classes, self._num_classes)
            return sums, counts, *receive(planes, *state)

        return watched

    def finish(self, sums: tf.Tensor, counts: tf.Tensor) -> tf.Tensor:
        """Returns the confidence (num_classes,) float32, 0..1; 0 for a class that is nowhere the largest."""
        return tf.cast(tf.math.divide_no_nan(sums, counts), tf.float32)
