"""A whole conversion: the folder locked, cases done in any order, the manifest always true."""

import contextlib
import fcntl
from collections.abc import Iterator, Sequence
from time import monotonic

from kits_tf.base.errors import InputError
from kits_tf.base.files import remove_partial
from kits_tf.base.paths import AnyPath, GFilePath, as_path
from kits_tf.base.processes import THREADS, choose_workers, run_here, run_in_processes, start_tensorflow_in_worker
from kits_tf.base.progress import pace
from kits_tf.base.startup import start_tensorflow
from kits_tf.config import ConversionSettings, GridSettings
from kits_tf.ct.layouts import CaseFiles
from kits_tf.pipeline.beam import run_on_beam
from kits_tf.pipeline.manifest import Manifest
from kits_tf.pipeline.plan import Converted, converted_before, shard_name, start_manifest

LOCK_NAME = ".lock"


def convert_all(settings: ConversionSettings, cases: list[CaseFiles]) -> Manifest:
    """Returns the manifest of all cases, converted now or before.

    Raises:
        InputError: the folder is another run's, or has records of other settings, or some cases failed: the others
            are converted, and what is wrong with each was printed.
        OSError: the folder cannot be written.
    """
    records_dir = as_path(settings.records_dir)
    records_dir.mkdir(parents=True, exist_ok=True)
    with locked(records_dir):
        manifest = start_manifest(settings, cases)
        remove_partial(records_dir)
        before = [converted_before(manifest, case.case_id, records_dir) for case in cases]
        manifest.write(records_dir)
        try:
            failed = _convert(settings, cases, before, manifest)
        finally:
            remove_partial(records_dir)
    if failed:
        raise InputError(f"{failed} of {len(cases)} cases failed; run convert again once they are mended or excluded")
    return manifest


def _convert(
    settings: ConversionSettings, cases: list[CaseFiles], before: Sequence[Converted | None], manifest: Manifest
) -> int:
    """Fills the manifest, after each case also on disk, and returns how many cases failed."""
    records_dir, start, failed, unchanged = as_path(settings.records_dir), monotonic(), 0, 0
    tasks = [(case, settings.grid, records_dir, known) for case, known in zip(cases, before, strict=True)]
    for done, (index, result) in enumerate(_results(settings, tasks), start=1):
        case_id = cases[index].case_id
        if isinstance(result, Converted) and result == before[index]:
            unchanged += 1
            continue
        if isinstance(result, InputError):
            failed += 1
            manifest.remove(case_id, shard_name(case_id), records_dir)
            told = f"FAILED: {result}"
        else:
            manifest.shards[result.name], manifest.cases[case_id] = result.shard, result.entry
            told = f"{result.shard.num_bytes / 1e6:.1f} MB, {result.entry}"
        manifest.write(records_dir)
        print(f"case {done}/{len(cases)} {case_id}: {told} ({pace(done, len(cases), start)})", flush=True)
    if unchanged:
        print(f"{unchanged} cases were converted already")
    return failed


def _results(settings: ConversionSettings, tasks: list[tuple]) -> Iterator[tuple[int, Converted | InputError]]:
    if settings.runner == "processes":
        workers = choose_workers(settings.workers, len(tasks))
        return run_in_processes(_convert_case, tasks, workers, start_tensorflow_in_worker)
    if settings.runner == "beam":
        return run_on_beam(_convert_case, tasks, as_path(settings.records_dir), settings.beam_options)
    start_tensorflow(THREADS)
    return run_here(_convert_case, tasks)


def _convert_case(files: CaseFiles, grid: GridSettings, records_dir: AnyPath, before: Converted | None) -> Converted:
    # TensorFlow takes seconds to import: only where cases are converted.
    from kits_tf.pipeline.shards import convert_case

    return convert_case(files, grid, records_dir, before)


@contextlib.contextmanager
def locked(directory: AnyPath) -> Iterator[None]:
    """Holds a folder against other runs; the system lets go of it however this one ends.

    A remote folder has no such lock: that no other conversion writes to it is the caller's to know.

    Raises:
        InputError: another run holds it.
    """
    if isinstance(directory, GFilePath):
        yield
        return
    with open(directory / LOCK_NAME, "a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"{directory}: another conversion is writing to it") from None
        yield
