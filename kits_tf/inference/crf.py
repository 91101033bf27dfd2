"""A conditional random field over logits: mean field with Gaussian terms between near voxels only, on the device.

Krahenbuhl and Koltun 2011, "Efficient inference in fully connected CRFs with Gaussian edge potentials", NeurIPS; that
near voxels suffice, and then are convolutions: Teichmann and Cipolla 2019, "Convolutional CRFs", arXiv:1805.04777.
"""

import itertools
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from kits_tf.ct.geometry import Spacing, Triple


@dataclass(frozen=True, kw_only=True)
class Crf:
    """A field with a Potts model: neighbors that look alike should have the same label.

    Attributes:
        spacing_zyx_mm: voxel sizes.
        iterations: number of iterations of mean field.
        appearance_weight: weight of the term exp(-mm^2 / (2 appearance_mm^2) - HU^2 / (2 appearance_hu^2)).
        appearance_mm: distance in this term.
        appearance_hu: difference of HU in this term.
        smoothness_weight: weight of the term exp(-mm^2 / (2 smoothness_mm^2)).
        smoothness_mm: distance in this term.
        radius: largest distance of a neighbor along each axis, in voxels.
    """

    spacing_zyx_mm: Spacing
    iterations: int = 5
    appearance_weight: float = 3.0
    appearance_mm: float = 3.0
    appearance_hu: float = 20.0
    smoothness_weight: float = 1.0
    smoothness_mm: float = 1.5
    radius: int = 1

    def refine(self, logits: tf.Tensor, hu: tf.Tensor) -> tf.Tensor:
        """Returns logits (n, z, y, x, classes) float32 after mean field over windows of HU (n, z, y, x).

        A voxel's neighbors are averaged by their terms, so that they count as much at the edge of a window, where there
        are fewer, as elsewhere.
        """
        hu = tf.cast(hu, tf.float32)[..., None]
        pairs = [(offset, self._term(hu, offset)) for offset in self._offsets()]
        total = _gather(tf.ones_like(hu), pairs)
        strength = self.appearance_weight + self.smoothness_weight

        def iterate(done: tf.Tensor, refined: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return done + 1, logits + strength * _gather(tf.nn.softmax(refined), pairs) / total

        start = (tf.constant(0), logits)
        _, refined = tf.while_loop(lambda done, _: done < self.iterations, iterate, start, parallel_iterations=1)
        return tf.ensure_shape(refined, logits.shape)

    def _offsets(self) -> list[Triple]:
        """Returns one of each two opposite offsets."""
        reach = range(-self.radius, self.radius + 1)
        return [(z, y, x) for z, y, x in itertools.product(reach, reach, reach) if (z, y, x) > (0, 0, 0)]

    def _term(self, hu: tf.Tensor, offset: Triple) -> tf.Tensor:
        """Returns the term of voxels and those at an offset from them, as far as both are in the window."""
        squared_mm2 = float(((np.array(offset) * self.spacing_zyx_mm) ** 2).sum())
        here, there = _parts(offset)
        squared_hu2 = tf.square(hu[there] - hu[here])
        appearance = tf.exp(-squared_mm2 / (2 * self.appearance_mm**2) - squared_hu2 / (2 * self.appearance_hu**2))
        smoothness = np.exp(-squared_mm2 / (2 * self.smoothness_mm**2))
        return self.appearance_weight * appearance + self.smoothness_weight * smoothness


def _gather(values: tf.Tensor, pairs: list[tuple[Triple, tf.Tensor]]) -> tf.Tensor:
    """Returns at each voxel the sum of the values of its neighbors, each times its term."""
    total = tf.zeros_like(values)
    for offset, term in pairs:
        here, there = _parts(offset)
        before = [[0, 0], *[[max(0, -step), max(0, step)] for step in offset], [0, 0]]
        after = [[0, 0], *[[max(0, step), max(0, -step)] for step in offset], [0, 0]]
        total += tf.pad(term * values[there], before) + tf.pad(term * values[here], after)
    return total


def _parts(offset: Triple) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Returns where in a window the voxels are that have one at an offset from them, and where those are."""
    here = [slice(max(0, -step), -step if step > 0 else None) for step in offset]
    there = [slice(max(0, step), step if step < 0 else None) for step in offset]
    return (slice(None), *here), (slice(None), *there)
