"""Where the time from a scan to its mask goes: seconds of each stage, in one process.

    python benchmarks/predict_stages.py --model=RUN --scan=KITS19/case_00061/imaging.nii.gz

The stages are those of `kits_tf.predict`, one after the other. The network's share is what a window takes alone, times
the windows of the scan; "around the network" is the rest of the graph: resampling, merging, restoring.
"""

import statistics
import tempfile
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from absl import app, flags

from kits_tf.base.progress import seconds_since_start
from kits_tf.base.startup import start_tensorflow
from kits_tf.config import InferenceSettings

if TYPE_CHECKING:
    from kits_tf.inference.segmenter import Segmenter

MODEL = flags.DEFINE_string("model", None, "A run.", required=True)
SCAN = flags.DEFINE_string("scan", None, "A NIfTI file.", required=True)
WINDOWS_TIMED = 5


def main(_: list[str]) -> None:
    start_tensorflow()
    from kits_tf.ct.volume import read_image, write_stored
    from kits_tf.inference.building import build_segmenter
    from kits_tf.inference.own_settings import own_settings
    from kits_tf.training.run import load_runs
    from kits_tf.training.run_files import run_folders

    laps = [("start and imports", seconds_since_start())]
    start = perf_counter()

    def lap(stage: str) -> None:
        nonlocal start
        laps.append((stage, perf_counter() - start))
        start = perf_counter()

    num_windows = 0

    def count(_: int, total: int) -> None:
        nonlocal num_windows
        num_windows = total

    segmenter = build_segmenter(load_runs(MODEL.value), own_settings(run_folders(MODEL.value), InferenceSettings()))
    lap("loading the network")
    segmenter.segment.get_concrete_function()
    lap("tracing the graph")
    image = read_image(Path(SCAN.value))
    lap("reading the scan")
    segmentation = segmenter.model(count).segmentation(image)
    lap("the graph")
    with tempfile.TemporaryDirectory() as folder:
        write_stored(Path(folder) / "mask.nii.gz", segmentation.labels, image.stored.affine, image.header)
        lap("writing the mask")
    print_table(laps, num_windows, seconds_a_window(segmenter))


def seconds_a_window(segmenter: "Segmenter") -> float:
    """Returns the median over some windows, after one that is not counted."""
    import tensorflow as tf

    network, window = tf.function(segmenter.network), tf.zeros([1, *segmenter.plan.window.size], tf.int16)
    seconds = []
    for _ in range(1 + WINDOWS_TIMED):
        start = perf_counter()
        network(window).numpy()
        seconds.append(perf_counter() - start)
    return statistics.median(seconds[1:])


def print_table(laps: list[tuple[str, float]], num_windows: int, window_s: float) -> None:
    print("| stage | s |\n|---|---|")
    for stage, seconds in laps:
        if stage == "the graph":
            print(f"| the network: {num_windows} windows of {window_s:.2f} s | {num_windows * window_s:.1f} |")
            print(f"| around the network | {seconds - num_windows * window_s:.1f} |")
        else:
            print(f"| {stage} | {seconds:.1f} |")
    print(f"| sum | {sum(seconds for _, seconds in laps):.1f} |")


if __name__ == "__main__":
    app.run(main)
