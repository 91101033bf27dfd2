"""A whole conversion: the folder locked, cases in any order, the manifest always consistent with the shards."""

import contextlib
import dataclasses
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from time import monotonic

from kits_tf.base.errors import InputError
from kits_tf.base.failures import Failures
from kits_tf.base.files import remove_partial
from kits_tf.base.locks import locked
from kits_tf.base.parts import SUMMARY, WHOLE, Part, parse_part
from kits_tf.base.paths import AnyPath, as_path
from kits_tf.base.progress import awaited, pace
from kits_tf.base.provenance import package_versions
from kits_tf.base.results import RESULTS_NAME, Done, Results
from kits_tf.base.spread import Work, spread
from kits_tf.base.words import listed
from kits_tf.config import ConversionSettings
from kits_tf.ct.layouts import CaseFiles, data_note
from kits_tf.pipeline.case_conversion import ConvertedCase, convert_case, shard_name
from kits_tf.pipeline.manifest import Manifest
from kits_tf.pipeline.splits import assign_splits, make_folds
from tfrecords_tools.index import MANIFEST_NAME

logger = logging.getLogger(__name__)

_NAMES_SHOWN = 12


def convert_all(settings: ConversionSettings, cases: list[CaseFiles]) -> Manifest:
    """Returns the manifest of all cases, converted now or by earlier runs and other parts.

    Each case is logged when it is done, with what is wrong with it if it failed.

    Raises:
        InputError: the folder is another run's, or has records of other settings, or some cases failed: the others
            are converted; for the summary of parts, that cases are missing.
        OSError: the folder cannot be written.
    """
    part, records_dir = parse_part(settings.part), as_path(settings.records_dir)
    records_dir.mkdir(parents=True, exist_ok=True)
    conversion = _Conversion(settings, cases, records_dir)
    if part in (WHOLE, SUMMARY):
        with locked(records_dir, "conversion"):
            return conversion.whole(part)
    with locked(records_dir, "conversion", shared=True):
        manifest = conversion.start()
        failures = conversion.convert(part)
    with contextlib.suppress(InputError), locked(records_dir, "conversion"):  # the last part that ends
        manifest = conversion.collected(manifest)
    failures.check("; run this part again once they are mended")
    return manifest


@dataclass(frozen=True)
class _Conversion:
    """A conversion: its cases, and where their shards and results lie."""

    settings: ConversionSettings
    cases: list[CaseFiles]
    records_dir: AnyPath

    @property
    def results(self) -> Results[ConvertedCase]:
        return Results(self.records_dir / RESULTS_NAME, ConvertedCase)

    def whole(self, part: Part) -> Manifest:
        """Converts all cases, or none for the summary, while nobody else writes to the folder."""
        manifest = self.start()
        remove_partial(self.records_dir)
        try:
            failures = self.convert(part)
        finally:
            remove_partial(self.records_dir)
            remove_partial(self.results.folder)
            manifest = self.collected(manifest)
        failures.check("; run convert again once they are mended or excluded")
        if part.is_summary and not manifest.is_complete:
            raise InputError(self._missing(manifest))
        return manifest

    def start(self) -> Manifest:
        """Returns the manifest to fill, which is written if there is none.

        Raises:
            InputError: the folder has a manifest of other settings or cases, or one that cannot be read.
        """
        manifest = _new_manifest(self.settings, self.cases)
        if (self.records_dir / MANIFEST_NAME).exists():
            earlier = Manifest.read(self.records_dir)
            if differences := earlier.differences(manifest):
                raise InputError(
                    f"{self.records_dir}: holds records of other settings: {'; '.join(differences)}; use a new folder"
                )
            if not self.results.folder.is_dir():
                self._keep_results_of(earlier)
        else:
            manifest.write(self.records_dir)
        return manifest

    def _keep_results_of(self, earlier: Manifest) -> None:
        """Keeps the results of records of a version that had them in the manifest alone; digests of files decide."""
        for case_id, entry in earlier.cases.items():
            name = shard_name(case_id)
            if name in earlier.shards:
                result = ConvertedCase(name=name, shard=earlier.shards[name], entry=entry, grid=earlier.grid, stamps=())
                self.results.write(case_id, result)

    def collected(self, manifest: Manifest) -> Manifest:
        """Returns a manifest with all cases that are converted, and writes it."""
        shards, entries = {}, {}
        for case in self.cases:
            result = self.results.read(case.case_id)
            if isinstance(result, ConvertedCase) and result.grid == self.settings.grid:
                shards[result.name], entries[case.case_id] = result.shard, result.entry
        manifest = dataclasses.replace(manifest, shards=shards, cases=entries)
        manifest.write(self.records_dir)
        return manifest

    def convert(self, part: Part) -> Failures:
        """Converts the cases of a part, and returns those that failed."""
        cases = [self.cases[index] for index in part.items([_size(case) for case in self.cases])]
        work = Work(
            function=convert_case,
            names=[case.case_id for case in cases],
            tasks=[(case, self.settings.grid, self.records_dir) for case in cases],
            results=self.results,
        )
        outcomes = spread(work, self.settings.runner, self.settings.workers, self.settings.beam_options)
        # Closed at once after an interrupt: no process writes any more when what it left half-written is removed.
        with contextlib.closing(awaited(outcomes, "converting")) as results:
            return _log(results, cases)

    def _missing(self, manifest: Manifest) -> str:
        """Returns which cases are not converted, in a line that gives the reasons of those that failed."""
        missing = [case.case_id for case in self.cases if case.case_id not in manifest.cases]
        results = {case_id: self.results.read(case_id) for case_id in missing}
        for case_id, result in results.items():
            if isinstance(result, InputError):
                logger.error("failed: %s: %s", case_id, result)
        return (
            f"{self.records_dir}: {len(missing)} of {len(self.cases)} cases are missing, run their parts again: "
            f"{listed(missing, _NAMES_SHOWN)}"
        )


def _log(results: Iterator[tuple[int, Done[ConvertedCase] | InputError]], cases: list[CaseFiles]) -> Failures:
    """Logs what becomes of each case, and returns those that failed."""
    failures, start, num_unchanged = Failures("case", len(cases)), monotonic(), 0
    for done, (index, outcome) in enumerate(results, start=1):
        case_id = cases[index].case_id
        if isinstance(outcome, InputError):
            failures.note(case_id, outcome)
        elif not outcome.is_new:
            num_unchanged += 1
        else:
            facts = f"{outcome.result.shard.num_bytes / 1e6:.1f} MB, {outcome.result.entry}"
            place = f" on {outcome.host}" if outcome.host else ""
            logger.info(
                "case %d/%d %s: %s (%s)%s", done, len(cases), case_id, facts, pace(done, len(cases), start), place
            )
    if num_unchanged:
        logger.info("%d cases were converted already", num_unchanged)
    return failures


def _size(case: CaseFiles) -> int:
    """Returns the size of a case's scan in bytes; 0 if it is not there, which its conversion says."""
    try:
        return case.image.stat().st_size
    except OSError:
        return 0


def _new_manifest(settings: ConversionSettings, cases: list[CaseFiles]) -> Manifest:
    """Returns a manifest without cases."""
    splits = assign_splits(cases, settings.splits, settings.seed)
    return Manifest(
        data_dir=str(as_path(settings.data_dir).resolve()),
        seed=settings.seed,
        grid=settings.grid,
        splitting=settings.splits,
        splits=splits,
        folds=make_folds(splits, settings.splits.num_folds, settings.seed),
        versions=package_versions(),
        data_note=settings.data_note or data_note(settings.data_dir),
    )
