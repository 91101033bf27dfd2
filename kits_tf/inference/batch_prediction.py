"""A list of scans through one model: reading, segmenting and writing at the same time. Without TensorFlow."""

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kits_tf.base.errors import InputError, UnavailableError
from kits_tf.base.progress import track
from kits_tf.ct.dicom_seg import write_segmentation
from kits_tf.ct.labels import CHALLENGE_CLASSES, Scheme, with_sides
from kits_tf.ct.mask_metadata import MaskMetadata
from kits_tf.ct.scans import LoadedScan, Scan
from kits_tf.ct.volume import Volume, write_shares, write_stored
from kits_tf.inference.model import Model, Segmentation

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """A mask that was written; `str` says in a line what it shows.

    Attributes:
        source: path of the scan.
        path: path of the mask.
        volumes_ml: volume of each class but background, by its name in the model's scheme.
        warnings: sentences that whoever uses it must know.
    """

    source: str
    path: Path
    volumes_ml: dict[str, float]
    warnings: tuple[str, ...] = ()

    def __str__(self) -> str:
        volumes = ", ".join(f"{name} {ml:.0f} mL" for name, ml in self.volumes_ml.items())
        return " ".join([f"{self.source} -> {self.path}: {volumes}", *(f"WARNING: {text}" for text in self.warnings)])


class LabelMap(NamedTuple):
    """Labels and what they mean.

    Attributes:
        labels: (i, j, k) uint8, in the order of the scan's file.
        classes: names of the labels 0, 1, ...
    """

    labels: NDArray[np.uint8]
    classes: tuple[str, ...]


def segment_scans(
    scans: Sequence[Scan], output_dir: Path, labels: str, load: Callable[[], Model]
) -> Iterator[Prediction]:
    """Segments every scan, writes NAME.nii.gz and yields what was written, in the order of the scans.

    While one scan is segmented the next is read and the one before written. A scan whose mask is there is left out; one
    that cannot be read or is refused is logged and does not stop the others.

    Args:
        scans: scans with different names.
        output_dir: folder of the masks.
        labels: value of --labels: "model", as the model has them, "challenge" or "laterality".
        load: function that returns the model; not called where nothing is to be done.

    Raises:
        InputError: the model cannot be loaded; or, after all scans, some failed.
        UnavailableError: the model's server is gone; no further scan is tried.
    """
    todo = [scan for scan in scans if not _mask_path(output_dir, scan).exists()]
    if len(todo) < len(scans):
        logger.info("%d of %d scans have a mask in %s: left out", len(scans) - len(todo), len(scans), output_dir)
    if not todo:
        return
    model, failures = load(), list[str]()
    segmented = _segmented(track(_read_ahead(todo), "scan", len(todo)), model, failures)
    yield from _written_behind(segmented, _Writer(output_dir, labels, model.scheme), failures)
    if failures:
        raise InputError(f"{len(failures)} of {len(todo)} scans failed, the first: {failures[0]}")


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


class _Reading(NamedTuple):
    """A scan, and its content as soon as it is read."""

    scan: Scan
    content: Future[LoadedScan]


class _SegmentedScan(NamedTuple):
    scan: Scan
    content: LoadedScan
    segmentation: Segmentation


def _read_ahead(scans: Sequence[Scan]) -> Iterator[_Reading]:
    """Yields each scan once it is read, or could not be; the next one is being read meanwhile."""
    with ThreadPoolExecutor(1) as reading:
        ahead = [reading.submit(scan.read) for scan in scans[:1]]
        for scan, following in zip(scans, [*scans[1:], None], strict=True):
            current = ahead.pop()
            current.exception()  # waits: one scan is read at a time
            if following:
                ahead.append(reading.submit(following.read))
            yield _Reading(scan, current)


def _segmented(readings: Iterator[_Reading], model: Model, failures: list[str]) -> Iterator[_SegmentedScan]:
    """Yields the scans that can be read and segmented, and adds a line to the failures for each of the others."""
    for scan, reading in readings:
        try:
            content = reading.result()
            segmentation = model.segmentation(content.volume)
        except UnavailableError:
            raise
        except InputError as error:
            _note_failure(scan, error, failures)
        else:
            yield _SegmentedScan(scan, content, segmentation)


def _written_behind(
    segmented: Iterator[_SegmentedScan], writer: "_Writer", failures: list[str]
) -> Iterator[Prediction]:
    """Yields what was written of each scan, one mask at a time; the next scan is being segmented meanwhile."""
    with ThreadPoolExecutor(1) as writing:
        pending: list[tuple[Scan, Future[Prediction]]] = []

        def finish() -> Iterator[Prediction]:
            while pending:
                scan, prediction = pending.pop()
                try:
                    yield prediction.result()
                except InputError as error:
                    _note_failure(scan, error, failures)

        try:
            for result in segmented:
                yield from finish()
                pending.append((result.scan, writing.submit(writer.write, result)))
        except UnavailableError:
            yield from finish()  # the mask before is good
            raise
        yield from finish()


def _note_failure(scan: Scan, error: InputError, failures: list[str]) -> None:
    failures.append(f"{scan.source}: {error}" if scan.source not in str(error) else str(error))
    logger.error("%s", failures[-1])


def _mask_path(output_dir: Path, scan: Scan) -> Path:
    return output_dir / f"{scan.name}.nii.gz"


@dataclass(frozen=True)
class _Writer:
    """What writes masks.

    Attributes:
        output_dir: folder of the masks.
        labels: value of --labels.
        scheme: scheme of the model's labels.
    """

    output_dir: Path
    labels: str
    scheme: Scheme

    def write(self, result: _SegmentedScan) -> Prediction:
        """Writes a segmentation, the mask last: a scan with a mask is done."""
        scan, content, segmentation = result
        path, volume = _mask_path(self.output_dir, scan), content.volume
        geometry = (volume.stored.affine, volume.header)
        for name in ("probabilities", "uncertainty"):
            values = getattr(segmentation, name)
            if values is not None:
                write_shares(path.with_name(f"{scan.name}_{name}.nii.gz"), values, *geometry)
        labels, classes = labels_as(self.labels, segmentation.labels, volume, self.scheme)
        if content.series:
            try:
                write_segmentation(
                    path.with_name(f"{scan.name}.dcm"), labels, classes, content.series, segmentation.warnings
                )
            except InputError as error:  # the mask is good without it
                logger.warning("%s", error)
        write_stored(path, labels, *geometry, MaskMetadata(classes=classes, warnings=segmentation.warnings))
        volumes_ml = zip(self.scheme.classes[1:], segmentation.volumes_ml[1:].tolist(), strict=True)
        return Prediction(source=scan.source, path=path, volumes_ml=dict(volumes_ml), warnings=segmentation.warnings)
