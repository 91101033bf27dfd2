"""python -m kits_tf.predict: scans -> masks on their own grids."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from numpy.typing import NDArray

from kits_tf import commandline, config, runtime
from kits_tf.ct.dicom import write_segmentation
from kits_tf.ct.labels import CHALLENGE_CLASSES, Scheme
from kits_tf.ct.scans import Loaded, Scan, find_scans
from kits_tf.ct.volume import SHARE_QUANTA, write_stored
from kits_tf.errors import InputError

if TYPE_CHECKING:
    from kits_tf.inference.segmenter import Model


def main(settings: config.Predict, inputs: list[str]) -> None:
    """Segments every input and writes NAME.nii.gz; an input that cannot be read does not stop the others.

    While one scan is segmented the next is read and the one before written.

    Raises:
        InputError: the model cannot be loaded, two inputs would give the same file, or an input failed.
    """
    scans = find_scans(inputs, settings.dicom)
    todo = [scan for scan in scans if not _mask_path(settings, scan).exists()]
    if len(todo) < len(scans):
        print(f"{len(scans) - len(todo)} of {len(scans)} scans have a mask in {settings.output_dir}: left out")
    if not todo:
        return
    runtime.start_tensorflow()
    model = _load(settings)
    failures = []
    with ThreadPoolExecutor(1) as writing:
        before: Future | None = None
        for scan, read in runtime.progress(_read_ahead(todo), "scan", len(todo)):
            try:
                loaded = read.result()
                found = model.results(loaded.volume)
                if before:
                    before.result()  # one mask is written at a time
                before = writing.submit(_write, settings, scan, loaded, found, model.scheme)
            except InputError as error:
                failures.append(str(error))
                print(f"  {error}")
        if before:
            before.result()
    if failures:
        raise InputError(f"{len(failures)} of {len(todo)} scans failed, the first: {failures[0]}")


def _load(settings: config.Predict) -> "Model":
    from kits_tf.inference.boxes import FindBox, body_box
    from kits_tf.inference.segmenter import Extras, Segmenter, coarse_box
    from kits_tf.serving.saved_model import load_model
    from kits_tf.training.run import load_runs

    find_box: FindBox = body_box
    if settings.coarse_model:
        coarse = Segmenter(load_runs(settings.coarse_model), config.InferenceSettings())
        find_box = coarse_box(coarse, settings.coarse_margin_mm)
    extras = Extras(settings.probabilities, settings.uncertainty)
    return load_model(settings.model, settings.inference, extras, find_box, runtime.tell_on_terminal("window"))


def _read_ahead(scans: list[Scan]) -> Iterator[tuple[Scan, "Future[Loaded]"]]:
    """Yields each scan with what reads it, while the next one is being read."""
    with ThreadPoolExecutor(1) as reading:
        ahead = [reading.submit(scan.read) for scan in scans[:1]]
        for scan, after in zip(scans, [*scans[1:], None], strict=True):
            now = ahead.pop()
            now.exception()  # waits: one scan is read at a time
            if after:
                ahead.append(reading.submit(after.read))
            yield scan, now


def _mask_path(settings: config.Predict, scan: Scan) -> Path:
    return Path(settings.output_dir) / f"{scan.name}.nii.gz"


def _write(settings: config.Predict, scan: Scan, loaded: Loaded, found: dict[str, NDArray], scheme: Scheme) -> None:
    """Writes what was asked for, the mask last: a scan with a mask is done."""
    path, geometry = _mask_path(settings, scan), (loaded.volume.stored.affine, loaded.volume.header)
    for name in ("probabilities", "uncertainty"):
        if name in found:
            write_stored(path.with_name(f"{scan.name}_{name}.nii.gz"), found[name], *geometry, slope=1 / SHARE_QUANTA)
    labels, classes = found["labels"], scheme.classes
    if settings.labels == "challenge":
        labels, classes = scheme.to_challenge(labels), CHALLENGE_CLASSES[: max(scheme.challenge) + 1]
    if loaded.series:
        try:
            write_segmentation(path.with_name(f"{scan.name}.dcm"), labels, classes, loaded.series)
        except InputError as error:  # the mask is good without it
            print(f"  {error}")
    write_stored(path, labels, *geometry, classes=classes)
    volumes = zip(scheme.classes[1:], found["volumes_ml"][1:], strict=True)
    print(f"  {scan.source} -> {path}: " + ", ".join(f"{name} {ml:.0f} mL" for name, ml in volumes), flush=True)


if __name__ == "__main__":
    commandline.run(config.Predict, main, inputs="SCAN")
