"""The process and its devices: quiet logs, memory, precision, versions, and how far work is."""

import contextlib
import ctypes
import importlib.metadata
import importlib.util
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from time import monotonic
from typing import TypeVar

from kits_tf import __version__
from kits_tf.errors import InputError
from tfrecords_tools.quiet import quiet_start

T = TypeVar("T")
# Commands import this module first.
_START = monotonic()
# malloc.h
_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8
_PACKAGES = ("tensorflow", "keras", "numpy", "nibabel")


def start_tensorflow(threads: int | None = None) -> None:
    """Imports TensorFlow with oneDNN's kernels, and without its start-up messages: KITS_TF_VERBOSE=1 keeps those.

    TensorFlow 2.21 by itself takes oneDNN's kernels only on processors with AVX-512 VNNI and newer, but with AVX2 alone
    training is several times as fast with them (BUILD.md). TF_ENABLE_ONEDNN_OPTS=0 does without. What the import writes
    to stderr is held back, and shown only if it fails. TF32 is off.

    Args:
        threads: that one operation may use, unless TensorFlow runs already. oneDNN's matrix products have other last
            bits with another number of threads.
    """
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    quiet = os.environ.get("KITS_TF_VERBOSE") != "1"
    with quiet_start() if quiet else contextlib.nullcontext():
        import tensorflow as tf

        # The first look for devices has its own messages.
        tf.config.list_physical_devices()
    # A GPU would round factors to 10 bits, also those that resample scans and logits: float32 is to mean float32.
    # Training takes bfloat16 or float16 there anyway.
    tf.config.experimental.enable_tensor_float_32_execution(False)
    if quiet:
        tf.get_logger().setLevel("ERROR")
    if threads:
        with contextlib.suppress(RuntimeError):  # it runs already
            tf.config.threading.set_intra_op_parallelism_threads(threads)


def has_matplotlib() -> bool:
    """Returns whether matplotlib, which only figures need, is installed."""
    return importlib.util.find_spec("matplotlib") is not None


def require(extra: str, *modules: str) -> None:
    """Raises InputError if one of the modules that an extra brings is not installed."""
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(f"expected {', '.join(missing)} to be installed: pip install 'kits_tf[{extra}]'")


def keep_freed_memory() -> None:
    """Makes the C library keep freed memory for the next array, for a process that needs the same again and again.

    glibc maps every array of megabytes anew and gives it back when it is freed; each page then costs a fault and is
    zeroed. An input pipeline spends more time on that than on reading and parsing. To be called before there are
    threads. Elsewhere it does nothing.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt:
        # Each further arena would give back what is freed, whatever the threshold.
        mallopt(_M_ARENA_MAX, 1)
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def return_freed_memory() -> None:
    """Makes the C library give freed memory back to the machine, for a server after a large request.

    Each of glibc's arenas, one a thread, keeps what was freed in it. Elsewhere it does nothing.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim:
        trim(0)


def device_memory() -> int | None:
    """Returns the bytes that TensorFlow may take of each GPU, or all of the machine's where there is none.

    None where nobody knows.
    """
    import tensorflow as tf
    from tensorflow.python.client import device_lib

    if tf.config.list_physical_devices("GPU"):
        return min((d.memory_limit for d in device_lib.list_local_devices() if d.device_type == "GPU"), default=None)
    if not {"SC_PHYS_PAGES", "SC_PAGE_SIZE"} <= set(os.sysconf_names):
        return None
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def choose_precision(wanted: str) -> str:
    """Returns Keras' name of a precision; what "auto" is depends on the machine.

    float32 on a CPU; mixed_bfloat16 on GPUs that compute in it (compute capability 8 and newer), else mixed_float16.
    """
    import tensorflow as tf

    if wanted != "auto":
        return wanted
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return "float32"
    details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
    return "mixed_bfloat16" if all(d.get("compute_capability", (0, 0)) >= (8, 0) for d in details) else "mixed_float16"


@contextlib.contextmanager
def layers_in(precision: str) -> Iterator[None]:
    """Makes layers that are built within compute in that precision."""
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def environment() -> dict:
    """Returns what a colleague needs to know of this run: versions, platform, devices, git revision."""
    import tensorflow as tf

    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": package_versions(),
        "devices": [device.name for device in tf.config.list_physical_devices()],
        "git_revision": git_revision(),
    }


def git_revision() -> str | None:
    """Returns the commit that kits_tf runs from, with "-dirty" after uncommitted changes; None outside a clone."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        found = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return found.stdout.strip() or None if found.returncode == 0 else None


def seconds_since_start() -> float:
    """Returns how long this process has been running, but for the start of Python."""
    return monotonic() - _START


def progress(items: Iterable[T], name: str, total: int) -> Iterator[T]:
    """Yields the items, saying before each how many are done and how long the rest may take."""
    start = monotonic()
    for done, item in enumerate(items):
        print(f"{name} {done + 1}/{total} ({pace(done, total, start)})", flush=True)
        yield item
    print(f"{name}: {total} done in {monotonic() - start:.0f} s", flush=True)


def tell_on_terminal(name: str) -> Callable[[int, int], None] | None:
    """Returns what shows on a line that changes how many of how many are done; None where stdout is no terminal."""

    def tell(done: int, total: int) -> None:
        print(f"  {name} {done}/{total}", end="\r" if done < total else "\x1b[K\r", flush=True)

    return tell if sys.stdout.isatty() else None


def pace(done: int, total: int, start: float) -> str:
    """Returns how long `done` of `total` have taken since `start`, their rate, and how long the rest may take."""
    passed = monotonic() - start
    if done == 0:
        return f"{passed:.0f} s"
    left = f", about {passed / done * (total - done):.0f} s left" if done < total else ""
    return f"{passed:.0f} s, {60 * done / max(passed, 1e-3):.1f} a minute{left}"


def package_versions() -> dict[str, str]:
    """Returns the versions of the packages that decide what a run computes."""
    installed = {name: _version(name) for name in _PACKAGES}
    return {"kits_tf": __version__} | {name: version for name, version in installed.items() if version}


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
