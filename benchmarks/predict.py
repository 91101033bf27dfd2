"""Seconds and memory from a scan's file to its mask's, at native size: kits_tf and MONAI, each a process of its own.

    python benchmarks/predict.py --data_dir=KITS19 --cases=61,0,151 --peers_python=.venv-peers/bin/python

The network is the same (record with four levels, 16 to 128 filters, batch norm folded, float32), and so are windows,
overlap, Gaussian weights, training grid and cores; what else is done to the scan is each one's own. Weights are
nobody's: how good masks are is not the question here. A whole process is timed, with its start and imports, and its
largest resident memory.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from absl import app, flags

from kits_tf.ct import layouts

PEERS_DIR = Path(__file__).parent / "peers"
DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder of KiTS19 cases: case_00000, ...", required=True)
CASES = flags.DEFINE_string("cases", "61,0,151", "Case numbers, as in 0-9,15.")
WINDOW = flags.DEFINE_integer("window", 96, "Voxels of a window along each axis.")
OVERLAP = flags.DEFINE_float("overlap", 0.5, "Share of a window that the next one covers.")
PEERS_PYTHON = flags.DEFINE_string("peers_python", ".venv-peers/bin/python", "Python with peers/requirements.txt.")


def main(_: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        run_dir = make_run(Path(folder))
        rows = []
        for number in sorted(layouts.parse_case_numbers(CASES.value)):
            case = Path(DATA_DIR.value).absolute() / f"case_{number:05d}"
            (case / layouts.IMAGE_NAME).read_bytes()  # into the page cache
            ours = [sys.executable, "-m", "kits_tf.predict", f"--model={run_dir}", f"--overlap={OVERLAP.value}"]
            monai = [PEERS_PYTHON.value, str(PEERS_DIR / "monai_predict.py"), f"--window={WINDOW.value}"]
            monai.append(f"--overlap={OVERLAP.value}")
            for name, command in (("kits_tf", ours), ("MONAI", monai)):
                seconds, peak = measure([*command, f"--output_dir={folder}/{name}", str(case)])
                rows.append((case.name, name, seconds, peak))
                print(f"{case.name} {name}: {seconds:.1f} s, {peak / 1e9:.2f} GB", flush=True)
        print(
            "\n| case | kits_tf, s | GB | MONAI, s | GB | ratio of seconds | of memory |\n|---|---|---|---|---|---|---|"
        )
        for ours, theirs in zip(rows[::2], rows[1::2], strict=True):
            print(
                f"| {ours[0]} | {ours[2]:.1f} | {ours[3] / 1e9:.2f} | {theirs[2]:.1f} | {theirs[3] / 1e9:.2f} "
                f"| {theirs[2] / ours[2]:.2f} | {theirs[3] / ours[3]:.2f} |"
            )


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


def measure(command: list[str]) -> tuple[float, int]:
    """Returns seconds and the largest resident memory, in bytes, of a command; stops if it fails."""
    start = time.perf_counter()
    # The peer's script takes its network from another one, which needs what stands here.
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} failed, see above")
    return time.perf_counter() - start, usage.ru_maxrss * 1024


if __name__ == "__main__":
    app.run(main)
