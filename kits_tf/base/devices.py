"""The devices of TensorFlow: their memory, and the precision that they compute in."""

import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras

# Keras' own default.
_EPSILON = 1e-7


def device_memory() -> int | None:
    """Returns the bytes that TensorFlow may take of each GPU, or all of the machine's memory without one.

    None where the system does not say.
    """
    import tensorflow as tf
    from tensorflow.python.client import device_lib

    if tf.config.list_physical_devices("GPU"):
        return min((d.memory_limit for d in device_lib.list_local_devices() if d.device_type == "GPU"), default=None)
    if not {"SC_PHYS_PAGES", "SC_PAGE_SIZE"} <= set(os.sysconf_names):
        return None
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def choose_precision(precision: str) -> str:
    """Returns Keras' name of a precision; "auto" is decided by the machine.

    float32 on a CPU; mixed_bfloat16 on GPUs that compute in it (compute capability 8 and newer), else mixed_float16.
    """
    import tensorflow as tf

    if precision != "auto":
        return precision
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return "float32"
    details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
    return "mixed_bfloat16" if all(d.get("compute_capability", (0, 0)) >= (8, 0) for d in details) else "mixed_float16"


@contextlib.contextmanager
def layers_in(precision: str) -> Iterator[None]:
    """Sets the precision, by Keras' name, in which layers compute that are built within.

    Keras' other settings are its defaults within, whatever the program has set before; its settings stand afterwards.
    """
    import keras

    settings = keras.config
    before = settings.dtype_policy(), settings.floatx(), settings.image_data_format(), settings.epsilon()
    _set_keras(precision, "float32", "channels_last", _EPSILON)
    try:
        yield
    finally:
        _set_keras(*before)


def _set_keras(policy: "str | keras.DTypePolicy", floatx: str, image_data_format: str, epsilon: float) -> None:
    import keras

    keras.config.set_floatx(floatx)
    keras.config.set_image_data_format(image_data_format)
    keras.config.set_epsilon(epsilon)
    keras.config.set_dtype_policy(policy)
