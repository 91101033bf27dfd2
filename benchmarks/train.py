"""The training step and inference of one network in TensorFlow, in PyTorch and beside MONAI's UNet, on a CPU.

    python benchmarks/train.py --peers_python=.venv-peers/bin/python

The plain network of 16, 32, 64 and 128 filters, batch norm, 4 classes, Adam and cross-entropy, at 64^3 with batches of
2 and at 128^3 with batches of 1: each contender in a process of its own, one after the other, nothing compiled, batch
norm folded into the convolutions for inference on all sides but MONAI's. MONAI's UNet has as many parameters (within
5 %) and a sixth of the operations, since it leaves the finest resolution with its first convolution. In
bfloat16 too where the processor computes in it.

Medians of the repeats; the FLOPs a second of each contender's own operations, as a share of what a matrix product of
4096^2 reached in the same process and precision; the memory of the process at its peak; and for kits_tf Dice of the
labels against those of float32 without folding.
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
    precisions = ["float32", *(["bfloat16"] if _computes_in_bfloat16() else [])]
    print(f"{len(os.sched_getaffinity(0))} cores; {', '.join(precisions)}; {runtime.package_versions()}")
    torch = [PEERS_PYTHON.value, str(HERE / "peers" / "step.py")]
    contenders = {
        "kits_tf": [sys.executable, str(HERE / "step.py")],
        "torch, channels first": [*torch, "--network=plain", "--layout=first"],
        "torch, channels last": [*torch, "--network=plain", "--layout=last"],
        "MONAI UNet, channels first": [*torch, "--network=monai", "--layout=first"],
        "MONAI UNet, channels last": [*torch, "--network=monai", "--layout=last"],
    }
    for size, batch_size in ((64, 2), (128, 1)):
        columns = "parameters | step, s | of matmul | inference, s | of matmul | MB | Dice"
        print(f"\n| {size}^3, batch {batch_size} | {columns} |")
        print("|---|---|---|---|---|---|---|---|")
        arguments = [f"--size={size}", f"--batch_size={batch_size}", f"--repeats={REPEATS.value}"]
        for precision in precisions:
            for name, command in contenders.items():
                (found,) = results([*command, *arguments, f"--precision={precision}"])
                times = [
                    f"{found[what]:.2f} | {found[f'{what}_flops'] / found[what] / found['matmul']:.0%}"
                    for what in ("step", "inference")
                ]
                dice = f"{found['dice']:.6f}" if "dice" in found else ""
                row = [f"{name}, {precision}", f"{found['parameters']:,}", *times, f"{found['peak_mb']:.0f}", dice]
                print(f"| {' | '.join(row)} |", flush=True)


def _computes_in_bfloat16() -> bool:
    """Returns whether the processor has instructions for it; the others are slower with it."""
    flags_of_processor = Path("/proc/cpuinfo").read_text().split() if Path("/proc/cpuinfo").exists() else []
    return bool({"avx512_bf16", "amx_bf16"} & set(flags_of_processor))


if __name__ == "__main__":
    app.run(main)
