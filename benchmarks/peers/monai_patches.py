"""Training patches per second of a MONAI pipeline: KiTS19 cases from a cache, cropped by class, warped, intensities
changed.

    python monai_patches.py --data_dir=KITS19 --cache_dir=CACHE --workers=2 --batches=50

Cases come to CACHE, on 1.6, 1.2, 1.2 mm, before anything is timed. The workers of one DataLoader go over the cases
again and again, in an order shuffled each time, without a pause between epochs. A case that was read gives four patches
of 128^3 voxels, a third of them anywhere in the background, the others about kidney or tumor. Voxels of each class are
searched for in each case that is read or, with --class_voxels=cached, up to 10000 of each come from CACHE.

The clock starts after some batches, with the workers at work, and stops likewise. What it tells is a line of JSON.
"""

import argparse
import itertools
import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from monai.data import DataLoader, PersistentDataset, pickle_hashing
from monai.transforms import (
    ClassesToIndicesd,
    Compose,
    EnsureChannelFirstd,
    LoadImaged,
    Orientationd,
    RandAdjustContrastd,
    RandAffined,
    RandCropByLabelClassesd,
    RandFlipd,
    RandGaussianNoised,
    RandGaussianSmoothd,
    RandScaleIntensityd,
    RandSimulateLowResolutiond,
    ScaleIntensityRanged,
    Spacingd,
    SpatialPadd,
)

IMAGE, KEYS = "image", ("image", "label")
SIZE = (128, 128, 128)
PATCHES_PER_CASE = 4
CLASS_SHARES = [0.33, 0.335, 0.335]  # background, kidney, tumor
KEPT_VOXELS = 10_000
WARM_UP_CASES_PER_WORKER = 2
ENDLESS = 10**9


def fixed_steps(cached_voxels: bool) -> list:
    """Returns what is done once, its result to be kept in the cache."""
    steps = [
        LoadImaged(KEYS),
        EnsureChannelFirstd(KEYS),
        Orientationd(KEYS, axcodes="RAS"),
        # (x, y, z), as RAS has them; so have all other steps.
        Spacingd(KEYS, pixdim=(1.2, 1.2, 1.6), mode=("bilinear", "nearest")),
        ScaleIntensityRanged(IMAGE, a_min=-79.0, a_max=304.0, b_min=0.0, b_max=1.0, clip=True),
        SpatialPadd(KEYS, SIZE),
    ]
    if cached_voxels:
        steps.append(
            ClassesToIndicesd("label", "_voxels", num_classes=len(CLASS_SHARES), max_samples_per_class=KEPT_VOXELS)
        )
    return steps


def random_steps(cached_voxels: bool) -> list:
    return [
        RandCropByLabelClassesd(
            KEYS,
            label_key="label",
            spatial_size=SIZE,
            ratios=CLASS_SHARES,
            num_classes=len(CLASS_SHARES),
            num_samples=PATCHES_PER_CASE,
            indices_key="label_voxels" if cached_voxels else None,
            allow_smaller=True,
            warn=False,
        ),
        RandAffined(
            KEYS,
            prob=0.2,
            rotate_range=np.deg2rad((15.0, 15.0, 30.0)).tolist(),
            scale_range=[(-0.3, 0.4)] * 3,
            mode=("bilinear", "nearest"),
            padding_mode="border",
        ),
        RandFlipd(KEYS, prob=0.5, spatial_axis=0),
        RandGaussianNoised(IMAGE, prob=0.1),
        RandGaussianSmoothd(IMAGE, prob=0.2, sigma_x=(0.5, 1.0), sigma_y=(0.5, 1.0), sigma_z=(0.5, 1.0)),
        RandScaleIntensityd(IMAGE, factors=0.25, prob=0.15),
        RandAdjustContrastd(IMAGE, prob=0.3, gamma=(0.7, 1.5)),
        RandSimulateLowResolutiond(IMAGE, prob=0.25, zoom_range=(0.5, 1.0)),
    ]


def persistent_dataset(data_dir: Path, steps: list, cache_dir: Path) -> PersistentDataset:
    cases = [
        {"image": str(folder / "imaging.nii.gz"), "label": str(folder / "segmentation.nii.gz")}
        for folder in sorted(data_dir.glob("case_*"))
    ]
    # Without the hash, what other steps left in the cache would be taken for these steps' results.
    return PersistentDataset(cases, Compose(steps), cache_dir, hash_transform=pickle_hashing)


def fill_cache(dataset: PersistentDataset, workers: int) -> None:
    # len: a volume need not travel back to this process.
    for _ in DataLoader(dataset, num_workers=workers, collate_fn=len):
        pass


def endless_batches(dataset: PersistentDataset, workers: int, batch_size: int) -> Iterator[tuple[torch.Tensor, ...]]:
    """Yields images and labels; the patches of a case come from a worker as one batch, which is split here."""
    order = torch.utils.data.RandomSampler(dataset, num_samples=ENDLESS)
    for patches in DataLoader(dataset, num_workers=workers, sampler=order, batch_size=1):
        yield from zip(*(patches[key].split(batch_size) for key in KEYS), strict=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_dir", type=Path, required=True)
    parser.add_argument("--cache_dir", type=Path, required=True)
    parser.add_argument("--workers", type=int, required=True)
    parser.add_argument("--batches", type=int, required=True)
    parser.add_argument("--batch_size", type=int, choices=(1, 2, 4), default=2)
    parser.add_argument("--class_voxels", choices=("searched", "cached"), default="searched")
    arguments = parser.parse_args()
    cached_voxels = arguments.class_voxels == "cached"
    fixed = fixed_steps(cached_voxels)
    fill_cache(persistent_dataset(arguments.data_dir, fixed, arguments.cache_dir), arguments.workers)
    steps = fixed + random_steps(cached_voxels)
    dataset = persistent_dataset(arguments.data_dir, steps, arguments.cache_dir)
    batches = endless_batches(dataset, arguments.workers, arguments.batch_size)
    warm_up = WARM_UP_CASES_PER_WORKER * arguments.workers * PATCHES_PER_CASE // arguments.batch_size
    for _ in itertools.islice(batches, warm_up):
        pass
    start = time.perf_counter()
    patches = sum(len(image) for image, _ in itertools.islice(batches, arguments.batches))
    rate = patches / (time.perf_counter() - start)
    batches.close()  # ends the workers
    name = "MONAI, cached voxels" if cached_voxels else "MONAI"
    print(json.dumps({"name": name, "patches_per_second": round(rate, 3), "batches": arguments.batches}))
