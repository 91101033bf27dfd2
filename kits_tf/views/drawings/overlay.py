"""A plane of a patch with truth and prediction over it, as TensorBoard shows it epoch after epoch."""

import functools
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from kits_tf.config import RunSettings
from kits_tf.ct.labels import Scheme
from kits_tf.ct.preprocess import normalize
from kits_tf.pipeline.dataset import fixed_patches
from kits_tf.pipeline.manifest import Manifest
from kits_tf.views.drawings import raster
from kits_tf.views.drawings.thumbnail import fullest_planes

COUNT = 4


def validation_overlays(settings: RunSettings, manifest: Manifest) -> Callable[[keras.Model], NDArray[np.uint8]]:
    """Returns a function that draws a network's labels over the same patches each time, of up to four cases.

    Args:
        settings: settings of the run.
        manifest: manifest of its records.

    Returns:
        Function from a network to pictures (cases, y, x, 3) uint8.
    """

    @functools.cache
    def patches() -> tuple[tf.Tensor, tf.Tensor]:
        shards = manifest.shard_paths("validation", settings.records_dir)
        return next(iter(fixed_patches(shards, settings.patches, 1, COUNT, settings.seed)))

    @functools.cache
    def compiled(network: keras.Model) -> Callable:
        return tf.function(lambda patch: tf.argmax(network(patch[None, ..., None], training=False)[0], axis=-1))

    def draw(network: keras.Model) -> NDArray[np.uint8]:
        hu, truth = patches()
        image = normalize(hu, settings.intensity)
        predicted = [compiled(network)(patch).numpy().astype(np.uint8) for patch in image]
        parts = zip(hu.numpy(), truth.numpy(), predicted, strict=True)
        return np.stack([overlay(*part, manifest.scheme) for part in parts])

    return draw


def overlay(
    hu: NDArray[np.int16], truth: NDArray[np.uint8], predicted: NDArray[np.uint8], scheme: Scheme
) -> NDArray[np.uint8]:
    """Returns the axial plane of a patch with most of the tumor, or else of any label, as `raster.paint` does.

    Args:
        hu: (z, y, x) patch, in (I, P, L).
        truth: (z, y, x) labels of the scheme.
        predicted: (z, y, x) labels of the scheme.
        scheme: scheme of the labels.

    Returns:
        (y, x, 3) uint8.
    """
    plane, _ = fullest_planes(np.array(scheme.challenge, np.uint8)[truth])
    return raster.paint(hu[plane], truth[plane], predicted[plane], scheme)
