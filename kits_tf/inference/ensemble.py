"""One or several networks over a window, in one or several mirror images, averaged."""

import itertools
from collections.abc import Sequence

import keras
import tensorflow as tf

from kits_tf.config import IntensitySettings
from kits_tf.ct.labels import Scheme
from kits_tf.ct.preprocess import normalize
from kits_tf.inference.crf import Crf

_AXES = "zyx"


class Passes(tf.Module):
    """What is found in windows: the mean of the logits of all passes, and on request how far the passes disagree.

    A mirror image along x shows the right kidney where the left one was, so its logits of the two change places.

    Args:
        networks: from normalized windows (n, z, y, x, 1) to logits, each with the intensities it was trained on.
        scheme: of the labels.
        flip_axes: letters of the axes along which mirror images are looked at too, in all combinations.
        disagreement: whether it is asked for.
        crf: refines the mean of the logits; None: it stays as it is.
    """

    def __init__(
        self,
        networks: Sequence[tuple[keras.Model, IntensitySettings]],
        scheme: Scheme,
        flip_axes: str = "",
        disagreement: bool = False,
        crf: Crf | None = None,
    ) -> None:
        super().__init__(name="passes")
        self.networks = [network for network, _ in networks]
        self._intensities = [intensity for _, intensity in networks]
        self._mirrored, self._disagreement, self._crf = list(scheme.mirrored), disagreement, crf
        axes = [_AXES.index(letter) + 1 for letter in flip_axes]  # 0 is the batch
        self._flips = [flip for count in range(len(axes) + 1) for flip in itertools.combinations(axes, count)]

    @property
    def weights(self) -> list[tf.Variable]:
        """The variables of all networks, as TensorFlow has them."""
        return [variable.value for network in self.networks for variable in network.variables]

    @property
    def count(self) -> int:
        """How many passes there are."""
        return len(self.networks) * len(self._flips)

    def __call__(self, hu: tf.Tensor) -> tf.Tensor:
        """Returns (n, z, y, x, classes) float32 of windows (n, z, y, x) int16: logits, then the disagreement.

        The disagreement of passes is the mutual information of label and pass, H(mean p) - mean H(p), in nats: 0 where
        all say the same, however unsure each is (Houlsby et al. 2011, "Bayesian active learning for classification and
        preference learning", arXiv:1112.5745).
        """
        total: tf.Tensor = 0.0
        mean: tf.Tensor = 0.0
        unsure: tf.Tensor = 0.0
        for network, intensity in zip(self.networks, self._intensities, strict=True):
            image = normalize(hu, intensity)
            for flip in self._flips:
                with tf.control_dependencies([total] if tf.is_tensor(total) else []):  # or all would be in memory
                    logits = self._logits(network, image, flip)
                total += logits
                if self._disagreement:
                    probabilities = tf.nn.softmax(logits)
                    mean += probabilities / self.count
                    unsure += _entropy(probabilities) / self.count
        logits = total / self.count
        if self._crf:
            logits = self._crf.refine(logits, hu)
        if not self._disagreement:
            return logits
        return tf.concat([logits, _entropy(mean) - unsure], axis=-1)

    def _logits(self, network: keras.Model, image: tf.Tensor, flip: tuple[int, ...]) -> tf.Tensor:
        logits = network(tf.reverse(image, flip)[..., None], training=False)
        if 3 in flip:
            logits = tf.gather(logits, self._mirrored, axis=-1)
        return tf.reverse(tf.cast(logits, tf.float32), flip)


def _entropy(probabilities: tf.Tensor) -> tf.Tensor:
    return -tf.reduce_sum(tf.math.xlogy(probabilities, probabilities), axis=-1, keepdims=True)
