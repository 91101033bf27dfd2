"""Dice of masks taken to the training grid and back: the ceiling on every score, for each choice of kernel.

    python benchmarks/label_round_trip.py --data_dir=KITS19 --cases=0-19

Needs only the segmentations of KiTS19's layout. Where a case has a single kidney, its side is taken from the
middle of the picture, for there may be no scan to find the body's midline in.
"""

from pathlib import Path

import numpy as np
from absl import app, flags

from kits_tf import runtime
from kits_tf.ct import layouts
from kits_tf.ct.labels import LATERALITY, from_challenge
from kits_tf.ct.volume import read_labels

DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder of case_XXXXX/segmentation.nii.gz.", required=True)
CASES = flags.DEFINE_string("cases", "0-19", "Case numbers, as in 0-9,15.")
SPACING = flags.DEFINE_list("spacing_zyx_mm", ["1.6", "1.2", "1.2"], "Training grid in mm.")
DOWN_KERNELS = ("nearest", "linear", "cubic")
UP_KERNELS = ("nearest", "linear")


def main(_: list[str]) -> None:
    runtime.quiet_tensorflow()
    from kits_tf.analysis.scores import dice_from_counts
    from kits_tf.ct import preprocess

    spacing = tuple(float(s) for s in SPACING.value)
    scores: dict[tuple[str, str], list[list[float]]] = {(d, u): [] for d in DOWN_KERNELS for u in UP_KERNELS}
    classes = len(LATERALITY.classes)
    for number in sorted(layouts.parse_case_numbers(CASES.value)):
        path = Path(DATA_DIR.value) / f"case_{number:05d}" / layouts.LABELS_NAME
        mask = read_labels(path)
        no_scan = np.broadcast_to(np.int16(-1024), mask.array.shape)
        labels = from_challenge(mask.array, LATERALITY, no_scan, mask.grid.spacing_mm)
        grid = mask.grid.resampled(spacing)
        for down in DOWN_KERNELS:
            small = preprocess.resample_labels(labels, grid.shape, down, classes)
            for up in UP_KERNELS:
                back = preprocess.resample_labels(small, mask.grid.shape, up, classes).numpy()
                counts = [((labels == c) & (back == c)).sum() for c in range(1, classes)]
                sizes = [(labels == c).sum() + (back == c).sum() for c in range(1, classes)]
                scores[down, up].append([dice_from_counts(i, s) for i, s in zip(counts, sizes, strict=True)])
        print(f"{path.parent.name} {mask.grid.shape} -> {grid.shape}", flush=True)
    print(f"\nmean Dice after the round trip to {spacing} mm, {len(scores['linear', 'linear'])} masks")
    print(f"{'to grid':8} {'back':8} " + " ".join(f"{name:>12}" for name in LATERALITY.classes[1:]) + f" {'mean':>8}")
    for (down, up), rows in scores.items():
        means = np.mean(rows, axis=0)
        print(f"{down:8} {up:8} " + " ".join(f"{m:12.4f}" for m in means) + f" {means.mean():8.4f}")


if __name__ == "__main__":
    app.run(main)
