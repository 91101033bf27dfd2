"""Whether XLA compiles: decided here for all that runs on the device before the network."""

import functools
from collections.abc import Callable

import tensorflow as tf


@functools.cache
def compiled(function: Callable) -> Callable:
    """Returns a function of tensors as a graph, which XLA makes one loop of where there is no GPU.

    Operations one by one write all voxels to memory and read them again, which on a CPU takes most of the time. With a
    GPU it has not been tried.
    """
    return tf.function(function, autograph=False, jit_compile=not tf.config.list_logical_devices("GPU"))
