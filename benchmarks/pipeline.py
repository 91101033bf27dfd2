"""Training input beside peers: warps alone, patches a second from disk to augmented batch, and reading alone.

    python benchmarks/pipeline.py --data_dir=KITS19 --cases=0-15 --work_dir=WORK --peers_python=.venv-peers/bin/python

One run of everybody on the same cases and cores, one after the other, each in processes of its own: kits_tf in one,
peers in as many workers as there are cores. The cases are converted and the peers' caches filled first, untimed, into
WORK, which a second run takes again. Patches are 128^3 voxels of 1.6, 1.2, 1.2 mm, batches 2 patches. What each does to
a patch stands in benchmarks/patches.py and benchmarks/peers/.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from absl import app, flags
from side_by_side import results

from kits_tf.base.provenance import package_versions
from kits_tf.ct import layouts

DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder of KiTS19 cases.", required=True)
CASES = flags.DEFINE_string("cases", "0-15", "Numbers of the cases.")
WORK_DIR = flags.DEFINE_string("work_dir", None, "Folder for records and caches.", required=True)
PEERS_PYTHON = flags.DEFINE_string("peers_python", ".venv-peers/bin/python", "Python of the peers' environment.")
BATCHES = flags.DEFINE_integer("batches", 100, "Batches to time.")

HERE = Path(__file__).parent
PEERS = HERE / "peers"


def main(_: list[str]) -> None:
    work = Path(WORK_DIR.value).absolute()
    data = link_cases(work / "cases")
    records = work / "records"
    kits_tf = [sys.executable, "-m", "kits_tf.convert", f"--data_dir={data}", f"--records_dir={records}"]
    subprocess.run([*kits_tf, "--test_cases="], check=True, stdout=subprocess.DEVNULL)
    cores = len(os.sched_getaffinity(0))
    print(f"{len(list(data.iterdir()))} cases, {cores} cores; {package_versions()}")
    ours = [sys.executable, str(HERE / "patches.py"), f"--records_dir={records}", f"--batches={BATCHES.value}"]
    loader = [f"--data_dir={data}", f"--workers={cores}", f"--batches={BATCHES.value}"]
    monai = [*peer("monai_patches.py"), *loader, f"--cache_dir={work / 'monai'}"]
    nnunet = [*peer("nnunet_patches.py"), *loader, f"--cache_dir={work / 'nnunet'}"]

    warps = results([*ours, "--what=warps"]) + results(peer("warps.py"))
    for setting in ("three-axis", "in-plane"):
        chosen = {found["name"]: found["ms_per_patch"] for found in warps if found["setting"] == setting}
        print(table(f"{setting}, image and labels: ms a patch", chosen, is_time=True))
    rates = [*results([*ours, "--what=pipeline"])]
    for command in (monai, [*monai, "--class_voxels=cached"], nnunet):
        rates += results(command)
    print(table("from disk to augmented batch: patches/s", {r["name"]: r["patches_per_second"] for r in rates}, False))
    for found in results([*ours, "--what=reading"]):
        print(json.dumps(found))


def link_cases(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number in sorted(layouts.parse_case_numbers(CASES.value)):
        link, case = folder / f"case_{number:05d}", Path(DATA_DIR.value).absolute() / f"case_{number:05d}"
        if not case.is_dir():
            raise SystemExit(f"{case}: expected a folder, found none")
        if not link.exists():
            link.symlink_to(case)
    return folder


def peer(script: str) -> list[str]:
    return [PEERS_PYTHON.value, "-W", "ignore", str(PEERS / script)]


def table(title: str, values: dict[str, float], is_time: bool) -> str:
    """Returns a Markdown table; the last column: how many times as fast kits_tf is."""
    rows = [f"| {title} | | kits_tf: times as fast |", "|---|---|---|"]
    for name, value in values.items():
        ratio = value / values["kits_tf"] if is_time else values["kits_tf"] / value
        rows.append(f"| {name} | {value:.1f} | {ratio:.1f} |")
    return "\n".join(["", *rows])


if __name__ == "__main__":
    app.run(main)
