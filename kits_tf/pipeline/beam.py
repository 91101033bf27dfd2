"""Work as an Apache Beam pipeline: on this machine, or on a cluster of Flink, Spark or Dataflow."""

import contextlib
import io
import json
import logging
import os
import pickle
import shlex
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from types import ModuleType
from typing import Any

from kits_tf.base.errors import InputError
from kits_tf.base.files import remove_partial, write_text
from kits_tf.base.paths import AnyPath
from kits_tf.base.processes import THREADS
from kits_tf.base.startup import start_tensorflow
from kits_tf.pipeline.case_conversion import ConvertedCase
from kits_tf.pipeline.manifest import JSON

RESULTS_NAME = ".beam-results"
# Beam's in-process runner. Its DirectRunner would first fetch another one, Prism, from the network.
_DEFAULT_RUNNER = "--runner=FnApiRunner"
# A worker process may have several threads.
_START = threading.Lock()


def run_on_beam(
    function: Callable[..., ConvertedCase], tasks: Sequence[tuple], folder: AnyPath, options: str
) -> Iterator[tuple[int, ConvertedCase | InputError]]:
    """Yields (index of the task, result) after the pipeline has ended; for bad input the error is the result.

    Args:
        function: function that can be imported by name, here and on the workers, called with the items of a task.
        tasks: arguments of each call, which can be pickled.
        folder: folder where workers leave results for this process, under a hidden name.
        options: the pipeline's options, as on a command line.

    Raises:
        InputError: apache-beam is missing, an option is wrong, or the pipeline failed: after the results it has.
    """
    beam, results = _apache_beam(), folder / RESULTS_NAME
    parsed = _parsed(beam, options)
    _remove(results)
    results.mkdir()
    try:
        failure = _run(beam, function, tasks, results, parsed)
        for path in _files(results):
            yield int(path.name.removesuffix(".json")), _read(path)
        if failure:
            raise InputError(f"--runner=beam: the pipeline failed: {failure}")
    finally:
        _remove(results)


def _run(beam: ModuleType, function: Callable, tasks: Sequence[tuple], results: AnyPath, options: Any) -> str:
    """Runs the pipeline and returns the error that it failed with; "" if it did not."""
    # Pickled here, so that Beam has nothing to guess about how to send a task.
    elements = [pickle.dumps((index, task)) for index, task in enumerate(tasks)]
    logger = logging.getLogger("apache_beam")
    level = logger.level
    if os.environ.get("KITS_TF_VERBOSE") != "1":
        logger.setLevel(logging.CRITICAL)  # its tracebacks; the error itself is reported
    try:
        pipeline = beam.Pipeline(options=options)
        _ = pipeline | beam.Create(elements) | beam.Reshuffle() | beam.Map(_do, function, results)
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


def _parsed(beam: ModuleType, options: str) -> Any:
    messages = io.StringIO()
    try:
        with contextlib.redirect_stderr(messages):
            parsed = beam.options.pipeline_options.PipelineOptions([_DEFAULT_RUNNER, *shlex.split(options)])
            parsed.get_all_options()
            return parsed
    except ValueError as error:  # shlex's
        raise InputError(f"--beam_options: {error}, got {options}") from None
    except SystemExit:  # argparse's
        raise InputError(f"--beam_options: {_last_line(messages.getvalue())}") from None


def _do(element: bytes, function: Callable[..., ConvertedCase], results: AnyPath) -> None:
    """Does one task on a worker and leaves its result as a file, however far away the launcher is."""
    with _START:
        if "tensorflow" not in sys.modules:
            os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
            start_tensorflow(THREADS)
    index, task = pickle.loads(element)
    try:
        content: dict[str, Any] = {"converted": asdict(function(*task))}
    except InputError as error:
        content = {"failed": str(error)}
    write_text(results / f"{index:06d}.json", json.dumps(content))


def _read(path: AnyPath) -> ConvertedCase | InputError:
    content = json.loads(path.read_text(encoding="utf-8"))
    return InputError(content["failed"]) if "failed" in content else JSON.structure(content["converted"], ConvertedCase)


def _remove(results: AnyPath) -> None:
    if results.is_dir():
        remove_partial(results)
        for path in _files(results):
            path.unlink(missing_ok=True)
        results.rmdir()


def _files(results: AnyPath) -> list[AnyPath]:
    return sorted(results.glob("[0-9]*.json"))


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
