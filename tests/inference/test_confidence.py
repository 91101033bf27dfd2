import numpy as np
import tensorflow as tf
from scipy.special import softmax

from kits_tf.inference.confidence import Confidence


def test_it_is_the_mean_of_the_largest_probability_of_each_class_however_planes_come() -> None:
    logits = np.random.default_rng(0).normal(0, 2, (6, 5, 4, 3)).astype(np.float32)
    logits[..., 2] = -9  # nowhere the largest
    probabilities = softmax(logits / 1.7, axis=-1)
    labels, largest = probabilities.argmax(axis=-1), probabilities.max(axis=-1)
    expected = [largest[labels == 0].mean(), largest[labels == 1].mean(), 0]
    confidence = Confidence(3, temperature=1.7)
    for cuts in ([6], [1, 2, 3], [2, 4]):
        state = confidence.begin(4)
        for part in np.split(logits, np.cumsum(cuts[:-1]) if len(cuts) > 1 else []):
            more = np.concatenate(
                [part, np.ones((*part.shape[:3], 1), np.float32)], axis=-1
            )  # a channel of something else
            state = confidence.receive(tf.constant(more), state)
        np.testing.assert_allclose(confidence.finish(state)["confidence"], expected, rtol=1e-6)
        assert tf.reduce_sum(state.counts) == labels.size
