"""Work as an Apache Beam pipeline: on this machine, or on a cluster of Flink, Spark or Dataflow."""

import contextlib
import io
import json
import logging
import os
import pickle
import platform
import shlex
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, TypeVar

from kits_tf.base.errors import InputError
from kits_tf.base.files import remove_partial, write_text
from kits_tf.base.paths import AnyPath
from kits_tf.base.processes import THREADS
from kits_tf.base.progress import meanwhile
from kits_tf.base.results import Done, Results, do_and_keep
from kits_tf.base.startup import start_tensorflow
from kits_tf.base.words import count_text, listed

T = TypeVar("T")
logger = logging.getLogger(__name__)

# Hidden folder of the workers' notes, beside the results.
NOTES_NAME = ".beam"
# How often an item may be begun: one that ends its worker's process would otherwise end one after the other.
_ATTEMPTS = 2
_REPORT_S = 10.0
_NAMES_SHOWN = 12
_MOST_PARTITIONS = 10_000
# Beam's in-process runner. Its DirectRunner would first fetch another one, Prism, from the network.
_DEFAULT_RUNNER = "--runner=FnApiRunner"
# A worker process may have several threads.
_START = threading.Lock()


def run_on_beam(
    tasks: Sequence[tuple], names: Sequence[str], results: Results[T], options: str
) -> Iterator[tuple[int, Done[T] | InputError]]:
    """Yields (index of the task, what became of it) after the pipeline has ended.

    A worker keeps the result of an item as soon as it is done, so whatever ends first, worker, launcher or cluster, it
    is not done again. An item that two workers began and neither ended fails alone: it killed them.

    Args:
        tasks: arguments of `do_and_keep` for each item, which can be pickled.
        names: name of each item.
        results: store of the results, in a folder that all workers share.
        options: the pipeline's options, as on a command line.

    Raises:
        InputError: apache-beam is missing, an option is wrong, or the pipeline failed: after the results it has.
    """
    beam, notes = _apache_beam(), _Notes(results.folder / NOTES_NAME)
    parsed = _parsed(beam, options, len(tasks))
    notes.clear()
    notes.folder.mkdir(parents=True)
    try:
        with meanwhile(lambda _: _report(notes, len(tasks)), _REPORT_S):
            failure = _run(beam, tasks, notes, parsed)
        ended = notes.ended()
        for index, note in ended.items():
            result = results.read(names[index])
            if isinstance(result, InputError):
                yield index, result
            elif result is not None:
                yield index, Done(result, note.is_new, note.host)
        if failure:
            begun = {
                index: hosts for index in range(len(tasks)) if index not in ended and (hosts := notes.begun(index))
            }
            raise InputError(f"--runner=beam: the pipeline failed: {failure}{_unfinished(begun, names)}")
    finally:
        notes.clear()


@dataclass(frozen=True)
class _Note:
    """What a worker says of an item that it has ended."""

    host: str
    is_new: bool


@dataclass(frozen=True)
class _Notes:
    """What workers say of the items, in files that the launcher reads, however far away it is.

    Attributes:
        folder: folder of the files of one pipeline.
    """

    folder: AnyPath

    def begin(self, index: int) -> None:
        """Notes that this process begins an item.

        Raises:
            InputError: others began it so often, and never ended it, that it must have killed them.
        """
        for attempt in range(_ATTEMPTS):
            path = self._begun(index, attempt)
            if not path.exists():
                write_text(path, platform.node())
                return
        hosts = ", ".join(self.begun(index))
        raise InputError(f"began {_ATTEMPTS} times, on {hosts}, and ended its process each time: memory ran out?")

    def begun(self, index: int) -> list[str]:
        """Returns the hosts that began an item."""
        paths = [self._begun(index, attempt) for attempt in range(_ATTEMPTS)]
        return [path.read_text(encoding="utf-8") for path in paths if path.exists()]

    def has_ended(self, index: int) -> bool:
        """Returns whether an item has ended: an engine gives what a lost worker had done to another one."""
        return (self.folder / f"{index}.json").exists()

    def end(self, index: int, *, is_new: bool) -> None:
        """Notes that this process has ended an item, done or failed."""
        write_text(self.folder / f"{index}.json", json.dumps({"host": platform.node(), "is_new": is_new}))

    def ended(self) -> dict[int, _Note]:
        """Returns the items that have ended, by index."""
        paths: list[AnyPath] = list(self.folder.glob("[0-9]*.json"))
        return {int(path.stem): _Note(**json.loads(path.read_text(encoding="utf-8"))) for path in paths}

    def _begun(self, index: int, attempt: int) -> AnyPath:
        return self.folder / f"{index}.begun-{attempt}"

    def clear(self) -> None:
        """Removes the folder, if it is there."""
        if self.folder.is_dir():
            for path in self.folder.glob("*"):
                path.unlink(missing_ok=True)
            remove_partial(self.folder)
            self.folder.rmdir()


def _unfinished(begun: Mapping[int, list[str]], names: Sequence[str]) -> str:
    texts = [f"{names[index]} on {hosts[-1]}" for index, hosts in begun.items()]
    return f"; begun and not ended: {listed(texts, _NAMES_SHOWN)}" if texts else ""


def _report(notes: _Notes, total: int) -> None:
    """Logs how many items the workers have ended, as nobody else knows."""
    ended = notes.ended()
    hosts = {note.host for note in ended.values()}
    logger.info("%d of %d done by %s", len(ended), total, count_text(len(hosts), "host"))


def _run(beam: ModuleType, tasks: Sequence[tuple], notes: _Notes, options: Any) -> str:
    """Runs the pipeline and returns the error that it failed with; "" if it did not."""
    # Pickled here, so that Beam has nothing to guess about how to send a task.
    elements = [pickle.dumps((index, task)) for index, task in enumerate(tasks)]
    logger = logging.getLogger("apache_beam")
    level = logger.level
    if os.environ.get("KITS_TF_VERBOSE") != "1":
        logger.setLevel(logging.CRITICAL)  # its tracebacks; the error itself is reported
    try:
        pipeline = beam.Pipeline(options=options)
        _ = pipeline | beam.Create(elements) | beam.Reshuffle() | beam.Map(_do, notes)
        state = _wait(pipeline.run())
        return "" if state == "DONE" else f"it ended as {state}"
    except Exception as error:
        return _last_line(str(error)) or type(error).__name__
    finally:
        logger.setLevel(level)


def _wait(started: Any) -> str:
    is_over = False
    try:
        state = started.wait_until_finish() or started.state
        is_over = True
        return state
    finally:
        if not is_over:  # interrupted, or failed already
            with contextlib.suppress(Exception):
                started.cancel()


def _parsed(beam: ModuleType, options: str, num_tasks: int) -> Any:
    """Returns options for Beam; a Dask cluster gets a partition for each item, or all would go to one worker."""
    messages, partitions = io.StringIO(), []
    if "dask" in options and "--dask_npartitions" not in options:
        partitions = [f"--dask_npartitions={min(max(1, num_tasks), _MOST_PARTITIONS)}"]
    try:
        with contextlib.redirect_stderr(messages):
            parsed = beam.options.pipeline_options.PipelineOptions(
                [_DEFAULT_RUNNER, *partitions, *shlex.split(options)]
            )
            parsed.get_all_options()
            return parsed
    except ValueError as error:  # shlex's
        raise InputError(f"--beam_options: {error}, got {options}") from None
    except SystemExit:  # argparse's
        raise InputError(f"--beam_options: {_last_line(messages.getvalue())}") from None


def _do(element: bytes, notes: _Notes) -> None:
    """Does one item on a worker."""
    with _START:
        if "tensorflow" not in sys.modules:
            os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
            start_tensorflow(THREADS)
    index, task = pickle.loads(element)
    if notes.has_ended(index):
        return
    _, results, name, *_ = task
    is_new = True
    try:
        notes.begin(index)
    except InputError as error:
        results.fail(name, error)
    else:
        with contextlib.suppress(InputError):  # which is kept as the result
            is_new = do_and_keep(*task).is_new
    notes.end(index, is_new=is_new)


def _last_line(text: str) -> str:
    return text.strip().rpartition("\n")[2].strip()


def _apache_beam() -> ModuleType:
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)  # it complains of parts of Google Cloud that are not installed
    try:
        import apache_beam
    except ModuleNotFoundError:
        raise InputError("--runner=beam needs apache-beam: pip install 'kits_tf[beam]'") from None
    finally:
        logging.disable(before)
    return apache_beam
