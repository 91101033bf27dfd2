"""Whether XLA compiles the loops over voxels that run on the device before the network."""

import functools
from collections.abc import Callable

import tensorflow as tf


@functools.cache
def compiled(function: Callable) -> Callable:
    """Returns a function of tensors as a graph: compiled by XLA where there is no GPU, left to TensorFlow where one is.

    Operations one by one write all voxels to memory and read them again, which on a CPU takes most of the time; XLA
    makes one loop of them. It has not been tried with a GPU.

    Each function is asked for once and kept, and so is the answer whether there is a GPU: TensorFlow settles its
    devices when it first uses one, and they stay for the life of the process.
    """
    return tf.function(function, autograph=False, jit_compile=not tf.config.list_logical_devices("GPU"))
