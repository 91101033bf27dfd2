"""The network that comes with the package: simulates bodies, trains both stages twice, and writes kits_tf/starter.

    python benchmarks/starter.py --label_maps=LABEL_MAPS --scans=SCANS --unlabeled=UNLABELED --work_dir=starter-work

LABEL_MAPS is what `kits_tf.simulate` takes, SCANS a data set of real scans with masks, each of which is seen as often
as REPEATS simulated ones. Networks of the first round make masks of the scans of UNLABELED, a data set whose own masks
are not read; the second round goes on with these scans too (self-training: Xie et al. 2020, CVPR). All is done by the
commands that users have. What is done is not done again: stopped at any time, the same command goes on. Takes two
hours on two cores.
"""

import csv
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
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
UNLABELED = flags.DEFINE_string("unlabeled", None, "Data set of real scans, masks or not; default: one round.")
WORK_DIR = flags.DEFINE_string("work_dir", "starter-work", "Folder for scans, records, runs and logs.")
CASES = flags.DEFINE_integer("cases", 180, "Bodies to simulate; the last of them validate.")
OUTPUT_DIR = flags.DEFINE_string("output_dir", str(STARTER_DIR), "Folder to write the network to.")
REPEATS = 8
VALIDATION_CASES = 12
# Tumors are counted as kidney, since it has seen invented ones only; the sinus is too, as in KiTS19's masks.
CHAIN = "crf,kidneys,touch,no_tumors,close:10,fill"
# No real scan with contrast is among those to learn from. In one that is not, of the arterial phase, a network that has
# learned without compression has a Dice of 0.72 without it and of 0.92 with it; nine more epochs with it left 0.78.
LEARNED_WITH, USED_WITH = 1.0, 0.2
# Flag file and run of each stage, by its folder within the network's.
STAGES = {".": "starter", "coarse": "starter_coarse"}
# The second round begins with the weights of the first and takes a quarter of its steps, or a little more.
FURTHER = {
    "starter": ("--epochs=14", "--learning_rate=0.0005"),
    "starter_coarse": ("--epochs=6", "--learning_rate=0.0008"),
}


def main(_: list[str]) -> None:
    work_dir = Path(WORK_DIR.value).resolve()
    (work_dir / "logs").mkdir(parents=True, exist_ok=True)
    simulated = work_dir / "simulated"
    paths = (f"--label_maps={LABEL_MAPS.value}", f"--output_dir={simulated}")
    run_command(work_dir / "logs/simulate.txt", "simulate", *paths, f"--cases=0-{CASES.value - 1}", "--seed=1")
    scans = [(files, files.labels) for files in find_cases(SCANS.value) if files.labels]
    first = Round(work_dir)
    first.train(str(simulated), scans)
    last = first
    if UNLABELED.value:
        write_starter(first, work_dir / "network")
        unlabeled = [(files, first.mask(files)) for files in find_cases(UNLABELED.value)]
        last = Round(work_dir / "second", begun_with=work_dir)
        last.train(str(simulated), scans + unlabeled)
    write_starter(last, Path(OUTPUT_DIR.value))
    print(f"wrote {OUTPUT_DIR.value}")


@dataclass(frozen=True)
class Round:
    """A training of both stages.

    Attributes:
        folder: folder of its data set, records, runs and logs.
        begun_with: folder of the round whose weights it begins with, if it does not begin at random.
    """

    folder: Path
    begun_with: Path | None = None

    def train(self, simulated: str, scans: Sequence[tuple[CaseFiles, Path]]) -> None:
        """Trains both stages side by side, each on half of the cores.

        Args:
            simulated: data set of simulated bodies.
            scans: real scans, with the masks to learn.
        """
        (self.folder / "logs").mkdir(parents=True, exist_ok=True)
        write_data_set(simulated, scans, self.folder)
        cores = sorted(os.sched_getaffinity(0))
        lanes = [set(cores[lane :: len(STAGES)]) or set(cores) for lane in range(len(STAGES))]
        with ThreadPoolExecutor(len(STAGES)) as pool:
            list(pool.map(self._train, STAGES.values(), lanes))

    def _train(self, stage: str, cores: set[int]) -> None:
        os.sched_setaffinity(0, cores)  # of this thread, and of the processes that it starts
        flagfile, records = f"--flagfile={ROOT}/configs/{stage}.flags", f"--records_dir={self.folder}/records/{stage}"
        splits, run_dir = f"--splits_file={self.folder}/splits.json", self.folder / stage
        self._call(f"convert_{stage}", "convert", flagfile, records, splits, f"--data_dir={self.folder}/cases.csv")
        learning = [f"--run_dir={run_dir}", f"--compression={LEARNED_WITH}"]
        if self.begun_with:
            learning += [f"--initial_weights={self.begun_with / stage}", *FURTHER[stage]]
        self._call(f"train_{stage}", "train", flagfile, records, splits, *learning)
        check_finished(run_dir)

    def mask(self, files: CaseFiles) -> Path:
        """Writes the mask that this round's networks make of a scan, in the challenge's labels; returns its path."""
        masks = self.folder / "masks" / files.case_id
        arguments = (f"--model={self.folder}/network", f"--output_dir={masks}", "--labels=challenge", str(files.image))
        if not any(masks.glob("*.nii.gz")):
            self._call(f"predict_{files.case_id}", "predict", *arguments)
        return next(masks.glob("*.nii.gz"))

    def _call(self, log: str, command: str, *arguments: str) -> None:
        run_command(self.folder / "logs" / f"{log}.txt", command, *arguments)


def write_starter(trained: Round, output_dir: Path) -> None:
    """Writes the runs of both stages as the network of the package."""
    pack(trained.folder / STAGES["."], output_dir, coarse_model="coarse", compression=USED_WITH)
    pack(trained.folder / STAGES["coarse"], output_dir / "coarse")
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


def write_data_set(simulated: str, scans: Sequence[tuple[CaseFiles, Path]], folder: Path) -> None:
    """Writes the table of all cases, the real ones several times, and the splits: cases.csv and splits.json.

    Args:
        simulated: data set of simulated bodies; the last of them validate.
        scans: real scans, with the masks to learn.
        folder: folder to write to.
    """
    bodies = [(files.case_id, files.image, files.labels) for files in find_cases(simulated)]
    real = [(files, _with_sinus(files, labels, folder)) for files, labels in scans]
    copies = [(f"{files.case_id}_{i}", files.image, labels) for files, labels in real for i in range(REPEATS)]
    with open(folder / "cases.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["case_id", "image", "label"])
        rows.writerows([name, Path(scan).absolute(), Path(mask).absolute()] for name, scan, mask in bodies + copies)
    names = [name for name, *_ in bodies]
    train = [*names[:-VALIDATION_CASES], *(name for name, *_ in copies)]
    splits = {"train": train, "validation": names[-VALIDATION_CASES:], "test": []}
    (folder / "splits.json").write_text(json.dumps(splits))


def _with_sinus(files: CaseFiles, labels: Path, folder: Path) -> Path:
    """Writes a scan's mask with the sinus of its kidneys in it, as simulated masks have it, and returns its path."""
    image, mask = read_pair(replace(files, labels=labels))
    gaps = closing_gaps(mask.array > 0, mask.grid.spacing_mm, SINUS_MM)
    path = folder / f"{files.case_id}.nii.gz"
    write_labels(path, np.where(gaps, np.uint8(CHALLENGE_KIDNEY), mask.array), image)
    return path


if __name__ == "__main__":
    app.run(main)
