"""Scores of real masks against perturbed copies: ours beside MONAI's and the formulas of the challenges, in one run.

    python benchmarks/evaluate.py --data_dir=KITS19 --cases=0-29 --peers_python=.venv-peers/bin/python

Each mask is compared with itself shifted, eroded, mirrored, emptied, and with blobs that are no tumors. Printed are the
largest differences, and the seconds from arrays in memory to all scores: MONAI's Dice, 95 % Hausdorff distance and
surface Dice of kidney and tumor; ours of these, and the average distance, lesions, volumes and Dice of each class
besides. MONAI scores half of the pairs first.
"""

import os
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import surface_distance
from absl import app, flags
from numpy.typing import NDArray
from scipy import ndimage
from side_by_side import Contender

from kits_tf.analysis.mask_pair import KITS23_REGIONS, STRUCTURES, MaskPair
from kits_tf.analysis.scores import score_values
from kits_tf.ct import layouts
from kits_tf.ct.labels import KITS19
from kits_tf.ct.volume import read_labels

DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder of KiTS19 cases with their masks.", required=True)
CASES = flags.DEFINE_string("cases", "0-29", "Case numbers, as in 0-9,15.")
KINDS = flags.DEFINE_list("kinds", "shifted,eroded,mirrored,emptied,blobs", "What is done to a mask.")
PEERS_PYTHON = flags.DEFINE_string("peers_python", ".venv-peers/bin/python", "Python with peers/requirements.txt.")
Labels = NDArray[np.uint8]
TOLERANCES_MM = {name: KITS23_REGIONS[region].tolerance_mm for name, region in STRUCTURES.items()}


def main(_: list[str]) -> None:
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pair.npz"
        command = [PEERS_PYTHON.value, str(Path(__file__).parent / "peers" / "monai_scores.py"), f"--pair={path}"]
        peer = Contender([*command, "--tolerances_mm", *map(str, TOLERANCES_MM.values())])
        for name, truth, predicted, spacing_mm in pairs():
            np.savez(path, truth=truth, predicted=predicted, spacing_mm=np.array(spacing_mm))
            if len(rows) % 2:
                ours, theirs = score(truth, predicted, spacing_mm), peer.ask("score")
            else:
                theirs, ours = peer.ask("score"), score(truth, predicted, spacing_mm)
            rows.append((name, ours, theirs, formulas(truth, predicted, spacing_mm)))
            print(f"{name}: kits_tf {ours['seconds']:.2f} s, MONAI {theirs['seconds']:.2f} s", flush=True)
        peer.close()
    print_differences(rows)


def pairs() -> Iterator[tuple[str, Labels, Labels, tuple[float, float, float]]]:
    for number in sorted(layouts.parse_case_numbers(CASES.value)):
        mask = read_labels(Path(DATA_DIR.value) / f"case_{number:05d}" / layouts.LABELS_NAME)
        for kind in KINDS.value:
            predicted = perturbed(mask.array, kind, np.random.default_rng(number))
            yield f"case_{number:05d} {kind}", mask.array, predicted, mask.grid.spacing_mm


def perturbed(labels: Labels, kind: str, rng: np.random.Generator) -> Labels:
    if kind == "shifted":
        return np.roll(labels, (1, 4, -3), (0, 1, 2))
    if kind == "eroded":
        return labels * ndimage.binary_erosion(labels > 0, np.ones((1, 3, 3)), iterations=2)
    if kind == "mirrored":
        return np.ascontiguousarray(labels[:, :, ::-1])
    if kind == "emptied":
        return np.zeros_like(labels)
    result = labels.copy()
    for _ in range(5):
        center = [rng.integers(size) for size in labels.shape]
        result[tuple(slice(max(0, c - 3), c + 4) for c in center)] = 2
    return result


def score(truth: Labels, predicted: Labels, spacing_mm: tuple[float, float, float]) -> dict:
    start = time.perf_counter()
    values = score_values(MaskPair(truth=truth, predicted=predicted, scheme=KITS19, spacing_mm=spacing_mm))
    return {"seconds": time.perf_counter() - start, **values}


def formulas(truth: Labels, predicted: Labels, spacing_mm: tuple[float, float, float]) -> dict:
    """Returns what the challenges' own code would: both empty = 1, one empty = 0; distances by surface-distance."""
    scores = {}
    for name, tolerance_mm in TOLERANCES_MM.items():
        one, other = ((labels > 0 if name == "kidney" else labels == 2) for labels in (truth, predicted))
        if one.any() and other.any():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the library calls SciPy by old names
                distances = surface_distance.compute_surface_distances(one, other, spacing_mm)
            scores[f"{name}_dice"] = 2 * (one & other).sum() / (one.sum() + other.sum())
            scores[f"{name}_surface_dice"] = surface_distance.compute_surface_dice_at_tolerance(distances, tolerance_mm)
            scores[f"{name}_hd95_mm"] = surface_distance.compute_robust_hausdorff(distances, 95)
        else:
            both = not one.any() and not other.any()
            scores |= {f"{name}_dice": float(both), f"{name}_surface_dice": float(both)}
            scores[f"{name}_hd95_mm"] = np.nan if both else np.inf
    return scores


def print_differences(rows: list[tuple]) -> None:
    differences: dict[str, float] = {}
    for _, ours, theirs, expected in rows:
        for i, (name, region) in enumerate(STRUCTURES.items()):
            mine = {
                "dice": ours[f"{name}_dice"],
                "surface_dice": ours[f"kits23_{region}_surface_dice"],
                "hd95_mm": ours[f"{name}_hd95_mm"],
            }
            for score_name, value in mine.items():
                widen(differences, f"formulas: {score_name}", value, expected[f"{name}_{score_name}"])
                widen(differences, f"MONAI: {score_name}", value, theirs[score_name][i])
    print("\n| largest difference of ours from | |\n|---|---|")
    for name, value in differences.items():
        print(f"| {name} | {value:.2g} |")
    seconds = [sum(row[i]["seconds"] for row in rows) for i in (1, 2)]
    print(f"\n{len(rows)} pairs on {len(os.sched_getaffinity(0))} cores: kits_tf {seconds[0]:.1f} s, ", end="")
    print(f"MONAI {seconds[1]:.1f} s, {seconds[1] / seconds[0]:.1f} times as long")


def widen(differences: dict[str, float], name: str, value: float, other: float) -> None:
    """Keeps the largest difference; where neither is finite there is none, as long as both are not."""
    if np.isfinite(value) or np.isfinite(other):
        differences[name] = max(differences.get(name, 0.0), abs(value - other))


if __name__ == "__main__":
    app.run(main)
