"""Noise, blur, brightness, contrast, low resolution, gamma and random convolutions: chance, and the effect on a patch.

`EFFECTS` is the table of them. Ranges, chances and the order are those of nnU-Net (Isensee et al. 2021, Nature Methods
18, supplement; batchgeneratorsv2), which has no random convolutions; they come first. Values are normalized ones,
(HU - mean) / std.
"""

import functools
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from kits_tf.base.registry import Registry
from kits_tf.config import AppearanceSettings
from kits_tf.pipeline.lookup import cubic_weights
from kits_tf.pipeline.xla import compiled


@dataclass(frozen=True, kw_only=True)
class Effect:
    """A random change of a patch's intensities.

    Attributes:
        neutral: parameter that changes nothing.
        chance: function of the settings: chance that there is a change.
        draw: function of a seed, (2,) int32, and the settings: parameter of a change, () float32.
        apply: function of the patch, (z, y, x) float32, the parameter, a seed, (2,) int32, and the settings: patch that
            is changed. Its operations must have GPU kernels.
    """

    neutral: float
    chance: Callable[[AppearanceSettings], float]
    draw: Callable[[tf.Tensor, AppearanceSettings], tf.Tensor]
    apply: Callable[[tf.Tensor, tf.Tensor, tf.Tensor, AppearanceSettings], tf.Tensor]


# All effects by the names of their parameters, in the order in which they are applied; those of plugins come last. An
# effect's seed depends on its name, so that a new effect changes no draw of the others.
EFFECTS: Registry[Effect] = Registry("effect of intensity")


class Appearance(NamedTuple):
    """How a patch's intensities change.

    Attributes:
        parameters: (effects,) float32, one for each of EFFECTS; the neutral value where nothing changes.
        seed: (2,) int32, for what is random within an effect.
    """

    parameters: tf.Tensor
    seed: tf.Tensor


def sample_appearance(seed: tf.Tensor, settings: AppearanceSettings) -> Appearance:
    """Returns the appearance that belongs to a seed, (2,) int32."""
    seeds = tf.unstack(tf.random.experimental.stateless_split(seed, 2))
    parameters = [_sample_parameter(effect, _own_seed(seeds[0], name), settings) for name, effect in EFFECTS.items()]
    return Appearance(tf.stack(parameters), seeds[1])


def change_appearance(image: tf.Tensor, appearance: Appearance, settings: AppearanceSettings) -> tf.Tensor:
    """Returns a patch with its intensities changed; what changes nothing costs nothing.

    Args:
        image: (z, y, x) float32, normalized.
        appearance: appearance of the patch.
        settings: settings that it was drawn by; an effect without a chance is not even in the graph.
    """
    for (name, effect), parameter in zip(EFFECTS.items(), tf.unstack(appearance.parameters), strict=True):
        if effect.chance(settings) > 0:
            apply = functools.partial(effect.apply, image, parameter, _own_seed(appearance.seed, name), settings)
            image = tf.cond(parameter != effect.neutral, apply, functools.partial(tf.identity, image))
    return image


def uniform(seed: tf.Tensor, bounds: tuple[float, float]) -> tf.Tensor:
    """Returns a number of a range, () float32; each is equally likely."""
    low, high = bounds
    return low + tf.random.stateless_uniform([], seed, alg="philox") * (high - low)


def log_uniform(seed: tf.Tensor, bounds: tuple[float, float]) -> tf.Tensor:
    """Returns a factor or an exponent of a range, () float32, whose logarithm is uniform."""
    low, high = np.log(bounds)
    return tf.exp(uniform(seed, (low, high)))


def _sample_parameter(effect: Effect, seed: tf.Tensor, settings: AppearanceSettings) -> tf.Tensor:
    if effect.chance(settings) == 0:
        return tf.constant(effect.neutral)
    seeds = tf.unstack(tf.random.experimental.stateless_split(seed, 2))
    happens = tf.random.stateless_uniform([], seeds[0], alg="philox") < effect.chance(settings)
    return tf.where(happens, effect.draw(seeds[1], settings), effect.neutral)


def _own_seed(seed: tf.Tensor, name: str) -> tf.Tensor:
    """Returns the seed of one effect, which depends on no other effect; for int32, 31 bits of the name's hash."""
    return tf.random.experimental.stateless_fold_in(seed, zlib.crc32(name.encode()) & 0x7FFFFFFF)


def add_noise(image: tf.Tensor, std: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Returns the patch with independent Gaussian noise of a standard deviation; the same for the same seed.

    Where XLA compiles it, the same seed gives other noise.
    """
    return image + std * tf.random.stateless_normal(tf.shape(image), seed, alg="philox")


def gaussian_kernel(sigma: tf.Tensor, largest: float) -> tf.Tensor:
    """Returns the weights of a Gaussian's voxels, cut off where scipy.ndimage.gaussian_filter does with truncate=4.

    Args:
        sigma: voxels, float32; for 0 only the middle one counts.
        largest: largest sigma, which decides the number of weights.

    Returns:
        (n,) float32 with sum 1; n is odd and depends on `largest` alone.
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
        weights: (n,) float32, weights of the voxels around each, from `gaussian_kernel`.
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
        share: part of the voxels along each axis that is kept, above 0; at least one voxel is.
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
        share: weight of the network's values, 0..1; the patch's own have the rest.
        seed: (2,) int32; where XLA compiles it, the same seed gives another network.
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
        neighbors: function from the size of an axis to the places of each voxel's n neighbors, (n, size) int32, and
            their weights, (n, size) float32.
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


EFFECTS.register("convolved")(
    Effect(
        neutral=0.0,
        chance=lambda settings: settings.random_convolution_probability,
        draw=lambda seed, settings: uniform(seed, (0.0, 1.0)),
        apply=lambda image, share, seed, settings: convolve_randomly(image, share, seed),
    )
)
EFFECTS.register("noise_std")(
    Effect(
        neutral=0.0,
        chance=lambda settings: settings.noise_probability,
        draw=lambda seed, settings: tf.sqrt(uniform(seed, settings.noise_variance_range)),
        apply=lambda image, std, seed, settings: add_noise(image, std, seed),
    )
)
EFFECTS.register("blur_sigma")(
    Effect(
        neutral=0.0,
        chance=lambda settings: settings.blur_probability,
        draw=lambda seed, settings: uniform(seed, settings.blur_sigma_range),
        apply=lambda image, sigma, seed, settings: blur(image, gaussian_kernel(sigma, settings.blur_sigma_range[1])),
    )
)
EFFECTS.register("brightness")(
    Effect(
        neutral=1.0,
        chance=lambda settings: settings.brightness_probability,
        draw=lambda seed, settings: log_uniform(seed, settings.brightness_range),
        apply=lambda image, factor, seed, settings: image * factor,
    )
)
EFFECTS.register("contrast")(
    Effect(
        neutral=1.0,
        chance=lambda settings: settings.contrast_probability,
        draw=lambda seed, settings: log_uniform(seed, settings.contrast_range),
        apply=lambda image, factor, seed, settings: change_contrast(image, factor),
    )
)
EFFECTS.register("resolution")(
    Effect(
        neutral=1.0,
        chance=lambda settings: settings.low_resolution_probability,
        draw=lambda seed, settings: uniform(seed, settings.low_resolution_range),
        apply=lambda image, share, seed, settings: lower_resolution(image, share),
    )
)
EFFECTS.register("inverted_gamma")(
    Effect(
        neutral=1.0,
        chance=lambda settings: settings.inverted_gamma_probability,
        draw=lambda seed, settings: log_uniform(seed, settings.gamma_range),
        apply=lambda image, exponent, seed, settings: -change_gamma(-image, exponent),
    )
)
EFFECTS.register("gamma")(
    Effect(
        neutral=1.0,
        chance=lambda settings: settings.gamma_probability,
        draw=lambda seed, settings: log_uniform(seed, settings.gamma_range),
        apply=lambda image, exponent, seed, settings: change_gamma(image, exponent),
    )
)
