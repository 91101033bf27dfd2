"""Starting TensorFlow: quietly, with oneDNN's kernels, with float32 that is float32, and Keras on top of it."""

import contextlib
import os
from collections.abc import Iterator, Mapping

from kits_tf.base.errors import InputError
from kits_tf.base.progress import still_working
from tfrecords_tools.silent_import import silent_import

# Keras, when it is imported, takes another project's backend, float type, axis order and limits of epochs from here.
KERAS_ENVIRONMENT = {
    "KERAS_BACKEND": "tensorflow",
    "KERAS_HOME": os.devnull,  # no folder: Keras neither reads nor writes a keras.json
    "KERAS_MAX_EPOCHS": None,
    "KERAS_MAX_STEPS_PER_EPOCH": None,
}


@contextlib.contextmanager
def environment_of(variables: Mapping[str, str | None]) -> Iterator[None]:
    """Sets variables of the environment, for processes that are started within too; None takes one away."""
    before = {name: os.environ.get(name) for name in variables}
    _set_environment(variables)
    try:
        yield
    finally:
        _set_environment(before)


@contextlib.contextmanager
def quiet_start() -> Iterator[None]:
    """Imports of TensorFlow within, a plugin's too, choose oneDNN's kernels and hold back what they write to stderr.

    Keras gets TensorFlow for its backend and its own defaults, whatever the environment and keras.json say.
    """
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    with environment_of(KERAS_ENVIRONMENT), silent_import() if _is_quiet() else contextlib.nullcontext():
        yield


def start_tensorflow(threads: int | None = None, *, with_keras: bool = True) -> None:
    """Imports TensorFlow with oneDNN's kernels, and without its start-up messages: KITS_TF_VERBOSE=1 keeps those.

    A program that has imported Keras already keeps its settings (`devices.layers_in` has ours), but for the backend
    there is no choice any more.

    TensorFlow 2.21 by itself takes oneDNN's kernels only on processors with AVX-512 VNNI and newer, but with AVX2 alone
    training is several times as fast with them (BUILD.md). TF_ENABLE_ONEDNN_OPTS=0 does without. What the import writes
    to stderr is held back, and shown only if it fails. TF32 is off.

    Args:
        threads: number of threads that one operation may use; no effect if TensorFlow runs already. oneDNN's matrix
            products have other last bits with another number of threads.
        with_keras: whether Keras is imported too.

    Raises:
        InputError: Keras has been imported before, with another backend.
    """
    with still_working("starting TensorFlow"), quiet_start():
        import tensorflow as tf

        if with_keras:
            _check_backend()

        # The first search for devices writes messages of its own.
        tf.config.list_physical_devices()
    # A GPU would round factors to 10 bits, also where scans and logits are resampled.
    # Training takes bfloat16 or float16 there anyway.
    tf.config.experimental.enable_tensor_float_32_execution(False)
    if _is_quiet():
        tf.get_logger().setLevel("ERROR")
    if threads:
        with contextlib.suppress(RuntimeError):  # it runs already
            tf.config.threading.set_intra_op_parallelism_threads(threads)


def _check_backend() -> None:
    import keras

    version = getattr(keras, "__version__", "no version")
    if version.partition(".")[0] != "3":
        raise InputError(
            f"Keras: expected version 3, got {version} from {keras.__file__}, which Python finds first: is it in this "
            "folder or on PYTHONPATH?"
        )
    backend = keras.config.backend()
    if backend != "tensorflow":
        raise InputError(
            f"Keras: expected the backend tensorflow, got {backend}: the program imported Keras with it before "
            "kits_tf; os.environ['KERAS_BACKEND'] = 'tensorflow' must come before its first import of Keras"
        )


def _set_environment(variables: Mapping[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _is_quiet() -> bool:
    return os.environ.get("KITS_TF_VERBOSE") != "1"
