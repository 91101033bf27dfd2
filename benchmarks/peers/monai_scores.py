"""MONAI's Dice, 95 % Hausdorff distance and surface Dice of the pair of masks in a file, whenever it is asked."""

import argparse
import os
import time
from pathlib import Path

import numpy as np
import torch
from monai.metrics import compute_dice, compute_hausdorff_distance, compute_surface_dice
from side_by_side import answer


def score(path: Path, tolerances_mm: list[float]) -> dict:
    """Returns scores of kidney with tumor, then of tumor, and the seconds that they took once arrays were there."""
    with np.load(path) as pair:
        truth, predicted, spacing = pair["truth"], pair["predicted"], pair["spacing_mm"].tolist()
    start = time.perf_counter()
    y, y_pred = (torch.from_numpy(np.stack([labels > 0, labels == 2]))[None].float() for labels in (truth, predicted))
    both = {"include_background": True, "spacing": [spacing]}
    found = {
        "dice": compute_dice(y_pred, y, ignore_empty=False),
        "hd95_mm": compute_hausdorff_distance(y_pred, y, percentile=95, **both),
        "surface_dice": compute_surface_dice(y_pred, y, tolerances_mm, use_subvoxels=True, **both),
    }
    seconds = time.perf_counter() - start
    return {"seconds": seconds, **{name: scores[0].tolist() for name, scores in found.items()}}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pair", required=True, type=Path)
    parser.add_argument("--tolerances_mm", required=True, type=float, nargs=2)
    options = parser.parse_args()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    answer({"score": lambda: score(options.pair, options.tolerances_mm)})


if __name__ == "__main__":
    main()
