"""The same work on many items, spread: over processes, over the machines of a Beam pipeline, or in this process."""

import contextlib
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from kits_tf.base.beam import run_on_beam
from kits_tf.base.errors import InputError
from kits_tf.base.processes import THREADS, choose_workers, run_here, run_in_processes, start_tensorflow_in_worker
from kits_tf.base.results import Done, Results, do_and_keep
from kits_tf.base.startup import start_tensorflow

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Work(Generic[T]):
    """Items, what is done to each, and where its result is kept.

    Attributes:
        function: function that can be imported by name, of the items of a task and of the earlier result; see
            `do_and_keep`.
        names: name of each item.
        tasks: arguments for each item, which can be pickled.
        results: store of the results.
    """

    function: Callable[..., T]
    names: Sequence[str]
    tasks: Sequence[tuple]
    results: Results[T]


def spread(work: Work[T], runner: str, workers: int, beam_options: str) -> Iterator[tuple[int, Done[T] | InputError]]:
    """Yields (index of the item, what became of it) in any order, and keeps each result.

    Args:
        work: what to do.
        runner: "processes", "here" or "beam".
        workers: number of processes, see `choose_workers`.
        beam_options: options of the Beam pipeline, as on a command line.

    Raises:
        InputError: Beam's pipeline cannot be run, or failed.
        Exception: any other error of the function; other processes are stopped.
    """
    tasks = [(work.function, work.results, name, *task) for name, task in zip(work.names, work.tasks, strict=True)]
    if runner == "processes":
        num_processes = choose_workers(workers, len(tasks))
        outcomes = run_in_processes(do_and_keep, tasks, num_processes, start_tensorflow_in_worker)
        return _with_deaths_kept(outcomes, work)
    if runner == "beam":
        return run_on_beam(tasks, work.names, work.results, beam_options)
    start_tensorflow(THREADS)
    return run_here(do_and_keep, tasks)


def _with_deaths_kept(
    outcomes: Generator[tuple[int, Done[T] | InputError], None, None], work: Work[T]
) -> Iterator[tuple[int, Done[T] | InputError]]:
    """Yields the outcomes; an item whose process died has not kept its failure itself, and has no result any more."""
    with contextlib.closing(outcomes):
        for index, outcome in outcomes:
            name = work.names[index]
            if isinstance(outcome, InputError) and not isinstance(work.results.read(name), InputError):
                work.results.fail(name, outcome)
            yield index, outcome
