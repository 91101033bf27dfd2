"""A list of scans through one model: reading, segmenting and writing at the same time. Without TensorFlow."""

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kits_tf.base.errors import InputError, UnavailableError
from kits_tf.base.failures import Failures
from kits_tf.base.progress import track
from kits_tf.base.results import Results, stamp
from kits_tf.base.words import count_text, listed, structure_text
from kits_tf.ct.dicom_seg import SegmentationNote, write_segmentation
from kits_tf.ct.labels import CHALLENGE_CLASSES, Scheme, volumes_ml, with_sides
from kits_tf.ct.mask_doubts import doubts
from kits_tf.ct.mask_metadata import MaskMetadata
from kits_tf.ct.scans import MAPS, LoadedScan, Scan
from kits_tf.ct.volume import Volume, write_shares, write_stored
from kits_tf.inference.mask_output import MaskOutput
from kits_tf.inference.model import Model, Segmentation
from kits_tf.inference.prediction_results import (
    PredictedScan,
    has_mask,
    is_known,
    keep_mask_that_is_there,
    prediction_results,
    source_stamp,
)

logger = logging.getLogger(__name__)

# Names in the line about scans that are skipped.
_NAMES_SHOWN = 12


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """A mask that was written; `str` says in a line what it shows.

    Attributes:
        source: path of the scan.
        path: path of the mask.
        others: paths of the maps, and of the DICOM SEG, that were written beside it.
        volumes_ml: volume of each class of the mask but background, by its name.
        doubts: reasons to look at it before it is used, as phrases.
        warnings: sentences that whoever uses it must know.
    """

    source: str
    path: Path
    volumes_ml: dict[str, float]
    others: tuple[Path, ...] = ()
    doubts: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def __str__(self) -> str:
        volumes = ", ".join(_volume_text(structure_text(name), ml) for name, ml in self.volumes_ml.items())
        doubts = [f"LOOK AT IT: {', '.join(self.doubts)}."] if self.doubts else []
        warnings = [f"WARNING: {text}" for text in self.warnings]
        paths = ", ".join(map(str, [self.path, *self.others]))
        return " ".join([f"{self.source} -> {paths}: {volumes}.", *doubts, *warnings])


def _volume_text(name: str, ml: float) -> str:
    if ml == 0:
        return f"no {name} marked"
    return f"{name} {ml:.0f} mL" if ml >= 1 else f"{name} {ml:.1g} mL"


class LabelMap(NamedTuple):
    """Labels and what they mean.

    Attributes:
        labels: (i, j, k) uint8, in the order of the scan's file.
        classes: names of the labels 0, 1, ...
    """

    labels: NDArray[np.uint8]
    classes: tuple[str, ...]


def segment_scans(scans: Sequence[Scan], output: MaskOutput, load: Callable[[], Model]) -> Iterator[Prediction]:
    """Segments every scan, writes NAME.nii.gz and yields what was written, in the order of the scans.

    While one scan is segmented the next is read and the one before written. A scan whose mask is there,
    of this very scan by this very model, is skipped; one that cannot be read, is refused, or whose place is taken by
    another mask is logged and does not stop the others.

    Args:
        scans: scans with different names.
        output: folder of the masks, and what they are to be.
        load: function that returns the model; not called where nothing is to be done.

    Raises:
        InputError: the masks would lie in a folder of the scans or cannot be written, the model cannot be loaded; or,
            after all scans, some failed.
        UnavailableError: the model's server is gone; no further scan is tried.
    """
    output.check(scans)
    failures, skipped, done = _KeptFailures(scans, prediction_results(output)), list[Scan](), 0
    readings = track(_read_ahead(scans, output), "scan", len(scans))
    try:
        segmented = _segmented(readings, load, failures, skipped)
        for prediction in _written_behind(segmented, _Writer(output), failures):
            done += 1
            yield prediction
    except UnavailableError as error:
        raise UnavailableError(
            f"{error} ({done + len(skipped)} of {len(scans)} scans are done, {len(failures)} failed; the same command "
            "goes on with the others)"
        ) from None
    except OSError as error:  # the disk is full or gone: no further mask could be written either
        raise InputError(
            f"{error} ({done + len(skipped)} of {len(scans)} scans are done, {len(failures)} failed; the same command "
            "goes on with the others)"
        ) from None
    if skipped:
        names = listed([scan.name for scan in skipped], _NAMES_SHOWN)
        logger.info(
            "skipped %s, already segmented by this model in %s: %s",
            count_text(len(skipped), "scan"),
            output.folder,
            names,
        )
    failures.check()


def labels_as(name: str, labels: NDArray[np.uint8], image: Volume, scheme: Scheme) -> LabelMap:
    """Returns labels in the scheme that --labels names.

    Args:
        name: "model", as they are, "challenge" or "laterality".
        labels: (i, j, k) uint8, in the order of the scan's file.
        image: the scan, for sides where the scheme has none.
        scheme: scheme of the labels.
    """
    if name == "challenge":
        return LabelMap(scheme.to_challenge(labels), CHALLENGE_CLASSES[: max(scheme.challenge) + 1])
    if name == "laterality":
        oriented = Volume.from_stored(labels, image.stored.affine).array
        oriented, scheme = with_sides(oriented, scheme, image.array, image.grid.spacing_mm)
        labels = replace(image, array=oriented).as_stored()
    return LabelMap(labels, scheme.classes)


class _Content(NamedTuple):
    """A scan as it was read, its digest, and the stamp of its files before they were read."""

    loaded: LoadedScan
    digest: str
    stamp: tuple[int, int]


class _Reading(NamedTuple):
    """A scan, and its content as soon as it is read; None if its mask is there."""

    scan: Scan
    content: Future[_Content | None]


class _SegmentedScan(NamedTuple):
    scan: Scan
    content: _Content
    segmentation: Segmentation
    scheme: Scheme
    seconds: float


class _KeptFailures(Failures):
    """The scans that failed, each of whose reasons is kept beside the masks too."""

    def __init__(self, scans: Sequence[Scan], results: Results[PredictedScan]) -> None:
        super().__init__("scan", len(scans))
        self._names = {scan.source: scan.name for scan in scans}
        self._results = results

    def note(self, source: str, error: Exception) -> None:
        super().note(source, error)
        name = self._names.get(source)
        if not name:
            return
        known = self._results.read(name)
        # The place of a scan may be taken by the mask of another one, whose result stays.
        if not (isinstance(known, PredictedScan) and has_mask(known, self._results.folder.parent)):
            self._results.fail(name, InputError(self.messages[-1]))


def _read(scan: Scan, output: MaskOutput) -> _Content | None:
    """Returns a scan; None if its mask is there, of this scan by this model."""
    results = prediction_results(output)
    if not output.overwrite and is_known(scan, output, results):
        return None
    if scan.problem:
        raise scan.problem
    existing, before = output.existing(scan), source_stamp(scan.source)
    loaded = scan.read()
    digest = loaded.volume.digest()
    if not output.is_done(scan, existing, digest):
        return _Content(loaded, digest, before)
    keep_mask_that_is_there(scan, output, results, digest)
    return None


def _read_ahead(scans: Sequence[Scan], output: MaskOutput) -> Iterator[_Reading]:
    """Yields each scan once it is read, or could not be; the next one is being read meanwhile."""
    with ThreadPoolExecutor(1) as reading:
        ahead = [reading.submit(_read, scan, output) for scan in scans[:1]]
        for scan, following in zip(scans, [*scans[1:], None], strict=True):
            current = ahead.pop()
            current.exception()  # waits: one scan is read at a time
            if following:
                ahead.append(reading.submit(_read, following, output))
            yield _Reading(scan, current)


def _segmented(
    readings: Iterator[_Reading], load: Callable[[], Model], failures: Failures, skipped: list[Scan]
) -> Iterator[_SegmentedScan]:
    """Yields the scans that can be read and segmented, and notes the others; the model is loaded for the first one."""
    model: Model | None = None
    for scan, reading in readings:
        try:
            content = reading.result()
        except InputError as error:
            failures.note(scan.source, error)
            continue
        if content is None:
            skipped.append(scan)
            continue
        model = model or load()
        start = monotonic()
        try:
            segmentation = model.segmentation(content.loaded.volume)
        except UnavailableError:
            raise
        except InputError as error:
            failures.note(scan.source, error)
        else:
            yield _SegmentedScan(scan, content, segmentation, model.scheme, monotonic() - start)


def _written_behind(segmented: Iterator[_SegmentedScan], writer: "_Writer", failures: Failures) -> Iterator[Prediction]:
    """Yields what was written of each scan, one mask at a time; the next scan is being segmented meanwhile."""
    with ThreadPoolExecutor(1) as writing:
        pending: list[tuple[Scan, Future[Prediction]]] = []

        def finish() -> Iterator[Prediction]:
            while pending:
                scan, prediction = pending.pop()
                try:
                    yield prediction.result()
                except InputError as error:
                    failures.note(scan.source, error)

        try:
            for result in segmented:
                yield from finish()
                pending.append((result.scan, writing.submit(writer.write, result)))
        except UnavailableError:
            yield from finish()  # the mask before is good
            raise
        yield from finish()


@dataclass(frozen=True)
class _Writer:
    """What writes masks."""

    output: MaskOutput

    def write(self, result: _SegmentedScan) -> Prediction:
        """Writes a segmentation, the mask last: a scan with a mask is done."""
        scan, (content, digest, source), segmentation, scheme, seconds = result
        path, volume = self.output.mask_path(scan), content.volume
        geometry = (volume.stored.affine, volume.header)
        # A map says of what it is, so that it is never taken for a scan; classes would make it a mask.
        origin = MaskMetadata(scan=digest, model=self.output.identity, warnings=segmentation.warnings)
        others = []
        for name in MAPS:
            values = getattr(segmentation, name)
            if values is not None:
                others.append(self.output.map_path(scan, name))
                write_shares(others[-1], values, *geometry, origin)
        labels, classes = labels_as(self.output.labels, segmentation.labels, volume, scheme)
        if content.series:
            segment_path = path.with_name(f"{scan.name}.dcm")
            try:
                note = SegmentationNote(comments=segmentation.warnings)
                write_segmentation(segment_path, labels, classes, content.series, note)
                others.append(segment_path)
            except InputError as error:  # the mask is good without it
                logger.warning("%s", error)
        write_stored(path, labels, *geometry, replace(origin, classes=classes))
        kept = PredictedScan(
            source=os.path.abspath(scan.source),
            source_stamp=source,
            scan=digest,
            model=self.output.identity,
            mask=path.name,
            mask_stamp=stamp(path),
            volumes_ml=volumes_ml(labels, classes, volume.grid.spacing_mm),
            doubts=doubts(labels, classes),
            warnings=segmentation.warnings,
            seconds=seconds,
        )
        prediction_results(self.output).write(scan.name, kept)
        return Prediction(
            source=scan.source,
            path=path,
            others=tuple(others),
            volumes_ml=kept.volumes_ml,
            doubts=kept.doubts,
            warnings=kept.warnings,
        )
