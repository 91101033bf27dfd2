"""Noise, blur, brightness, contrast, low resolution and gamma, as nnU-Net has them: chance, and the effect on a patch.

Ranges, chances and the order of the effects are those of nnU-Net (Isensee et al. 2021, Nature Methods 18, supplement;
batchgeneratorsv2). Values are normalized ones, (HU - mean) / std.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from kits_tf.config import AppearanceSettings
from kits_tf.pipeline.compiled import compiled
from kits_tf.pipeline.lookup import cubic_weights


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
        noise_seed: (2,) int32, of the noise itself.
    """

    noise_std: tf.Tensor
    blur_sigma: tf.Tensor
    brightness: tf.Tensor
    contrast: tf.Tensor
    resolution: tf.Tensor
    inverted_gamma: tf.Tensor
    gamma: tf.Tensor
    noise_seed: tf.Tensor


def sample_appearance(seed: tf.Tensor, settings: AppearanceSettings) -> Appearance:
    """Returns the appearance that belongs to a seed, (2,) int32.

    Factors and exponents are log-uniform in their range; variance, sigma and resolution are uniform.
    """
    seeds = tf.unstack(tf.random.experimental.stateless_split(seed, 2))
    chances, draws = tf.unstack(tf.random.stateless_uniform([2, 7], seeds[0], alg="philox"))

    def one(which: int, probability: float, bounds: tuple[float, float], neutral: float, is_factor: bool) -> tf.Tensor:
        low, high = np.log(bounds) if is_factor else bounds
        drawn = low + draws[which] * (high - low)
        return tf.where(chances[which] < probability, tf.exp(drawn) if is_factor else drawn, neutral)

    variance = one(0, settings.noise_probability, settings.noise_variance_range, 0.0, False)
    return Appearance(
        tf.sqrt(variance),
        one(1, settings.blur_probability, settings.blur_sigma_range, 0.0, False),
        one(2, settings.brightness_probability, settings.brightness_range, 1.0, True),
        one(3, settings.contrast_probability, settings.contrast_range, 1.0, True),
        one(4, settings.low_resolution_probability, settings.low_resolution_range, 1.0, False),
        one(5, settings.inverted_gamma_probability, settings.gamma_range, 1.0, True),
        one(6, settings.gamma_probability, settings.gamma_range, 1.0, True),
        seeds[1],
    )


def change_appearance(image: tf.Tensor, appearance: Appearance) -> tf.Tensor:
    """Returns a patch, (z, y, x) float32, with its values changed; what changes nothing costs nothing."""
    for parameter, neutral, effect in (
        (appearance.noise_std, 0.0, lambda x: add_noise(x, appearance.noise_std, appearance.noise_seed)),
        (appearance.blur_sigma, 0.0, lambda x: compiled(blur)(x, appearance.blur_sigma)),
        (appearance.brightness, 1.0, lambda x: x * appearance.brightness),
        (appearance.contrast, 1.0, lambda x: change_contrast(x, appearance.contrast)),
        (appearance.resolution, 1.0, lambda x: compiled(lower_resolution)(x, appearance.resolution)),
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


def blur(image: tf.Tensor, sigma: tf.Tensor) -> tf.Tensor:
    """Returns the patch convolved with a Gaussian: scipy.ndimage.gaussian_filter with mode="nearest", truncate=4.

    Args:
        image: (z, y, x) float32.
        sigma: voxels, above 0, at most the patch's own size.
    """
    radius = tf.floor(4 * sigma + 0.5)

    def matrix(size: int) -> tf.Tensor:
        places = tf.range(size, dtype=tf.float32)
        # The first and the last voxel stand for all those beyond them.
        beyond = tf.range(-4 * size, 5 * size, dtype=tf.float32)
        distance = tf.abs(beyond - places[:, None])
        weights = tf.where(distance <= radius, tf.exp(-0.5 * (distance / sigma) ** 2), 0.0)
        weights /= tf.reduce_sum(weights, axis=1, keepdims=True)
        before, inside, after = tf.split(weights, [4 * size, size, 4 * size], axis=1)
        first = tf.reduce_sum(before, axis=1, keepdims=True) * tf.one_hot(0, size)
        last = tf.reduce_sum(after, axis=1, keepdims=True) * tf.one_hot(size - 1, size)
        return inside + first + last

    return _along_each_axis(image, matrix)


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

    def matrix(size: int) -> tf.Tensor:
        kept = tf.maximum(tf.round(size * share), 1)
        position = (tf.range(size, dtype=tf.float32) + 0.5) * kept / size - 0.5
        neighbors = tf.floor(position)[:, None] + tf.constant([-1.0, 0.0, 1.0, 2.0])
        weights = tf.stack(cubic_weights(position - tf.floor(position)), axis=1)
        source = tf.floor((tf.clip_by_value(neighbors, 0, kept - 1) + 0.5) * size / kept)
        return tf.reduce_sum(weights[..., None] * tf.one_hot(tf.cast(source, tf.int32), size), axis=1)

    return _along_each_axis(image, matrix)


def change_gamma(image: tf.Tensor, exponent: tf.Tensor) -> tf.Tensor:
    """Returns ((x - min) / (max - min)) ** exponent, with the mean and standard deviation that the patch had."""
    low, high = tf.reduce_min(image), tf.reduce_max(image)
    mean, std = tf.reduce_mean(image), tf.math.reduce_std(image)
    relative = (image - low) / tf.maximum(high - low, 1e-7)
    curved = tf.exp(exponent * tf.math.log(tf.maximum(relative, 1e-30)))  # tf.pow takes longer on a CPU
    return (curved - tf.reduce_mean(curved)) * (std / tf.maximum(tf.math.reduce_std(curved), 1e-7)) + mean


def _along_each_axis(image: tf.Tensor, matrix: Callable[[int], tf.Tensor]) -> tf.Tensor:
    """Returns the patch multiplied along each axis with the square matrix of its size."""
    z, y, x = image.shape
    image = tf.reshape(matrix(z) @ tf.reshape(image, [z, y * x]), [z, y, x])
    image = tf.matmul(matrix(y), image)
    return tf.reshape(tf.matmul(tf.reshape(image, [z * y, x]), matrix(x), transpose_b=True), [z, y, x])


def _if(changes: tf.Tensor, effect: Callable[[tf.Tensor], tf.Tensor], image: tf.Tensor) -> tf.Tensor:
    return tf.cond(changes, lambda: effect(image), lambda: image)
