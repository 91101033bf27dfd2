"""How sure a network is of each class: the mean probability of a class where it is the largest."""

from typing import NamedTuple

import tensorflow as tf


class ConfidenceState(NamedTuple):
    """Sums over the planes received.

    Attributes:
        sums: (classes,) float64, sum of the largest probabilities by their class.
        counts: (classes,) float64, number of voxels in which a class has the largest probability.
    """

    sums: tf.Tensor
    counts: tf.Tensor


class Confidence:
    """Receives merged planes and averages their probabilities, on the training grid.

    Args:
        num_classes: number of classes; the first channels of the planes are their logits.
        temperature: divisor of the logits (Guo et al. 2017, "On calibration of modern neural networks").
    """

    def __init__(self, num_classes: int, temperature: float) -> None:
        self._num_classes, self._temperature = num_classes, temperature

    def begin(self, channels: int) -> ConfidenceState:
        """Returns the state before the first planes."""
        return ConfidenceState(tf.zeros([self._num_classes], tf.float64), tf.zeros([self._num_classes], tf.float64))

    def receive(self, planes: tf.Tensor, state: ConfidenceState) -> ConfidenceState:
        """Returns the state after further planes (n, y, x, channels) float32."""
        logits = tf.reshape(planes[..., : self._num_classes], [-1, self._num_classes])
        probabilities = tf.nn.softmax(logits / self._temperature)
        classes = tf.argmax(probabilities, axis=-1, output_type=tf.int32)
        largest = tf.cast(tf.reduce_max(probabilities, axis=-1), tf.float64)
        return ConfidenceState(
            sums=state.sums + tf.math.unsorted_segment_sum(largest, classes, self._num_classes),
            counts=state.counts + tf.math.unsorted_segment_sum(tf.ones_like(largest), classes, self._num_classes),
        )

    def finish(self, state: ConfidenceState) -> dict[str, tf.Tensor]:
        """Returns `confidence` (classes,) float32, 0..1; 0 for a class that is nowhere the largest."""
        return {"confidence": tf.cast(tf.math.divide_no_nan(state.sums, state.counts), tf.float32)}
