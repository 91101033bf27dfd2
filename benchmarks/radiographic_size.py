"""The largest axial diameter of KiTS19's tumors as we measure it, against the radiologist's in kits.json.

    python benchmarks/radiographic_size.py --data_dir=KITS19 --cases=0-179 --plot=sizes.png

Of each mask the tumor with the largest diameter. Printed are the correlation, the mean difference with its 95 % limits
of agreement (Bland and Altman 1986, Lancet 327), and the cases that lie outside of these.
"""

import json
from pathlib import Path

import numpy as np
from absl import app, flags
from matplotlib.figure import Figure

from kits_tf.analysis.mask_files import open_mask
from kits_tf.analysis.masks import read_to_measure
from kits_tf.analysis.morphometry import measure
from kits_tf.config import MaskSchemeSettings
from kits_tf.ct import layouts
from kits_tf.views.drawings import canvas

DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder of KiTS19 cases and their kits.json.", required=True)
CASES = flags.DEFINE_string("cases", "0-179", "Case numbers, as in 0-9,15.")
PLOT = flags.DEFINE_string("plot", None, "PNG of both plots.")


def main(_: list[str]) -> None:
    root = Path(DATA_DIR.value)
    reported_cm = {row["case_id"]: row["radiographic_size"] for row in json.loads((root / "kits.json").read_text())}
    names, ours_mm, theirs_mm = [], [], []
    for number in sorted(layouts.parse_case_numbers(CASES.value)):
        name = f"case_{number:05d}"
        mask, scheme = read_to_measure(open_mask(root / name / layouts.LABELS_NAME, MaskSchemeSettings()), None)
        lesions = measure(mask.array, scheme, mask.grid.spacing_mm).lesions
        sizes = [lesion.axial_diameter_mm for lesion in lesions if lesion.axial_diameter_mm is not None]
        if not sizes or reported_cm[name] is None:
            print(f"{name}: left out: {', '.join(sum((lesion.flags for lesion in lesions), ())) or 'no size'}")
            continue
        names.append(name)
        ours_mm.append(max(sizes))
        theirs_mm.append(10 * reported_cm[name])
    print_agreement(names, np.array(ours_mm), np.array(theirs_mm))


def print_agreement(names: list[str], ours: np.ndarray, theirs: np.ndarray) -> None:
    differences = ours - theirs
    bias, spread = differences.mean(), differences.std(ddof=1)
    limits = bias - 1.96 * spread, bias + 1.96 * spread
    correlation, off = np.corrcoef(ours, theirs)[0, 1], np.median(np.abs(differences))
    print(f"{len(names)} cases: Pearson r {correlation:.3f}; ours - theirs: mean {bias:+.1f} mm, median ", end="")
    print(f"{np.median(differences):+.1f} mm, limits of agreement {limits[0]:+.1f} to {limits[1]:+.1f} mm; ", end="")
    print(f"median of |difference| {off:.1f} mm")
    for i in np.argsort(-np.abs(differences)):
        if not limits[0] <= differences[i] <= limits[1]:
            print(f"{names[i]}: ours {ours[i]:.0f} mm, theirs {theirs[i]:.0f} mm")
    if PLOT.value:
        draw(ours, theirs, bias, limits)


def draw(ours: np.ndarray, theirs: np.ndarray, bias: float, limits: tuple[float, float]) -> None:
    figure = Figure(figsize=(10, 4.5), layout="constrained")
    scatter, agreement = figure.subplots(1, 2)
    end = max(ours.max(), theirs.max()) * 1.05
    scatter.plot([0, end], [0, end], color="gray", linewidth=1)
    scatter.scatter(theirs, ours, s=12)
    scatter.set(xlabel="radiographic size in kits.json, mm", ylabel="largest axial diameter of the mask, mm")
    scatter.set(xlim=(0, end), ylim=(0, end), aspect="equal")
    agreement.scatter((ours + theirs) / 2, ours - theirs, s=12)
    for height, style in ((bias, "-"), (limits[0], "--"), (limits[1], "--")):
        agreement.axhline(height, color="gray", linestyle=style, linewidth=1)
        agreement.annotate(f"{height:+.1f}", (1, height), xycoords=("axes fraction", "data"), ha="right", va="bottom")
    agreement.set(xlabel="mean of both, mm", ylabel="mask - kits.json, mm")
    canvas.save(figure, PLOT.value)


if __name__ == "__main__":
    app.run(main)
