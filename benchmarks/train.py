"""The training step and inference of one network in TensorFlow and in PyTorch, float32, on a CPU.

    python benchmarks/train.py --peers_python=.venv-peers/bin/python

The plain network of 16, 32, 64 and 128 filters, batch norm, 4 classes, Adam and cross-entropy, at 64^3 with batches of
2 and at 128^3 with batches of 1: each contender in a process of its own, one after the other, nothing compiled or
folded. Medians, the memory of the process at its peak, and the model's FLOPs a second as a share of what a matrix
product of 4096^2 reached in the same process.
"""

import os
import sys
from pathlib import Path

from absl import app, flags
from side_by_side import results

from kits_tf import runtime

PEERS_PYTHON = flags.DEFINE_string("peers_python", ".venv-peers/bin/python", "Python of the peers' environment.")
REPEATS = flags.DEFINE_integer("repeats", 5, "Steps to time, after one that is not.")

HERE = Path(__file__).parent


def main(_: list[str]) -> None:
    print(f"{len(os.sched_getaffinity(0))} cores; {runtime.package_versions()}")
    torch = [PEERS_PYTHON.value, str(HERE / "peers" / "step.py")]
    contenders = {
        "kits_tf": [sys.executable, str(HERE / "step.py")],  # first: it counts the FLOPs for all
        "torch, channels first": [*torch, "--layout=first"],
        "torch, channels last": [*torch, "--layout=last"],
    }
    for size, batch_size in ((64, 2), (128, 1)):
        print(
            f"\n| {size}^3, batch {batch_size} | parameters | step, s | share of matmul | inference, s | share | MB |"
        )
        print("|---|---|---|---|---|---|---|")
        arguments = [f"--size={size}", f"--batch_size={batch_size}", f"--repeats={REPEATS.value}"]
        flops = None
        for name, command in contenders.items():
            (found,) = results([*command, *arguments])
            flops = flops or found["flops"]
            times = [
                f"{found[what]:.2f} | {flops[what] / found[what] / found['matmul']:.0%}"
                for what in ("step", "inference")
            ]
            print(f"| {name} | {found['parameters']:,} | {' | '.join(times)} | {found['peak_mb']:.0f} |", flush=True)


if __name__ == "__main__":
    app.run(main)
