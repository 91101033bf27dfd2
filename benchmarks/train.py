"""The training step and inference of one network in TensorFlow, in PyTorch and beside MONAI's UNet, on a CPU.

    python benchmarks/train.py --peers_python=.venv-peers/bin/python

The plain network of 16, 32, 64 and 128 filters, batch norm, 4 classes, Adam and cross-entropy, at 64^3 with batches of
2 and at 128^3 with batches of 1, nothing compiled, batch norm folded into the convolutions for inference on all sides
but MONAI's. MONAI's UNet has as many parameters (within 5 %) and a sixth of the operations, since it leaves the finest
resolution with its first convolution. In bfloat16 too where the processor computes in it.

Each contender waits in a process of its own, and they take turns: in each round each multiplies two matrices of 4096^2
and takes a step; then, in rounds again, inference. Medians over the rounds; "x kits_tf" is the median of the rounds'
ratios; "of matmul" is the FLOPs a second of the contender's own operations by those of its matrix product in the same
round. Memory is the process's peak. Dice is of kits_tf's labels with those of float32 without folding. Last is how the
time of a step of kits_tf divides among kinds of operations, by TensorFlow's profiler.
"""

import os
import sys
from pathlib import Path
from statistics import median

from absl import app, flags
from side_by_side import Contender

from kits_tf.base.provenance import package_versions

PEERS_PYTHON = flags.DEFINE_string("peers_python", ".venv-peers/bin/python", "Python of the peers' environment.")
ROUNDS = flags.DEFINE_integer("rounds", 5, "In which each contender takes a turn, after a call that is not timed.")

HERE = Path(__file__).parent
OURS = "kits_tf"


def main(_: list[str]) -> None:
    precisions = ["float32", *(["bfloat16"] if _computes_in_bfloat16() else [])]
    print(f"{len(os.sched_getaffinity(0))} cores; {', '.join(precisions)}; {package_versions()}")
    for size, batch_size in ((64, 2), (128, 1)):
        for precision in precisions:
            _compare(size, batch_size, precision)


def _compare(size: int, batch_size: int, precision: str) -> None:
    """Prints a table with a row for each contender."""
    columns = "parameters | step, s | x kits_tf | of matmul | inference, s | x kits_tf | of matmul | MB"
    print(f"\n| {size}^3, batch {batch_size}, {precision} | {columns} |")
    print("|---|---|---|---|---|---|---|---|---|")
    arguments = [f"--size={size}", f"--batch_size={batch_size}", f"--precision={precision}"]
    torch = [PEERS_PYTHON.value, str(HERE / "peers" / "step.py")]
    commands = {
        OURS: [sys.executable, str(HERE / "step.py")],
        "torch, channels first": [*torch, "--network=plain", "--layout=first"],
        "torch, channels last": [*torch, "--network=plain", "--layout=last"],
        "MONAI UNet, channels first": [*torch, "--network=monai", "--layout=first"],
        "MONAI UNet, channels last": [*torch, "--network=monai", "--layout=last"],
    }
    contenders = {name: Contender([*command, *arguments]) for name, command in commands.items()}
    seconds = {what: _rounds(contenders, what) for what in ("step", "inference")}
    for name, contender in contenders.items():
        facts = contender.ask("facts")
        row = [name, f"{facts['parameters']:,}"]
        for what, turns in seconds.items():
            own = [turn[what] for turn in turns[name]]
            ratios = [mine / ours[what] for mine, ours in zip(own, turns[OURS], strict=True)]
            work = facts[f"{what}_flops"] / facts["matmul_flops"]
            rates = [work * turn["matmul"] / turn[what] for turn in turns[name]]
            row += [f"{median(own):.2f}", f"{median(ratios):.2f}", f"{median(rates):.0%}"]
        print(f"| {' | '.join(row)} | {facts['peak_mb']:.0f} |", flush=True)
    print(f"\nDice of kits_tf's labels with float32's: {contenders[OURS].ask('agreement')['dice']:.6f}")
    profile = contenders[OURS].ask("profile")
    print(f"kits_tf's step: {', '.join(f'{kind} {share:.0%}' for kind, share in profile.items())}", flush=True)
    for contender in contenders.values():
        contender.close()


def _rounds(contenders: dict[str, Contender], what: str) -> dict[str, list[dict[str, float]]]:
    """Returns each contender's seconds in each round, for a matrix product and for `what`."""
    turns: dict[str, list[dict[str, float]]] = {name: [] for name in contenders}
    for _ in range(ROUNDS.value):
        for name, contender in contenders.items():
            turns[name].append({task: contender.ask(task)["seconds"] for task in ("matmul", what)})
    return turns


def _computes_in_bfloat16() -> bool:
    """Returns whether the processor has instructions for it; the others are slower with it."""
    flags_of_processor = Path("/proc/cpuinfo").read_text().split() if Path("/proc/cpuinfo").exists() else []
    return bool({"avx512_bf16", "amx_bf16"} & set(flags_of_processor))


if __name__ == "__main__":
    app.run(main)
