"""MONAI's side of benchmarks/accuracy.py: it answers facts, train and validate.

    python monai_train.py --work_dir=WORK/monai --task=WORK/task.json --minutes=60

What MONAI's own recipes for organs and tumors in CT do, as far as the two sides are to be equal: its UNet with two
residual units a level, DiceCELoss (softmax, of each example, squared), AdamW with a cosine after a warm-up, a
CacheDataset with the voxels of foreground and background found once, crops by label, and augmentation in space and
intensity. Chosen for it here, beyond the recipes:

- windows of HU and patches as kits_tf's; as many levels; filters such that parameters are within 5 %
- mirror images along x, which swap right and left as kits_tf's do; RandFlipd alone would train on wrong labels
- an average of the weights over steps, as kits_tf has one
- channels last in memory (as fast as first on one core, within 5 %), no metadata on tensors, no workers
- a patch of each of a batch's cases, not several of one
"""

import argparse
import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from clock import TRAINED, train_by_clock, warmup_cosine, write
from monai.data import CacheDataset, DataLoader, set_track_meta
from monai.inferers import SlidingWindowInferer
from monai.losses import DiceCELoss
from monai.networks.nets import UNet
from monai.transforms import (
    ClassesToIndicesd,
    Compose,
    EnsureChannelFirstd,
    EnsureTyped,
    FgBgToIndicesd,
    LoadImaged,
    MapTransform,
    RandAffined,
    RandCropByLabelClassesd,
    RandCropByPosNegLabeld,
    RandGaussianNoised,
    Randomizable,
    RandScaleIntensityd,
    RandShiftIntensityd,
    ScaleIntensityRanged,
    SpatialPadd,
)
from monai.utils import set_determinism
from side_by_side import answer
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

IMAGE, LABEL, KEYS = "image", "label", ("image", "label")
MIRROR_PROBABILITY = 0.5
X_AXIS = 3  # of (channel, z, y, x)


class RandMirrorSidesd(Randomizable, MapTransform):
    """Mirrors image and label along x half of the time, and gives each label that of the other side."""

    def __init__(self, mirrored: list[int]) -> None:
        super().__init__(KEYS)
        self.mirrored = torch.tensor(mirrored)

    def __call__(self, data: dict) -> dict:
        if self.R.random() >= MIRROR_PROBABILITY:
            return data
        image, label = data[IMAGE].flip(X_AXIS), data[LABEL].flip(X_AXIS)
        return data | {IMAGE: image, LABEL: self.mirrored.to(label.dtype)[label.long()]}


def fixed_steps(task: dict, crop: str) -> list:
    """Returns what is done with a case once, before it is kept in memory."""
    low, high = task["window_hu"]
    find = (
        FgBgToIndicesd(LABEL)
        if crop == "pos_neg"
        else ClassesToIndicesd(LABEL, num_classes=task["classes"], max_samples_per_class=10_000)
    )
    return [
        LoadImaged(KEYS, reader="NumpyReader"),
        EnsureChannelFirstd(KEYS, channel_dim="no_channel"),
        ScaleIntensityRanged(IMAGE, a_min=low, a_max=high, b_min=0.0, b_max=1.0, clip=True),
        SpatialPadd(KEYS, task["patch_size_zyx"]),
        EnsureTyped(KEYS, dtype=(torch.float32, torch.uint8)),
        find,
    ]


def random_steps(task: dict, crop: str) -> list:
    """Returns what is drawn anew for each patch."""
    size = task["patch_size_zyx"]
    if crop == "pos_neg":
        cut = RandCropByPosNegLabeld(
            KEYS,
            label_key=LABEL,
            spatial_size=size,
            pos=1,
            neg=1,
            num_samples=1,
            fg_indices_key="label_fg_indices",
            bg_indices_key="label_bg_indices",
        )
    else:
        cut = RandCropByLabelClassesd(
            KEYS,
            label_key=LABEL,
            spatial_size=size,
            ratios=[1] * task["classes"],
            num_classes=task["classes"],
            num_samples=1,
            indices_key="label_cls_indices",
            warn=False,
        )
    return [
        cut,
        RandMirrorSidesd(task["mirrored"]),
        RandAffined(
            KEYS,
            prob=0.2,
            rotate_range=(np.deg2rad(15.0), 0.0, 0.0),  # about z
            scale_range=[(-0.25, 0.25)] * 3,
            mode=("bilinear", "nearest"),
            padding_mode="border",
        ),
        RandGaussianNoised(IMAGE, prob=0.1, std=0.05),
        RandScaleIntensityd(IMAGE, factors=0.25, prob=0.15),
        RandShiftIntensityd(IMAGE, offsets=0.1, prob=0.15),
        EnsureTyped(KEYS, dtype=(torch.float32, torch.uint8)),  # of the warp, labels come as float32
    ]


def endless_batches(task: dict, options: argparse.Namespace) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yields images and labels, epoch after epoch, each of all cases in another order."""
    images = sorted((options.task.parent / "cases" / "train").glob("*_hu.npy"))
    cases = [{IMAGE: str(path), LABEL: str(path).replace("_hu.npy", "_labels.npy")} for path in images]
    steps = Compose(fixed_steps(task, options.crop) + random_steps(task, options.crop))
    steps.set_random_state(options.seed)
    data = CacheDataset(cases, steps, num_workers=1, progress=False)
    loader = DataLoader(data, batch_size=task["batch_size"], shuffle=True, drop_last=True, num_workers=0)
    while True:
        for batch in loader:
            yield batch[IMAGE].to(memory_format=torch.channels_last_3d), batch[LABEL]


def make_network(task: dict, norm: str, base: float) -> UNet:
    filters = [round(base * 2**level) for level in range(task["levels"])]
    return UNet(3, 1, task["classes"], filters, (2,) * (task["levels"] - 1), num_res_units=2, norm=norm)


def count(network: torch.nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


def network_of_size(task: dict, norm: str) -> UNet:
    """Returns the network whose parameters are nearest to the other side's, each level with twice the filters."""
    bases = np.arange(4, 64, 0.125)
    with torch.device("meta"):
        best = min(bases, key=lambda base: abs(count(make_network(task, norm, base)) - task["parameters"]))
    return make_network(task, norm, best)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work_dir", type=Path, required=True)
    parser.add_argument("--task", type=Path, required=True, help="what both sides share; cases lie beside it")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--snapshot_minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=19)
    parser.add_argument("--crop", choices=("pos_neg", "classes"), default="pos_neg")
    parser.add_argument("--norm", choices=("batch", "instance"), default="batch")
    parser.add_argument("--learning_rate", type=float, default=1e-3)
    parser.add_argument("--weight_decay", type=float, default=1e-5)
    parser.add_argument("--warmup", type=float, default=0.05, help="share of the time")
    parser.add_argument("--average_decay", type=float, default=0.99, help="0: the last weights")
    options = parser.parse_args()
    task, folder = json.loads(options.task.read_text()), options.work_dir
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    set_determinism(options.seed, use_deterministic_algorithms=False)
    set_track_meta(False)
    network = network_of_size(task, options.norm).to(memory_format=torch.channels_last_3d)
    average_of = get_ema_multi_avg_fn(options.average_decay)
    average = AveragedModel(network, multi_avg_fn=average_of) if options.average_decay else None
    validated = average.module if average else network
    loss_of = DiceCELoss(to_onehot_y=True, softmax=True, squared_pred=True)
    optimizer = torch.optim.AdamW(network.parameters(), options.learning_rate, weight_decay=options.weight_decay)

    def facts() -> dict:
        from torch.utils.flop_counter import FlopCounterMode

        with FlopCounterMode(display=False) as counter, torch.inference_mode():
            network.eval()(torch.zeros(1, 1, *task["patch_size_zyx"]))
        return {"parameters": count(network), "gflops": counter.get_total_flops() / 1e9}

    def train() -> dict:
        batches = endless_batches(task, options)
        network.train()

        def step(spent: float) -> float:
            optimizer.param_groups[0]["lr"] = options.learning_rate * warmup_cosine(spent, options.warmup)
            image, label = next(batches)
            optimizer.zero_grad()
            loss = loss_of(network(image), label)
            loss.backward()
            optimizer.step()
            if average:
                average.update_parameters(network)
            return loss.item()

        def keep(name: str) -> None:
            partial = folder / f"{name}.partial"
            torch.save(validated.state_dict(), partial)
            partial.replace(folder / f"{name}.pt")

        found = train_by_clock(options.minutes, options.snapshot_minutes, task["batch_size"], step, keep)
        return write(folder / TRAINED, found)

    answer({"facts": facts, "train": train, "validate": lambda: validate(folder, validated, task, options.task.parent)})


def validate(folder: Path, network: torch.nn.Module, task: dict, work_dir: Path) -> dict:
    """Segments every validation case with every snapshot that has not yet, and tells how many it was."""
    network.eval()
    inferer = SlidingWindowInferer(task["patch_size_zyx"], 1, overlap=0.5, mode="gaussian")
    low, high = task["window_hu"]
    done = 0
    for snapshot in sorted(folder.glob("minute_*.pt")):
        network.load_state_dict(torch.load(snapshot))
        for case in sorted((work_dir / "cases" / "validation").glob("*_hu.npy")):
            path = folder / snapshot.stem / case.name.replace("_hu", "_labels")
            if not path.exists():
                path.parent.mkdir(exist_ok=True)
                image = (torch.from_numpy(np.load(case)).float().clip(low, high) - low) / (high - low)
                with torch.inference_mode():
                    logits = inferer(image[None, None].to(memory_format=torch.channels_last_3d), network)
                partial = path.with_suffix(".partial")
                with open(partial, "wb") as file:
                    np.save(file, logits[0].argmax(0).numpy().astype(np.uint8))
                partial.replace(path)
                done += 1
    return {"segmented": done}


if __name__ == "__main__":
    main()
