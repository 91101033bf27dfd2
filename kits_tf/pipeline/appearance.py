"""Noise, blur, brightness, contrast, low resolution, gamma and random convolutions: chance, and the effect on a patch.

Ranges, chances and the order of the effects are those of nnU-Net (Isensee et al. 2021, Nature Methods 18, supplement;
batchgeneratorsv2), which has no random convolutions; they come first. Values are normalized ones, (HU - mean) / std.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from kits_tf.config import AppearanceSettings
from kits_tf.pipeline.lookup import cubic_weights
from kits_tf.pipeline.xla import compiled


class Appearance(NamedTuple):
    """How a patch's values change; scalars float32, 0 or 1 where they say that nothing changes.

    Attributes:
        noise_std: of Gaussian noise that is added; 0: none.
        blur_sigma: of a Gaussian blur, in voxels; 0: none.
        brightness: factor of all values.
        contrast: factor of their distances from the patch's mean.
        resolution: share of the voxels along each axis that is kept; 1: all.
        inverted_gamma: exponent for the negative.
        gamma: exponent.
        convolved: share that random convolutions have in the values; 0: none.
        seed: (2,) int32, of the noise itself and of the random convolutions.
        blur_weights: (n,) float32, those of the blur; n is odd and what the largest sigma needs.
    """

    noise_std: tf.Tensor
    blur_sigma: tf.Tensor
    brightness: tf.Tensor
    contrast: tf.Tensor
    resolution: tf.Tensor
    inverted_gamma: tf.Tensor
    gamma: tf.Tensor
    convolved: tf.Tensor
    seed: tf.Tensor
    blur_weights: tf.Tensor


def sample_appearance(seed: tf.Tensor, settings: AppearanceSettings) -> Appearance:
    """Returns the appearance that belongs to a seed, (2,) int32.

    Factors and exponents are log-uniform in their range; variance, sigma, resolution and shares are uniform.
    """
    seeds = tf.unstack(tf.random.experimental.stateless_split(seed, 2))
    chances, draws = tf.unstack(tf.random.stateless_uniform([2, 8], seeds[0], alg="philox"))

    def one(which: int, probability: float, bounds: tuple[float, float], neutral: float, is_factor: bool) -> tf.Tensor:
        low, high = np.log(bounds) if is_factor else bounds
        drawn = low + draws[which] * (high - low)
        return tf.where(chances[which] < probability, tf.exp(drawn) if is_factor else drawn, neutral)

    variance = one(0, settings.noise_probability, settings.noise_variance_range, 0.0, False)
    blur_sigma = one(1, settings.blur_probability, settings.blur_sigma_range, 0.0, False)
    return Appearance(
        tf.sqrt(variance),
        blur_sigma,
        one(2, settings.brightness_probability, settings.brightness_range, 1.0, True),
        one(3, settings.contrast_probability, settings.contrast_range, 1.0, True),
        one(4, settings.low_resolution_probability, settings.low_resolution_range, 1.0, False),
        one(5, settings.inverted_gamma_probability, settings.gamma_range, 1.0, True),
        one(6, settings.gamma_probability, settings.gamma_range, 1.0, True),
        one(7, settings.random_convolution_probability, (0.0, 1.0), 0.0, False),
        seeds[1],
        gaussian_weights(blur_sigma, settings.blur_sigma_range[1]),
    )


def change_appearance(image: tf.Tensor, appearance: Appearance) -> tf.Tensor:
    """Returns a patch, (z, y, x) float32, with its values changed; what changes nothing costs nothing."""
    for parameter, neutral, effect in (
        (appearance.convolved, 0.0, lambda x: convolve_randomly(x, appearance.convolved, appearance.seed)),
        (appearance.noise_std, 0.0, lambda x: add_noise(x, appearance.noise_std, appearance.seed)),
        (appearance.blur_sigma, 0.0, lambda x: blur(x, appearance.blur_weights)),
        (appearance.brightness, 1.0, lambda x: x * appearance.brightness),
        (appearance.contrast, 1.0, lambda x: change_contrast(x, appearance.contrast)),
        (appearance.resolution, 1.0, lambda x: lower_resolution(x, appearance.resolution)),
        (appearance.inverted_gamma, 1.0, lambda x: -change_gamma(-x, appearance.inverted_gamma)),
        (appearance.gamma, 1.0, lambda x: change_gamma(x, appearance.gamma)),
    ):
        image = _if(parameter != neutral, effect, image)
    return image


def add_noise(image: tf.Tensor, std: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Returns the patch with independent Gaussian noise of a standard deviation; the same for the same seed.

    Compiled by XLA it is other noise.
    """
    return image + std * tf.random.stateless_normal(tf.shape(image), seed, alg="philox")


def gaussian_weights(sigma: tf.Tensor, largest: float) -> tf.Tensor:
    """Returns the weights of a Gaussian's voxels, cut off where scipy.ndimage.gaussian_filter does with truncate=4.

    Args:
        sigma: voxels, float32; for 0 only the middle one counts.
        largest: sigma that there must be room for.
    """
    reach = int(4 * largest + 0.5)
    distance = tf.abs(tf.range(-reach, reach + 1, dtype=tf.float32))
    weights = tf.exp(-0.5 * (distance / tf.maximum(sigma, 1e-7)) ** 2)
    weights = tf.where(distance <= tf.floor(4 * sigma + 0.5), weights, 0.0)
    return weights / tf.reduce_sum(weights)


def blur(image: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Returns the patch convolved along each axis, the voxels at its border repeated beyond it.

    Args:
        image: (z, y, x) float32.
        weights: of `gaussian_weights`.
    """
    offsets = np.arange(weights.shape[0]) - weights.shape[0] // 2

    def neighbors(size: int) -> tuple[tf.Tensor, tf.Tensor]:
        places = np.clip(np.arange(size) + offsets[:, None], 0, size - 1)
        return tf.constant(places, tf.int32), tf.tile(weights[:, None], [1, size])

    return _along_each_axis(image, neighbors)


def change_contrast(image: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Returns the patch with its distances from the mean multiplied, within the range that it had."""
    mean = tf.reduce_mean(image)
    return tf.clip_by_value((image - mean) * factor + mean, tf.reduce_min(image), tf.reduce_max(image))


def lower_resolution(image: tf.Tensor, share: tf.Tensor) -> tf.Tensor:
    """Returns the patch as from fewer voxels: the nearest ones are kept, cubic convolution (Keys, a = -1/2) fills in.

    Args:
        image: (z, y, x) float32.
        share: of the voxels along each axis that is kept, above 0; at least one is.
    """

    def neighbors(size: int) -> tuple[tf.Tensor, tf.Tensor]:
        kept = tf.maximum(tf.round(size * share), 1)
        position = (tf.range(size, dtype=tf.float32) + 0.5) * kept / size - 0.5
        of_kept = tf.floor(position) + tf.constant([[-1.0], [0.0], [1.0], [2.0]])
        places = tf.floor((tf.clip_by_value(of_kept, 0, kept - 1) + 0.5) * size / kept)
        return tf.cast(places, tf.int32), tf.stack(cubic_weights(position - tf.floor(position)))

    return _along_each_axis(image, neighbors)


def change_gamma(image: tf.Tensor, exponent: tf.Tensor) -> tf.Tensor:
    """Returns ((x - min) / (max - min)) ** exponent, with the mean and standard deviation that the patch had."""
    return _scaled(compiled(_curve)(image, tf.reduce_min(image), tf.reduce_max(image), exponent), image)


def convolve_randomly(image: tf.Tensor, share: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Returns the patch mixed with what a random network makes of it, which has the patch's mean and deviation too.

    Any tissue may get any gray and any texture, while shapes stay: what is learned is less of what one scanner, one
    phase of contrast or one simulation looks like. Ouyang et al. 2023, "Causality-inspired single-source domain
    generalization for medical image segmentation", IEEE TMI 42: four layers, two features, leaky ReLU between them.

    Args:
        image: (z, y, x) float32.
        share: of the network's values, 0..1.
        seed: (2,) int32; other networks where compiled by XLA.
    """
    features = image[None]
    for layer, of_layer in enumerate(tf.unstack(tf.random.experimental.stateless_split(seed, 4))):
        features = tf.nn.leaky_relu(features, 0.01) if layer else features
        features = compiled(_convolve)(features, *random_layer(of_layer, features.shape[0], 1 if layer == 3 else 2))
    return share * _scaled(features[0], image) + (1 - share) * image


def random_layer(seed: tf.Tensor, inputs: int, outputs: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the weights (outputs, inputs, 3, 3, 3) and biases (outputs,) of a layer, float32, normally distributed.

    With the chance 1/2 the weights are 0 but for those of the voxel itself.
    """
    seeds = tf.unstack(tf.random.experimental.stateless_split(seed, 3))
    itself = tf.pad(tf.ones([1, 1, 1, 1, 1]), [[0, 0], [0, 0], *[[1, 1]] * 3])
    weights = tf.random.stateless_normal([outputs, inputs, 3, 3, 3], seeds[0], alg="philox")
    alone = tf.random.stateless_uniform([], seeds[1], alg="philox") < 0.5
    return tf.where(alone, weights * itself, weights), tf.random.stateless_normal([outputs], seeds[2], alg="philox")


def _curve(image: tf.Tensor, low: tf.Tensor, high: tf.Tensor, exponent: tf.Tensor) -> tf.Tensor:
    relative = (image - low) / tf.maximum(high - low, 1e-7)
    return tf.exp(exponent * tf.math.log(tf.maximum(relative, 1e-30)))  # tf.pow takes longer on a CPU


def _convolve(features: tf.Tensor, weights: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
    """Returns features (outputs, z, y, x) of features (inputs, z, y, x), the voxels at the border repeated beyond it.

    Sums of shifted patches, since a CPU's conv3d takes far longer for so few features.
    """
    padded = tf.pad(features, [[0, 0], *[[1, 1]] * 3], "SYMMETRIC")
    corners = [(index, *corner) for index in range(features.shape[0]) for corner in np.ndindex(3, 3, 3)]
    shifted = [tf.slice(padded, corner, [1, *features.shape[1:]])[0] for corner in corners]
    sums = []
    for of_output in tf.unstack(tf.reshape(weights, [weights.shape[0], -1])):
        pairs = zip(tf.unstack(of_output), shifted, strict=True)
        sums.append(tf.add_n([weight * values for weight, values in pairs]))
    return tf.stack(sums) + bias[:, None, None, None]


def _scaled(changed: tf.Tensor, image: tf.Tensor) -> tf.Tensor:
    """Returns a patch with the mean and standard deviation of another."""
    # Sums are TensorFlow's own, which takes all cores for them.
    factor = tf.math.reduce_std(image) / tf.maximum(tf.math.reduce_std(changed), 1e-7)
    return compiled(_scale)(changed, factor, tf.reduce_mean(image) - factor * tf.reduce_mean(changed))


def _scale(image: tf.Tensor, factor: tf.Tensor, offset: tf.Tensor) -> tf.Tensor:
    return image * factor + offset


def _along_each_axis(image: tf.Tensor, neighbors: Callable[[int], tuple[tf.Tensor, tf.Tensor]]) -> tf.Tensor:
    """Returns the patch with weighted sums of neighbors for voxels, along one axis after the other.

    Args:
        image: (z, y, x) float32.
        neighbors: gives, for the size of an axis, the places of each voxel's n neighbors, (n, size) int32, and their
            weights, (n, size) float32.
    """
    for axis, size in enumerate(image.shape):
        # Each axis for itself: XLA would make the sums along one axis anew for each neighbor along the next.
        image = _weighted_sums(axis)(image, *neighbors(size))
    return image


@functools.cache
def _weighted_sums(axis: int) -> Callable:
    def planes(image: tf.Tensor, places: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
        column = [-1 if i == axis else 1 for i in range(3)]
        pairs = zip(tf.unstack(places), tf.unstack(weights), strict=True)
        return tf.add_n([tf.gather(image, place, axis=axis) * tf.reshape(weight, column) for place, weight in pairs])

    def rows(image: tf.Tensor, places: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
        size = image.shape[axis]
        matrix = tf.reduce_sum(weights[..., None] * tf.one_hot(places, size), axis=0)
        return tf.reshape(tf.matmul(tf.reshape(image, [-1, size]), matrix, transpose_b=True), image.shape)

    # A CPU gathers single voxels slowly; a product with a matrix takes less time.
    return compiled(rows if axis == 2 else planes)


def _if(changes: tf.Tensor, effect: Callable[[tf.Tensor], tf.Tensor], image: tf.Tensor) -> tf.Tensor:
    return tf.cond(changes, lambda: effect(image), lambda: image)
