"""Starting TensorFlow: quietly, with oneDNN's kernels, and with float32 that is float32."""

import contextlib
import os
from collections.abc import Iterator

from tfrecords_tools.silent_import import silent_import


@contextlib.contextmanager
def quiet_start() -> Iterator[None]:
    """Imports of TensorFlow within, a plugin's too, choose oneDNN's kernels and hold back what they write to stderr."""
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    with silent_import() if _is_quiet() else contextlib.nullcontext():
        yield


def start_tensorflow(threads: int | None = None) -> None:
    """Imports TensorFlow with oneDNN's kernels, and without its start-up messages: KITS_TF_VERBOSE=1 keeps those.

    TensorFlow 2.21 by itself takes oneDNN's kernels only on processors with AVX-512 VNNI and newer, but with AVX2 alone
    training is several times as fast with them (BUILD.md). TF_ENABLE_ONEDNN_OPTS=0 does without. What the import writes
    to stderr is held back, and shown only if it fails. TF32 is off.

    Args:
        threads: number of threads that one operation may use; no effect if TensorFlow runs already. oneDNN's matrix
            products have other last bits with another number of threads.
    """
    with quiet_start():
        import tensorflow as tf

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


def _is_quiet() -> bool:
    return os.environ.get("KITS_TF_VERBOSE") != "1"
