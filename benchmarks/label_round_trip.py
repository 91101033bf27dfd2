"""Dice of masks taken to a training grid and back: the ceiling on every score, for each choice of kernel.

    python benchmarks/label_round_trip.py --data_dir=KITS19 --cases=0-59

Needs only the segmentations of KiTS19's layout. Where a case has a single kidney, its side is taken from the
middle of the picture, for there may be no scan to find the body's midline in.
"""

from pathlib import Path

import numpy as np
from absl import app, flags
from grids import DOWN_KERNELS, GRIDS

from kits_tf.base.progress import track
from kits_tf.base.startup import start_tensorflow
from kits_tf.ct import layouts
from kits_tf.ct.labels import LATERALITY, from_challenge
from kits_tf.ct.volume import AIR_HU, read_labels

DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder of case_XXXXX/segmentation.nii.gz.", required=True)
CASES = flags.DEFINE_string("cases", "0-59", "Case numbers, as in 0-9,15.")
UP_KERNELS = ("nearest", "linear", "cubic")


def main(_: list[str]) -> None:
    start_tensorflow()
    from kits_tf.ct import preprocess

    dice: dict[tuple[str, str, str], list[list[float]]] = {}
    num_classes = len(LATERALITY.classes)
    numbers = sorted(layouts.parse_case_numbers(CASES.value))
    for number in track(numbers, "mask", len(numbers)):
        mask = read_labels(Path(DATA_DIR.value) / f"case_{number:05d}" / layouts.LABELS_NAME)
        no_scan = np.broadcast_to(np.int16(AIR_HU), mask.array.shape)
        labels, _ = from_challenge(mask.array, LATERALITY, no_scan, mask.grid.spacing_mm)
        for name, spacing in GRIDS.items():
            grid = mask.grid.resampled(spacing)
            for down in DOWN_KERNELS:
                small = preprocess.resample_labels(preprocess.as_tensor(labels), grid.shape, down, num_classes)
                for up in UP_KERNELS:
                    back = preprocess.resample_labels(small, mask.grid.shape, up, num_classes).numpy()
                    dice.setdefault((name, down, up), []).append(dice_by_class(labels, back))
    print(f"\nmean Dice after the round trip, {len(numbers)} masks")
    print("| grid, mm | to the grid | back | " + " | ".join(LATERALITY.classes[1:]) + " | mean |")
    print("|---|---|---|" + "---|" * num_classes)
    for (name, down, up), rows in dice.items():
        means = np.nanmean(rows, axis=0)
        print(f"| {name} | {down} | {up} | " + " | ".join(f"{m:.4f}" for m in [*means, means.mean()]) + " |")


def dice_by_class(truth: np.ndarray, back: np.ndarray) -> list[float]:
    """Returns Dice of each foreground class; NaN for a class that the truth does not have."""
    scores = []
    for label in range(1, len(LATERALITY.classes)):
        wanted, found = truth == label, back == label
        size = np.count_nonzero(wanted)
        both = np.count_nonzero(wanted & found)
        scores.append(2 * both / (size + np.count_nonzero(found)) if size else np.nan)
    return scores


if __name__ == "__main__":
    app.run(main)
