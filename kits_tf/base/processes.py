"""Tasks in worker processes, none of which sees a GPU; one that dies fails its task, not the run."""

import contextlib
import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, as_completed
from multiprocessing import resource_tracker
from typing import TypeVar

from pebble import ProcessExpired, ProcessPool

from kits_tf.base.errors import InputError
from kits_tf.base.registry import import_plugins, inherited_plugins
from kits_tf.base.startup import KERAS_ENVIRONMENT, environment_of, start_tensorflow
from kits_tf.base.words import count_text

logger = logging.getLogger(__name__)

T = TypeVar("T")
Initializer = Callable[[], None]
# Large arrays come and go, and fresh pages for them take a sixth of a conversion's time (docs/conversion.md). So, where
# the C library is glibc: huge pages, taken from one heap, and what was freed is kept for the next array.
_MALLOC = ("hugetlb=1", "arena_max=1", "mmap_max=0", f"trim_threshold={1 << 40}")
_ENVIRONMENT = KERAS_ENVIRONMENT | {
    "CUDA_VISIBLE_DEVICES": "-1",
    # With Keras 2 in its place, TensorFlow does not import Keras 3, which no conversion needs: a third of its import.
    "TF_USE_LEGACY_KERAS": "1",
    "GLIBC_TUNABLES": ":".join(f"glibc.malloc.{setting}" for setting in _MALLOC),
}
# Threads of a worker process. With another number, some values of a record would have other last bits.
THREADS = 1
# Memory that the largest case of KiTS19 takes, besides TensorFlow's own: docs/geometry.md has the measurement.
BYTES_PER_WORKER = 3 * 10**9


def choose_workers(workers: int, num_tasks: int) -> int:
    """Returns how many processes to start: `workers`, or for 0 as many as cores and free memory allow; at least one."""
    if not workers:
        memory = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        workers = min(len(os.sched_getaffinity(0)), memory // BYTES_PER_WORKER)
    return max(1, min(workers, num_tasks))


def run_tasks(
    function: Callable[..., T], tasks: Sequence[tuple], workers: int, initializer: Initializer | None = None
) -> Iterator[tuple[int, T | InputError]]:
    """Runs tasks and yields (index, result) as `run_in_processes` does.

    With one worker they run in this process, since starting one takes seconds.

    Args:
        function: function that can be imported by name, called with the items of a task as its arguments.
        tasks: arguments of each call, which can be pickled.
        workers: number of processes; 0: by cores and memory (`choose_workers`).
        initializer: function that each process calls first.
    """
    workers = choose_workers(workers, len(tasks))
    if workers == 1:
        return run_here(function, tasks)
    return run_in_processes(function, tasks, workers, initializer)


def run_here(function: Callable[..., T], tasks: Sequence[tuple]) -> Iterator[tuple[int, T | InputError]]:
    """Yields what `run_in_processes` does, one task after the other in this process."""
    for index, task in enumerate(tasks):
        try:
            yield index, function(*task)
        except InputError as error:
            yield index, error


def run_in_processes(
    function: Callable[..., T], tasks: Sequence[tuple], workers: int, initializer: Initializer | None = None
) -> Generator[tuple[int, T | InputError], None, None]:
    """Yields (index of the task, result) as they are done; for bad input or a dead process the error is the result.

    Args:
        function: function that can be imported by name, called with the items of a task as its arguments.
        tasks: arguments of each call, which can be pickled.
        workers: number of processes.
        initializer: function that each process calls first, as `start_tensorflow_in_worker`.

    Raises:
        Exception: any other error of `function`; the other processes are stopped, as after an interrupt.
    """
    logger.info("starting %s", count_text(workers, "worker"))
    with environment_of(_ENVIRONMENT):
        context = multiprocessing.get_context("spawn")
        pool = ProcessPool(workers, initializer=_start_worker, initargs=[initializer], context=context)
        try:
            resource_tracker.ensure_running()  # which unblocks what is blocked, when the first process starts it
            with _interrupts_blocked():  # which the pool's threads inherit, and its processes from these
                indices: dict[Future, int] = {pool.schedule(function, args=task): i for i, task in enumerate(tasks)}
            for future in as_completed(indices):
                yield indices[future], _outcome(future)
            pool.close()
        finally:
            pool.stop()
            pool.join()


def _outcome(future: "Future[T]") -> T | InputError:
    try:
        return future.result()
    except InputError as error:
        return error
    except ProcessExpired as error:
        return InputError(f"its process died with exit status {error.exitcode}, perhaps because memory ran out")


@contextlib.contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Blocks SIGINT in this thread: a process that still imports would end with a traceback after Ctrl-C."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def start_tensorflow_in_worker() -> None:
    """Starts TensorFlow with one thread for each operation; the initializer of work that needs TensorFlow."""
    start_tensorflow(THREADS, with_keras=False)


def _start_worker(initializer: Initializer | None) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interrupt means
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    import_plugins(inherited_plugins())
    if initializer:
        initializer()


def _end_with_parent() -> None:
    # A parent that was killed cannot stop its workers, and another run may have begun in its place.
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
