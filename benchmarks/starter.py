"""The network that comes with the package: simulates bodies, trains both stages, and writes kits_tf/starter.

    python benchmarks/starter.py --label_maps=LABEL_MAPS --scans=SCANS --work_dir=starter-work

LABEL_MAPS is what `kits_tf.simulate` takes, SCANS a data set of real scans with masks, each of which is seen as often
as REPEATS simulated ones. All is done by the commands that users have. What is done is not done again: stopped at any
time, the same command goes on. Takes an hour and a quarter on two cores.
"""

import csv
import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
from absl import app, flags
from training_commands import ROOT, check_finished, run_command

from kits_tf.base.files import written_whole
from kits_tf.base.flagfile import from_flagfile, to_flagfile
from kits_tf.base.settings import select
from kits_tf.config import RunSettings
from kits_tf.ct.cases import read_pair
from kits_tf.ct.labels import CHALLENGE_KIDNEY
from kits_tf.ct.layouts import CaseFiles, find_cases
from kits_tf.ct.morphology import closing_gaps
from kits_tf.ct.volume import write_labels
from kits_tf.pipeline.manifest import Manifest
from kits_tf.synthesis.bodies import SINUS_MM
from kits_tf.training.run_files import BEST_WEIGHTS, FLAGS, POSTPROCESS, STARTER_DIR

LABEL_MAPS = flags.DEFINE_string("label_maps", None, "Folder of label maps, as for simulate.", required=True)
SCANS = flags.DEFINE_string("scans", None, "Data set of real scans with masks.", required=True)
WORK_DIR = flags.DEFINE_string("work_dir", "starter-work", "Folder for scans, records, runs and logs.")
CASES = flags.DEFINE_integer("cases", 180, "Bodies to simulate; the last of them validate.")
OUTPUT_DIR = flags.DEFINE_string("output_dir", str(STARTER_DIR), "Folder to write the network to.")
REPEATS = 8
VALIDATION_CASES = 12
# Tumors are counted as kidney, since it has seen invented ones only; the sinus is too, as in KiTS19's masks.
CHAIN = "crf,kidneys,touch,no_tumors,close:10,fill"
# Flag file and run of each stage, by its folder within the network's.
STAGES = {".": "starter", "coarse": "starter_coarse"}


def main(_: list[str]) -> None:
    (_work_dir() / "logs").mkdir(parents=True, exist_ok=True)
    simulated = _work_dir() / "simulated"
    paths = (f"--label_maps={LABEL_MAPS.value}", f"--output_dir={simulated}")
    _call("simulate", "simulate", *paths, f"--cases=0-{CASES.value - 1}", "--seed=1")
    write_data_set(str(simulated), SCANS.value, _work_dir())
    cores = sorted(os.sched_getaffinity(0))
    with ThreadPoolExecutor(len(STAGES)) as pool:
        lanes = [set(cores[lane :: len(STAGES)]) or set(cores) for lane in range(len(STAGES))]
        list(pool.map(_train, STAGES.values(), lanes))
    write_starter(_work_dir() / STAGES["."], _work_dir() / STAGES["coarse"], Path(OUTPUT_DIR.value))
    print(f"wrote {OUTPUT_DIR.value}")


def write_starter(run_dir: Path, coarse_run_dir: Path, output_dir: Path) -> None:
    """Writes the runs of both stages as the network of the package."""
    pack(run_dir, output_dir, coarse_model="coarse")
    pack(coarse_run_dir, output_dir / "coarse")
    (output_dir / POSTPROCESS).write_text(json.dumps({"chain": CHAIN}) + "\n")


def pack(run_dir: Path, output_dir: Path, **changes: object) -> None:
    """Writes what a run is used by, small and without paths of this machine: flags, manifest, weights as float16.

    Args:
        run_dir: folder of the run.
        output_dir: folder to write to.
        **changes: flags of the run that are others where it is used, by name.
    """
    output_dir.mkdir(parents=True, exist_ok=True)
    settings = from_flagfile(RunSettings, run_dir / FLAGS)
    places = {"records_dir": "records", "run_dir": "run", "initial_weights": "", "cache": "", "splits_file": None}
    (output_dir / FLAGS).write_text(to_flagfile(select(RunSettings, settings, **places | changes), "train"))
    manifest = Manifest.read(run_dir)
    replace(
        manifest,
        data_dir="",
        splitting=replace(manifest.splitting, splits_file=""),
        splits={name: [] for name in manifest.splits},
        folds=[],
        shards={},
        cases={},
    ).write(output_dir)
    with (
        h5py.File(run_dir / BEST_WEIGHTS) as source,
        written_whole(output_dir / BEST_WEIGHTS) as partial,
        h5py.File(partial, "w") as target,
    ):
        source.visititems(lambda name, item: _copy_as_float16(name, item, target))


def _copy_as_float16(name: str, item: h5py.Group | h5py.Dataset, target: h5py.File) -> None:
    if isinstance(item, h5py.Group):
        copy = target.require_group(name)
    else:
        values = item[()]
        copy = target.create_dataset(name, data=values.astype(np.float16) if values.dtype == np.float32 else values)
    for key, value in item.attrs.items():
        copy.attrs[key] = value


def write_data_set(simulated: str, scans: str, folder: Path) -> None:
    """Writes the table of all cases, the real ones several times, and the splits: cases.csv and splits.json.

    Args:
        simulated: data set of simulated bodies; the last of them validate.
        scans: data set of real scans; those without a mask are left out.
        folder: folder to write to.
    """
    bodies = [(files.case_id, files.image, files.labels) for files in find_cases(simulated)]
    real = [
        (f"{files.case_id}_{i}", files.image, labels)
        for files in find_cases(scans)
        if files.labels
        for labels in [_with_sinus(files, folder / f"{files.case_id}.nii.gz")]
        for i in range(REPEATS)
    ]
    with open(folder / "cases.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["case_id", "image", "label"])
        rows.writerows([name, Path(image).absolute(), Path(labels).absolute()] for name, image, labels in bodies + real)
    names = [name for name, *_ in bodies]
    train = [*names[:-VALIDATION_CASES], *(name for name, *_ in real)]
    splits = {"train": train, "validation": names[-VALIDATION_CASES:], "test": []}
    (folder / "splits.json").write_text(json.dumps(splits))


def _with_sinus(files: CaseFiles, path: Path) -> Path:
    """Writes a case's mask with the sinus of its kidneys in it, as simulated masks have it, and returns the path."""
    image, mask = read_pair(files)
    gaps = closing_gaps(mask.array > 0, mask.grid.spacing_mm, SINUS_MM)
    write_labels(path, np.where(gaps, np.uint8(CHALLENGE_KIDNEY), mask.array), image)
    return path


def _train(config: str, cores: set[int]) -> None:
    os.sched_setaffinity(0, cores)  # of this thread, and of the processes that it starts
    flagfile, records = f"--flagfile={ROOT}/configs/{config}.flags", f"--records_dir={_work_dir()}/records/{config}"
    splits, run_dir = f"--splits_file={_work_dir()}/splits.json", _work_dir() / config
    _call(f"convert_{config}", "convert", flagfile, records, splits, f"--data_dir={_work_dir()}/cases.csv")
    _call(f"train_{config}", "train", flagfile, records, splits, f"--run_dir={run_dir}")
    check_finished(run_dir)


def _call(log: str, command: str, *arguments: str) -> None:
    run_command(_work_dir() / "logs" / f"{log}.txt", command, *arguments)


def _work_dir() -> Path:
    return Path(WORK_DIR.value).resolve()


if __name__ == "__main__":
    app.run(main)
