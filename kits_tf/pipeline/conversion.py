"""A whole conversion: the folder locked, cases in any order, the manifest always consistent with the shards."""

import contextlib
import dataclasses
import logging
from collections.abc import Iterator
from time import monotonic

from kits_tf.base.errors import InputError
from kits_tf.base.failures import Failures
from kits_tf.base.files import remove_partial
from kits_tf.base.locks import locked
from kits_tf.base.paths import AnyPath, as_path
from kits_tf.base.processes import THREADS, choose_workers, run_here, run_in_processes, start_tensorflow_in_worker
from kits_tf.base.progress import awaited, pace
from kits_tf.base.provenance import package_versions
from kits_tf.base.startup import start_tensorflow
from kits_tf.config import ConversionSettings
from kits_tf.ct.layouts import CaseFiles, data_note
from kits_tf.pipeline.beam import run_on_beam
from kits_tf.pipeline.case_conversion import ConvertedCase, convert_case, shard_name
from kits_tf.pipeline.manifest import Manifest
from kits_tf.pipeline.splits import assign_splits, make_folds
from tfrecords_tools.index import MANIFEST_NAME

logger = logging.getLogger(__name__)


def convert_all(settings: ConversionSettings, cases: list[CaseFiles]) -> Manifest:
    """Returns the manifest of all cases, converted now or by an earlier run.

    Each case is logged when it is done, with what is wrong with it if it failed.

    Raises:
        InputError: the folder is another run's, or has records of other settings, or some cases failed: the others
            are converted.
        OSError: the folder cannot be written.
    """
    records_dir = as_path(settings.records_dir)
    records_dir.mkdir(parents=True, exist_ok=True)
    with locked(records_dir, "conversion"):
        manifest = _start_manifest(settings, cases, records_dir)
        remove_partial(records_dir)
        manifest.write(records_dir)
        try:
            failures = _convert(settings, cases, records_dir, manifest)
        finally:
            remove_partial(records_dir)
    failures.check("; run convert again once they are mended or excluded")
    return manifest


def _start_manifest(settings: ConversionSettings, cases: list[CaseFiles], records_dir: AnyPath) -> Manifest:
    """Returns the manifest to fill: a new one, or that of an earlier run with the same settings.

    Raises:
        InputError: the folder has a manifest of other settings or cases, or one that cannot be read.
    """
    splits = assign_splits(cases, settings.splits, settings.seed)
    manifest = Manifest(
        data_dir=str(as_path(settings.data_dir).resolve()),
        seed=settings.seed,
        grid=settings.grid,
        splitting=settings.splits,
        splits=splits,
        folds=make_folds(splits, settings.splits.num_folds, settings.seed),
        versions=package_versions(),
        data_note=settings.data_note or data_note(settings.data_dir),
    )
    if not (records_dir / MANIFEST_NAME).exists():
        return manifest
    earlier = Manifest.read(records_dir)
    if differences := earlier.differences(manifest):
        raise InputError(f"{records_dir}: holds records of other settings: {'; '.join(differences)}; use a new folder")
    return dataclasses.replace(manifest, shards=earlier.shards, cases=earlier.cases)


def _earlier_result(manifest: Manifest, case_id: str, records_dir: AnyPath) -> ConvertedCase | None:
    """Returns the result of an earlier run for a case; None if its shard is not there in full length."""
    name = shard_name(case_id)
    shard, entry = manifest.shards.get(name), manifest.cases.get(case_id)
    path = records_dir / name
    if shard is None or entry is None or not path.is_file() or path.stat().st_size != shard.num_bytes:
        return None
    return ConvertedCase(name=name, shard=shard, entry=entry)


def _convert(
    settings: ConversionSettings, cases: list[CaseFiles], records_dir: AnyPath, manifest: Manifest
) -> Failures:
    """Fills the manifest, writes it after each case, and returns the cases that failed."""
    earlier = [_earlier_result(manifest, case.case_id, records_dir) for case in cases]
    tasks = [(case, settings.grid, records_dir, result) for case, result in zip(cases, earlier, strict=True)]
    start = monotonic()
    failures = Failures("case", len(cases))
    num_unchanged = 0
    # Closed at once after an interrupt: no process writes any more when what it left half-written is removed.
    with contextlib.closing(awaited(_results(settings, tasks, records_dir), "converting")) as results:
        for done, (index, result) in enumerate(results, start=1):
            if isinstance(result, ConvertedCase) and result == earlier[index]:
                num_unchanged += 1
                continue
            case_id = cases[index].case_id
            if isinstance(result, InputError):
                manifest.remove(case_id, shard_name(case_id), records_dir)
                manifest.write(records_dir)
                failures.note(case_id, result)
                continue
            manifest.shards[result.name], manifest.cases[case_id] = result.shard, result.entry
            manifest.write(records_dir)
            # After the manifest is written, so that no case is reported and then lost.
            outcome = f"{result.shard.num_bytes / 1e6:.1f} MB, {result.entry}"
            logger.info("case %d/%d %s: %s (%s)", done, len(cases), case_id, outcome, pace(done, len(cases), start))
    if num_unchanged:
        logger.info("%d cases were converted already", num_unchanged)
    return failures


def _results(
    settings: ConversionSettings, tasks: list[tuple], records_dir: AnyPath
) -> Iterator[tuple[int, ConvertedCase | InputError]]:
    """Yields (index of the task, result) of each case, in any order."""
    if settings.runner == "processes":
        workers = choose_workers(settings.workers, len(tasks))
        return run_in_processes(convert_case, tasks, workers, start_tensorflow_in_worker)
    if settings.runner == "beam":
        return run_on_beam(convert_case, tasks, records_dir, settings.beam_options)
    start_tensorflow(THREADS)
    return run_here(convert_case, tasks)
