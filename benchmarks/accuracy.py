"""Validation Dice against minutes of training: kits_tf and MONAI's UNet, side by side.

    python benchmarks/accuracy.py --records_dir=RECORDS --work_dir=WORK --minutes=60

Equal: cases and split, the voxels of the records (exported once for MONAI), patch and batch size, parameters (within
5 %), float32, cores, and minutes on the wall clock. If the machine has twice --cores, both train at the same time, each
pinned to cores of its own; else one after the other. The clock starts when networks are built and everything is
imported: what traces, compiles, reads and caches is on it. Both schedules go by the share of the minutes that is spent,
not by steps: each ends when they do, whatever else slows the machine, and needs no guess of how many steps that is.

Then, off the clock, weights that were saved on the way segment the validation cases on the training grid, each with its
own library's sliding windows: overlap 0.5, Gaussian weights, nothing afterwards. One scorer, ours, scores both, in the
challenge's labels: means over cases with bootstrap 95 % intervals.

Each side's own: network, loss, optimizer, augmentation, sampling of patches. kits_tf has those of --recipe and --ours,
further flags; MONAI those of peers/monai_train.py, which says what was chosen, and --theirs, its options. Given several
times, as in --theirs="" --theirs="--learning_rate=0.002" --theirs="--crop=classes", each is a contender of its own, and
the cores take turns with them. Take as many as fill all turns: else the last one has the machine to itself.

WORK keeps cases, snapshots, predictions and scores; what is there is not done again, but a training that was
interrupted starts anew, with all the others.
"""

import contextlib
import csv
import itertools
import json
import os
import re
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import clock
import numpy as np
from absl import app, flags
from side_by_side import Contender

from kits_tf import config, train
from kits_tf.base.provenance import package_versions
from kits_tf.base.startup import start_tensorflow
from tfrecords_tools.files import written_whole

RECORDS_DIR = flags.DEFINE_string("records_dir", None, "Records of convert.", required=True)
WORK_DIR = flags.DEFINE_string("work_dir", None, "Folder of all that is kept.", required=True)
RECIPE = flags.DEFINE_string("recipe", "configs/body.flags", "Flag file of kits_tf's side.")
OURS = flags.DEFINE_string("ours", "", "More flags of kits_tf's side.")
THEIRS = flags.DEFINE_multi_string("theirs", [""], "Options of peers/monai_train.py; several times: a contender each.")
MINUTES = flags.DEFINE_float("minutes", 60.0, "Of training, each side.")
SNAPSHOT_MINUTES = flags.DEFINE_float("snapshot_minutes", 5.0, "From one snapshot to the next.")
CORES = flags.DEFINE_integer("cores", 1, "Of each side.")
SEED = flags.DEFINE_integer("seed", 19, "Of both sides.")
PEERS_PYTHON = flags.DEFINE_string("peers_python", ".venv-peers/bin/python", "Python of the peers' environment.")

HERE = Path(__file__).parent
OURS_NAME, THEIRS_NAME = "kits_tf", "MONAI"
REGIONS = ("kidney", "tumor")
# Rows of accuracy.csv: (contender, minute, steps, patches, loss), then of each region mean, low, high.
Row = dict[str, Any]


def main(_: list[str]) -> None:
    work_dir = Path(WORK_DIR.value).absolute()
    settings = our_settings(work_dir)
    start_tensorflow()
    from kits_tf.pipeline.manifest import Manifest

    manifest = Manifest.read(settings.records_dir)
    check_same(work_dir)
    for split in ("train", "validation"):
        export(manifest, split, work_dir / "cases" / split)
    with contenders(settings, manifest, work_dir) as together:
        facts = dict(zip(names(), together("facts"), strict=True))
        print("; ".join(f"{name} {describe(found)}" for name, found in facts.items()), flush=True)
        if not all(trained(work_dir, name).exists() for name in names()):
            forget(work_dir)
            together("train")
        together("validate")
    rows, per_case = score(manifest, work_dir)
    with written_whole(work_dir / "accuracy.csv") as partial, open(partial, "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    tell(rows, per_case, work_dir)
    draw(rows, work_dir / "accuracy.png")


def names() -> list[str]:
    """Returns the names of the contenders, ours first; theirs with their options."""
    return [OURS_NAME, *(f"{THEIRS_NAME} {options}".strip() for options in THEIRS.value)]


def folder_of(work_dir: Path, name: str) -> Path:
    """Returns the folder of a contender."""
    return work_dir / re.sub(r"[^\w.=]+", "_", name)


def our_settings(work_dir: Path) -> config.RunSettings:
    """Returns the settings of kits_tf's side."""
    return train.COMMAND.parse([*our_flags(), f"--run_dir={folder_of(work_dir, OURS_NAME)}"])[0]


def our_flags() -> list[str]:
    where = f"--records_dir={Path(RECORDS_DIR.value).absolute()}"
    return [f"--flagfile={RECIPE.value}", *shlex.split(OURS.value), where, f"--seed={SEED.value}"]


def check_same(work_dir: Path) -> None:
    """Notes what the work is done for, and stops if there is another work in its folder."""
    if len(set(names())) < len(names()):
        raise SystemExit(f"--theirs: expected different options each time, got {', '.join(map(repr, THEIRS.value))}")
    settings = ("records_dir", "recipe", "ours", "theirs", "minutes", "snapshot_minutes", "cores", "seed")
    wanted, path = {name: flags.FLAGS[name].value for name in settings}, work_dir / "flags.json"
    work_dir.mkdir(parents=True, exist_ok=True)
    found = json.loads(path.read_text()) if path.exists() else clock.write(path, wanted)
    if found != wanted:
        raise SystemExit(f"{work_dir}: holds the work of {found}, expected {wanted}; use a new --work_dir")


def export(manifest: Any, split: str, folder: Path) -> None:
    """Writes HU and labels of a split's cases as .npy."""
    from kits_tf.pipeline.case import Case
    from tfrecords_tools.read import read_records

    folder.mkdir(parents=True, exist_ok=True)
    for path in manifest.shard_paths(split, RECORDS_DIR.value):
        for case in map(Case.parse, read_records(path)):
            for name, array in (("hu", case.hu), ("labels", case.labels)):
                target = folder / f"{case.case_id}_{name}.npy"
                if not target.exists():
                    with written_whole(target) as partial, open(partial, "wb") as file:
                        np.save(file, array)


@contextlib.contextmanager
def contenders(settings: config.RunSettings, manifest: Any, work_dir: Path) -> Iterator[Callable[[str], list[dict]]]:
    """Yields what asks all contenders the same: as many at the same time as there are cores for, each on its own."""
    available = sorted(os.sched_getaffinity(0))
    lanes = max(1, min(len(available) // CORES.value, len(names())))
    cores = [available[lane * CORES.value :][: CORES.value] for lane in range(lanes)]
    print(f"{lanes} at the same time, on cores {cores}; {package_versions()}", flush=True)
    budget = [f"--minutes={MINUTES.value}", f"--snapshot_minutes={SNAPSHOT_MINUTES.value}"]
    ours, *theirs = names()
    own = [sys.executable, str(HERE / "clocked_training.py"), f"--work_dir={folder_of(work_dir, ours)}", *budget]
    every = [start([*own, "--", *our_flags()], cores[0])]
    task = write_task(settings, manifest, every[0].ask("facts")["parameters"], work_dir)
    peer = [PEERS_PYTHON.value, str(HERE / "peers" / "monai_train.py"), f"--task={task}", f"--seed={SEED.value}"]
    for number, (name, options) in enumerate(zip(theirs, THEIRS.value, strict=True), 1):
        command = [*peer, f"--work_dir={folder_of(work_dir, name)}", *budget, *shlex.split(options)]
        every.append(start(command, cores[number % lanes]))

    def together(question: str) -> list[dict]:
        with ThreadPoolExecutor(lanes) as threads:
            turns = threads.map(lambda lane: [one.ask(question) for one in every[lane::lanes]], range(lanes))
            answers = list(turns)
        return [answers[number % lanes][number // lanes] for number in range(len(every))]

    yield together
    for contender in every:
        contender.close()


def start(command: list[str], cores: list[int]) -> Contender:
    """Returns a contender that has these cores only."""
    own = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)  # a new process has its parent's
    try:
        return Contender(command)
    finally:
        os.sched_setaffinity(0, own)


def write_task(settings: config.RunSettings, manifest: Any, parameters: int, work_dir: Path) -> Path:
    """Writes what both sides share for the one that knows nothing of kits_tf, and returns where."""
    from kits_tf.network.architecture import make_architecture

    content = {
        "classes": len(manifest.scheme.classes),
        "mirrored": manifest.scheme.mirrored,
        "patch_size_zyx": settings.patches.patch_size_zyx,
        "batch_size": settings.optimization.batch_size * settings.optimization.accumulated_batches,
        "window_hu": settings.intensity.window_hu,
        "levels": make_architecture(settings.network).levels,
        "parameters": parameters,
    }
    clock.write(work_dir / "task.json", content)
    return work_dir / "task.json"


def describe(facts: dict) -> str:
    return f"{facts['parameters']:,} parameters, {facts['gflops']:.1f} GFLOPs a patch forward"


def trained(work_dir: Path, name: str) -> Path:
    return folder_of(work_dir, name) / clock.TRAINED


def forget(work_dir: Path) -> None:
    """Removes what is left of trainings of which one was not finished."""
    for name in names():
        shutil.rmtree(folder_of(work_dir, name), ignore_errors=True)
        folder_of(work_dir, name).mkdir()


def score(manifest: Any, work_dir: Path) -> tuple[list[Row], dict[str, dict[str, list[float]]]]:
    """Returns a row for each snapshot, and of each contender's last one the Dice of each case by region."""
    from kits_tf.analysis.scores import dice_scores
    from kits_tf.analysis.statistics import mean_with_interval

    rows, per_case = [], {}
    for name in names():
        for snapshot in json.loads(trained(work_dir, name).read_text())["snapshots"]:
            found: dict[str, list[float]] = {region: [] for region in REGIONS}
            for path in sorted((folder_of(work_dir, name) / snapshot.pop("name")).glob("*_labels.npy")):
                truth = np.load(work_dir / "cases" / "validation" / path.name)
                of_case = dice_scores(truth, np.load(path), manifest.scheme)
                for region in REGIONS:
                    found[region].append(of_case[f"{region}_dice"])
            row: Row = {"contender": name} | snapshot
            for region, values in found.items():
                row[region], (row[f"{region}_low"], row[f"{region}_high"]) = mean_with_interval(np.array(values))
            rows.append(row)
            per_case[name] = found
    return rows, per_case


def tell(rows: list[Row], per_case: dict[str, dict[str, list[float]]], work_dir: Path) -> None:
    """Prints the table, and how ours differs from each of theirs at the end."""
    from kits_tf.analysis.statistics import difference

    print(
        "\n| minute | | steps | patches | training loss | kidney (95 %) | tumor (95 %) |\n|---|---|---|---|---|---|---|"
    )
    for row in sorted(
        rows, key=lambda row: (round(row["minute"] / SNAPSHOT_MINUTES.value), names().index(row["contender"]))
    ):
        dice = [f"{row[r]:.3f} ({row[f'{r}_low']:.3f} to {row[f'{r}_high']:.3f})" for r in REGIONS]
        cells = [f"{row['minute']:.1f}", row["contender"], row["steps"], row["patches"], f"{row['loss']:.3f}", *dice]
        print(f"| {' | '.join(map(str, cells))} |")
    print()
    for name in names():
        found = json.loads(trained(work_dir, name).read_text())
        print(f"{name}: first step after {found['first_step_s']:.0f} s, cores {found['cores']} when training ended")
    for name, region in itertools.product(names()[1:], REGIONS):
        change = difference(region, per_case[name][region], per_case[OURS_NAME][region])
        low, high = change.interval_95
        print(
            f"{region} at the end, {OURS_NAME} - {name}, {change.num_cases} cases in pairs: {change.mean:+.3f} "
            f"({low:+.3f} to {high:+.3f}), Wilcoxon p {change.p_value:.3f}"
        )


def draw(rows: list[Row], path: Path) -> None:
    """Draws Dice against minutes, a chart for each region."""
    from matplotlib.figure import Figure

    from kits_tf.views.drawings import canvas, style

    figure = Figure(figsize=(10, 4.2), facecolor=style.FACE, layout="constrained")
    for ax, region in zip(figure.subplots(1, 2), REGIONS, strict=True):
        peers = [
            {"color": style.TEXT, "marker": m, "linestyle": dash} for m, dash in (("s", "--"), ("^", "-."), ("v", ":"))
        ]
        looks = itertools.chain([{"color": style.COLORS[region], "marker": "o"}], itertools.cycle(peers))
        for name, look in zip(names(), looks, strict=False):
            own = [row for row in rows if row["contender"] == name]
            minutes, mean, low, high = (
                [row[column] for row in own] for column in ("minute", region, f"{region}_low", f"{region}_high")
            )
            ax.plot(minutes, mean, label=name, markersize=4, linewidth=1.5, **look)
            if name == OURS_NAME or len(names()) == 2:  # more bands than two hide each other
                ax.fill_between(minutes, low, high, color=look["color"], alpha=0.2, linewidth=0)
        canvas.decorate(ax, region)
        ax.set(xlim=(0, None), ylim=(0, 1))
        ax.set_xlabel("minutes of training", color=style.TEXT)
        ax.legend(labelcolor=style.TEXT, frameon=False, loc="lower right" if region == "kidney" else "upper left")
    figure.supylabel("Dice, mean of validation cases with 95 % interval", color=style.TEXT, fontsize=9)
    canvas.save(figure, path)


if __name__ == "__main__":
    app.run(main)
