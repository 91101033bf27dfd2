"""Seconds and memory from a scan's file to its mask's, at native size: kits_tf, MONAI and nnU-Net, a process each.

    python benchmarks/predict.py --data_dir=KITS19 --cases=61,0,151 --slices=100,300,600,1059 --plot=memory.png

The network is the same (record with four levels, 16 to 128 filters, batch norm folded, float32), and so are windows,
overlap, Gaussian weights, training grid and cores; what else is done to the scan is each one's own. Weights are
nobody's: how good masks are is not the question here. A whole process is timed, with its start and imports, and its
largest resident memory. With --results a run that was interrupted goes on.
"""

import json
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nibabel as nib
import numpy as np
from absl import app, flags

from kits_tf.ct import layouts

PEERS_DIR = Path(__file__).parent / "peers"
DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder of KiTS19 cases: case_00000, ...", required=True)
CASES = flags.DEFINE_string("cases", "61,0,151", "Case numbers, as in 0-9,15.")
SLICES = flags.DEFINE_list("slices", [], "Further scans: so many slices of the middle of the last case.")
RESULTS = flags.DEFINE_string("results", None, "File of what was measured, a line of JSON each; what it has is kept.")
PLOT = flags.DEFINE_string("plot", None, "PNG of memory against slices.")
WINDOW = flags.DEFINE_integer("window", 96, "Voxels of a window along each axis.")
OVERLAP = flags.DEFINE_float("overlap", 0.5, "Share of a window that the next one covers.")
PEERS_PYTHON = flags.DEFINE_string("peers_python", ".venv-peers/bin/python", "Python with peers/requirements.txt.")


def main(_: list[str]) -> None:
    cases = [
        Path(DATA_DIR.value).absolute() / f"case_{number:05d}"
        for number in sorted(layouts.parse_case_numbers(CASES.value))
    ]
    with tempfile.TemporaryDirectory() as folder:
        contenders = commands(make_run(Path(folder)))
        cases += [middle(cases[-1], int(count), Path(folder)) for count in SLICES.value]
        rows = measured_before()
        for case in sorted(cases, key=num_slices):
            (case / layouts.IMAGE_NAME).read_bytes()  # into the page cache
            slices = num_slices(case)
            for name, command in contenders.items():
                if not any((row["case"], row["slices"], row["name"]) == (case.name, slices, name) for row in rows):
                    found = measure([*command, f"--output_dir={folder}/{case.parent.name}/{name}", str(case)])
                    rows.append({"case": case.name, "slices": slices, "name": name, **found})
                    keep(rows[-1])
    rows.sort(key=lambda row: (row["slices"], list(contenders).index(row["name"])))
    tell(rows, list(contenders))
    if PLOT.value:
        draw(rows, list(contenders))


def measured_before() -> list[dict]:
    if RESULTS.value is None or not Path(RESULTS.value).exists():
        return []
    return [json.loads(line) for line in Path(RESULTS.value).read_text().splitlines()]


def keep(row: dict) -> None:
    print(json.dumps(row), flush=True)
    if RESULTS.value:
        with open(RESULTS.value, "a") as file:
            file.write(json.dumps(row) + "\n")


def commands(run_dir: Path) -> dict[str, list[str]]:
    """Returns what segments a case, the contenders by name, ours first."""
    alike = [f"--overlap={OVERLAP.value}"]
    peers = {"MONAI": "monai_predict.py", "nnU-Net": "nnunet_predict.py"}
    return {"kits_tf": [sys.executable, "-m", "kits_tf.predict", f"--model={run_dir}", *alike]} | {
        name: [PEERS_PYTHON.value, str(PEERS_DIR / script), f"--window={WINDOW.value}", *alike]
        for name, script in peers.items()
    }


def make_run(folder: Path) -> Path:
    """Returns a run of the benchmark's network on the recipe's grid, trained for two steps on phantoms."""
    size = ",".join([str(WINDOW.value)] * 3)
    patches = ["--patches_per_case=1", "--batch_size=2", "--shuffle_patches=2", f"--patch_size_zyx={size}"]
    network = ["--filters=16,32,64,128", "--epochs=1", *patches]
    for name, *flags_ in (
        ["phantom", f"--output_dir={folder}/data", "--num_cases=4"],
        ["convert", f"--data_dir={folder}/data", f"--records_dir={folder}/records", "--test_cases="],
        ["train", f"--records_dir={folder}/records", f"--run_dir={folder}/run", *network],
    ):
        subprocess.run([sys.executable, "-m", f"kits_tf.{name}", *flags_], check=True, capture_output=True)
    return folder / "run"


def num_slices(case: Path) -> int:
    return nib.load(case / layouts.IMAGE_NAME).shape[0]


def middle(case: Path, count: int, folder: Path) -> Path:
    """Returns a case of so many slices out of the middle of another."""
    image = nib.load(case / layouts.IMAGE_NAME)
    start = (image.shape[0] - count) // 2
    path = folder / f"slices_{count}" / case.name / layouts.IMAGE_NAME
    path.parent.mkdir(parents=True)
    image.slicer[start : start + count].to_filename(path)
    return path.parent


def measure(command: list[str]) -> dict:
    """Returns seconds (nan if the command failed, as for want of memory) and the largest resident memory in GB."""
    start = time.perf_counter()
    # The peers' scripts take their network from another one, which needs what stands here.
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    return {"s": math.nan if status else seconds, "gb": usage.ru_maxrss * 1024 / 1e9}


def tell(rows: list[dict], names: list[str]) -> None:
    """Prints a table: a line a case, with what the faster peer takes over what we do."""
    print("\n| case | slices | " + " | ".join(f"{name}, s | GB" for name in names) + " | faster peer / kits_tf |")
    print("|---" * (3 + 2 * len(names)) + "|")
    for i in range(0, len(rows), len(names)):
        ours, *theirs = rows[i : i + len(names)]
        found = " | ".join(f"{row['s']:.1f} | {row['gb']:.2f}" for row in (ours, *theirs))
        ratio = np.nanmin([row["s"] for row in theirs]) / ours["s"]
        print(f"| {ours['case']} | {ours['slices']} | {found} | {ratio:.2f} |")


def draw(rows: list[dict], names: list[str]) -> None:
    """Draws memory against slices."""
    from matplotlib.figure import Figure

    from kits_tf.views.drawings import canvas

    figure = Figure(figsize=(6, 4), layout="constrained")
    ax = figure.subplots()
    for name, marker in zip(names, "os^", strict=True):
        points = sorted((row["slices"], row["gb"]) for row in rows if row["name"] == name)
        ax.plot(*zip(*points, strict=True), marker=marker, label=name)
    ax.set(xlabel="slices of 512 x 512", ylabel="peak memory of the process, GB", ylim=(0, None))
    ax.grid(alpha=0.3)
    ax.legend()
    canvas.save(figure, PLOT.value)


if __name__ == "__main__":
    app.run(main)
