"""A scan segmented here by a network on a server: windows are sent, many at a time, and merged as everywhere."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from kits_tf.base.errors import InputError
from kits_tf.inference.model import Segment, Segmentation
from kits_tf.inference.segmenter import InferencePlan, Segmenter, run_graph
from kits_tf.inference.sliding import SlidingWindow
from kits_tf.serving.client.connection import Connection
from kits_tf.serving.metadata import PATCHES, Metadata

# The least number above 0 that float16 has: the logarithm must be finite.
_LEAST = 2.0**-24


def segment_by_patches(
    connection: Connection, metadata: Metadata, concurrency: int, tell: Callable[[int, int], None] | None = None
) -> Segment:
    """Returns what segments a scan, with windows of one row at a time on their way.

    The logarithm of a probability differs from the logit by the same amount in all classes, so that merging it gives
    the same labels, but for the 11 bits that float16 has.

    Args:
        connection: to the server.
        metadata: of its model.
        concurrency: windows on their way at the same time, each in a request of its own, so that the server may put
            those of several clients into one batch.
        tell: is told of the windows that are done.
    """
    inference, window, classes = metadata.inference, metadata.patch_size_zyx, len(metadata.classes)
    windows = SlidingWindow(window, inference.overlap, inference.window_weights, concurrency)
    plan = InferencePlan(
        grid=metadata.grid,
        scheme=metadata.scheme,
        window=windows,
        temperature=metadata.temperature,
        postprocessing=metadata.postprocessing,
    )
    threads = ThreadPoolExecutor(concurrency)
    failures: list[InputError] = []

    def predict(hu: NDArray[np.int16]) -> NDArray[np.float16]:
        found = connection.predict(PATCHES, {"hu": hu[None]}).get("probabilities")
        if found is None or found.shape != (1, *window, classes):
            got = "none" if found is None else str(found.shape)
            raise InputError(f"expected probabilities {(1, *window, classes)} of the server, got {got}")
        return found

    def fetch(hu: NDArray[np.int16]) -> NDArray[np.float32]:
        try:
            probabilities = np.concatenate(list(threads.map(predict, hu))).astype(np.float32)
        except InputError as error:  # TensorFlow would make an error of its own of it
            failures.append(error)
            raise
        return np.log(np.maximum(probabilities, _LEAST)) * np.float32(metadata.temperature)

    class RemoteNetwork:
        channels = classes

        def __call__(self, hu: tf.Tensor) -> tf.Tensor:
            return tf.ensure_shape(tf.numpy_function(fetch, [hu], tf.float32), [None, *window, classes])

    segmenter = Segmenter(RemoteNetwork(), plan)

    def segment(hu: NDArray[np.int16], affine: NDArray[np.float32]) -> Segmentation:
        failures.clear()
        try:
            return run_graph(segmenter.segment, hu, affine, segmenter.progress, tell)
        except (InputError, tf.errors.OpError):
            if failures:
                raise failures[0] from None
            raise

    return segment
