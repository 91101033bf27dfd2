"""Where the time of a conversion goes: seconds of each stage, case by case, in one process.

    python benchmarks/convert_stages.py --data_dir=KITS19 --cases=0-9

The stages are those of `kits_tf.pipeline.case_conversion.convert_case`, called one after the other.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

from absl import app, flags

from kits_tf.base.files import sha256
from kits_tf.base.processes import THREADS
from kits_tf.base.startup import start_tensorflow
from kits_tf.config import GridSettings
from kits_tf.ct.case_facts import case_facts
from kits_tf.ct.hu_statistics import hu_statistics
from kits_tf.ct.labels import scheme_of
from kits_tf.ct.layouts import case_number, find_cases, parse_case_numbers
from kits_tf.ct.sides import BODY_HU
from kits_tf.ct.volume import read_image, read_labels
from tfrecords_tools.write import write_records

DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder of KiTS19 cases.", required=True)
CASES = flags.DEFINE_string("cases", "0-9", "Case numbers, as in 0-9,15.")
IMAGE_KERNEL = flags.DEFINE_string("image_kernel", GridSettings().image_kernel, "As of convert.")
LABEL_KERNEL = flags.DEFINE_string("label_kernel", GridSettings().label_kernel, "As of convert.")


class Stopwatch:
    """Seconds by stage, added up over cases."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def time(self, stage: str, function: Callable[..., Any], *arguments: Any) -> Any:
        start = perf_counter()
        result = function(*arguments)
        self.seconds[stage] = self.seconds.get(stage, 0.0) + perf_counter() - start
        return result


def main(_: list[str]) -> None:
    start_tensorflow(THREADS)
    wanted = parse_case_numbers(CASES.value)
    cases = [case for case in find_cases(DATA_DIR.value) if case_number(case.case_id) in wanted]
    convert_timed(cases[0], Stopwatch())  # traces the graphs, which takes a process a second or two, once
    watch = Stopwatch()
    for case in cases:
        convert_timed(case, watch)
    total = sum(watch.seconds.values())
    print(f"{len(cases)} cases, {60 * len(cases) / total:.1f} a minute in one process")
    print("| stage | s a case | share |\n|---|---|---|")
    for stage, seconds in watch.seconds.items():
        print(f"| {stage} | {seconds / len(cases):.3f} | {seconds / total:.0%} |")
    print(f"| sum | {total / len(cases):.3f} | 100% |")


def convert_timed(files: Any, watch: Stopwatch) -> None:
    """Does what convert_case does, stage by stage."""
    from kits_tf.ct import preprocess
    from kits_tf.ct.cases import label_scan
    from kits_tf.ct.crop import no_crop
    from kits_tf.pipeline.case import Case, sample_class_voxels

    settings = GridSettings(image_kernel=IMAGE_KERNEL.value, label_kernel=LABEL_KERNEL.value)
    scheme = scheme_of(settings)
    watch.time("digest of the files", lambda: [sha256(files.image), sha256(files.labels)])
    image = watch.time("read scan", read_image, files.image)
    mask = watch.time("read mask", read_labels, files.labels)
    watch.time("audit", case_facts, image, mask)
    scan = watch.time("sides", label_scan, image, mask, scheme)
    grid = image.grid.resampled(settings.spacing_zyx_mm)
    tensor = preprocess.as_tensor(image.array)
    hu = watch.time("resample scan", lambda: preprocess.resample(tensor, grid.shape, settings.image_kernel).numpy())
    label_tensor, count = preprocess.as_tensor(scan.labels), len(scheme.classes)
    labels = watch.time(
        "resample mask",
        lambda: preprocess.resample_labels(label_tensor, grid.shape, settings.label_kernel, count).numpy(),
    )
    watch.time("statistics", lambda: [hu_statistics(hu[labels > 0]), hu_statistics(hu, BODY_HU)])
    case = Case(
        case_id=files.case_id,
        classes=scheme.classes,
        hu=hu,
        labels=labels,
        grid=grid,
        crop=no_crop(grid.shape),
        native=image.grid,
    )
    watch.time("coordinates", sample_class_voxels, labels, 1)
    record = watch.time("serialize, coordinates again", case.serialize)
    with tempfile.TemporaryDirectory() as folder:
        watch.time("write", write_records, Path(folder) / "case.tfrecord", [record])


if __name__ == "__main__":
    app.run(main)
