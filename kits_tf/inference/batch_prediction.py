"""Many scans, one model: reading, segmenting and writing at the same time. Without TensorFlow."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kits_tf.base.errors import InputError, UnavailableError
from kits_tf.base.progress import track
from kits_tf.ct.dicom_seg import write_segmentation
from kits_tf.ct.labels import CHALLENGE_CLASSES, Scheme, with_sides
from kits_tf.ct.scans import LoadedScan, Scan
from kits_tf.ct.volume import Volume, write_shares, write_stored
from kits_tf.inference.model import Model


def segment_scans(scans: list[Scan], output_dir: Path, labels: str, load: Callable[[], Model]) -> None:
    """Segments every scan and writes NAME.nii.gz; one that cannot be read or is refused does not stop the others.

    While one scan is segmented the next is read and the one before written. A scan whose mask is there is left out.

    Args:
        scans: with different names.
        output_dir: for the masks.
        labels: "model", as the model has them, "challenge" or "laterality".
        load: returns the model; not called where nothing is to be done.

    Raises:
        InputError: the model cannot be loaded, or a scan failed.
        UnavailableError: the model's server is gone; no further scan is tried.
    """
    todo = [scan for scan in scans if not _mask_path(output_dir, scan).exists()]
    if len(todo) < len(scans):
        print(f"{len(scans) - len(todo)} of {len(scans)} scans have a mask in {output_dir}: left out")
    if not todo:
        return
    model, failures = load(), []
    with ThreadPoolExecutor(1) as writing:
        before: Future | None = None
        for scan, read in track(_read_ahead(todo), "scan", len(todo)):
            try:
                loaded = read.result()
                found = model.results(loaded.volume)
                if before:
                    before.result()  # one mask is written at a time
                before = writing.submit(_write, output_dir, labels, scan, loaded, found, model.scheme)
            except UnavailableError:
                raise
            except InputError as error:
                failures.append(f"{scan.source}: {error}" if scan.source not in str(error) else str(error))
                print(f"  {failures[-1]}")
        if before:
            before.result()
    if failures:
        raise InputError(f"{len(failures)} of {len(todo)} scans failed, the first: {failures[0]}")


def _read_ahead(scans: list[Scan]) -> Iterator[tuple[Scan, "Future[LoadedScan]"]]:
    """Yields each scan with what reads it, while the next one is being read."""
    with ThreadPoolExecutor(1) as reading:
        ahead = [reading.submit(scan.read) for scan in scans[:1]]
        for scan, after in zip(scans, [*scans[1:], None], strict=True):
            now = ahead.pop()
            now.exception()  # waits: one scan is read at a time
            if after:
                ahead.append(reading.submit(after.read))
            yield scan, now


def labels_as(
    labels: NDArray[np.uint8], wanted: str, image: Volume, scheme: Scheme
) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """Returns labels as stored, (i, j, k), in the scheme that --labels names, and the names of its classes."""
    if wanted == "challenge":
        return scheme.to_challenge(labels), CHALLENGE_CLASSES[: max(scheme.challenge) + 1]
    if wanted == "laterality":
        oriented = Volume.from_stored(labels, image.stored.affine).array
        oriented, scheme = with_sides(oriented, scheme, image.array, image.grid.spacing_mm)
        labels = replace(image, array=oriented).as_stored()
    return labels, scheme.classes


def _mask_path(output_dir: Path, scan: Scan) -> Path:
    return output_dir / f"{scan.name}.nii.gz"


def _write(
    output_dir: Path, wanted: str, scan: Scan, loaded: LoadedScan, found: dict[str, NDArray], scheme: Scheme
) -> None:
    """Writes what was found, the mask last: a scan with a mask is done."""
    path, geometry = _mask_path(output_dir, scan), (loaded.volume.stored.affine, loaded.volume.header)
    for name in ("probabilities", "uncertainty"):
        if name in found:
            write_shares(path.with_name(f"{scan.name}_{name}.nii.gz"), found[name], *geometry)
    labels, classes = labels_as(found["labels"], wanted, loaded.volume, scheme)
    if loaded.series:
        try:
            write_segmentation(path.with_name(f"{scan.name}.dcm"), labels, classes, loaded.series)
        except InputError as error:  # the mask is good without it
            print(f"  {error}")
    write_stored(path, labels, *geometry, classes=classes)
    volumes = zip(scheme.classes[1:], found["volumes_ml"][1:], strict=True)
    print(f"  {scan.source} -> {path}: " + ", ".join(f"{name} {ml:.0f} mL" for name, ml in volumes), flush=True)
