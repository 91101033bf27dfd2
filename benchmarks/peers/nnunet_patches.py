"""Training patches per second of nnU-Net v2: its own loader, with the augmentation that it trains with.

    python nnunet_patches.py --data_dir=KITS19 --cache_dir=CACHE --workers=2 --batches=50

Cases come to CACHE as nnunet.py writes them, before anything is timed, unless all of them are there. What follows is
set up as nnUNetTrainer does it, for patches of 128^3 voxels: blocks of 205^3, which leave room for rotations, are read
from blosc2 files; a third of a batch, rounded, and so one patch of two, lies about kidney or tumor. Labels in lower
resolution, for deep supervision, are left out.

The clock starts after some batches, with the workers at work, and stops likewise. What it tells is a line of JSON.
"""

import argparse
import contextlib
import itertools
import json
import os
import sys
import time
from pathlib import Path

import numpy as np
from batchgenerators.dataloading.nondet_multi_threaded_augmenter import NonDetMultiThreadedAugmenter
from nnunet import CONFIGURATION, DATASET, PLANS, dataset_json, plans

SIZE = (128, 128, 128)
ROTATION = (-np.pi / 6, np.pi / 6)
SCALE = (0.85, 1.25)  # what blocks are large enough for, not what is drawn
MIRROR_AXES = (0, 1, 2)
FOREGROUND_SHARE = 0.33
WARM_UP_BATCHES_PER_WORKER = 4


def preprocess(data_dir: Path, cache_dir: Path, workers: int) -> Path:
    """Returns the folder of preprocessed cases, after making it if one is missing there."""
    folder = cache_dir / DATASET
    output_dir = folder / f"{PLANS}_{CONFIGURATION}"
    dataset = dataset_json(data_dir)
    # The last file of a case to be written.
    if not all((output_dir / f"{name}.pkl").is_file() for name in dataset["dataset"]):
        from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor

        folder.mkdir(parents=True, exist_ok=True)
        (folder / "dataset.json").write_text(json.dumps(dataset))
        (folder / f"{PLANS}.json").write_text(json.dumps(plans()))
        DefaultPreprocessor(verbose=False).run(DATASET, CONFIGURATION, PLANS, num_processes=workers)
    return output_dir


def augmenter(case_dir: Path, dataset: dict, workers: int, batch_size: int) -> NonDetMultiThreadedAugmenter:
    from nnunetv2.training.data_augmentation.compute_initial_patch_size import get_patch_size
    from nnunetv2.training.dataloading.data_loader import nnUNetDataLoader
    from nnunetv2.training.dataloading.nnunet_dataset import nnUNetDatasetBlosc2
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    manager = PlansManager(plans()).get_label_manager(dataset)
    transforms = nnUNetTrainer.get_training_transforms(
        SIZE,
        ROTATION,
        deep_supervision_scales=None,
        mirror_axes=MIRROR_AXES,
        do_dummy_2d_data_aug=False,
        use_mask_for_norm=[False],
        foreground_labels=manager.foreground_labels,
    )
    loader = nnUNetDataLoader(
        nnUNetDatasetBlosc2(str(case_dir), list(dataset["dataset"])),
        batch_size,
        get_patch_size(SIZE, ROTATION, ROTATION, ROTATION, SCALE),
        SIZE,
        manager,
        oversample_foreground_percent=FOREGROUND_SHARE,
        transforms=transforms,
    )
    return NonDetMultiThreadedAugmenter(
        loader, None, num_processes=workers, num_cached=max(6, workers // 2), pin_memory=False, wait_time=0.002
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_dir", type=Path, required=True)
    parser.add_argument("--cache_dir", type=Path, required=True)
    parser.add_argument("--workers", type=int, required=True)
    parser.add_argument("--batches", type=int, required=True)
    parser.add_argument("--batch_size", type=int, default=2)
    arguments = parser.parse_args()
    data_dir, cache_dir = arguments.data_dir.absolute(), arguments.cache_dir.absolute()
    os.environ.update(dict.fromkeys(("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"), str(cache_dir)))
    # nnU-Net talks.
    with contextlib.redirect_stdout(sys.stderr):
        case_dir = preprocess(data_dir, cache_dir, arguments.workers)
        batches = augmenter(case_dir, dataset_json(data_dir), arguments.workers, arguments.batch_size)
        try:
            for _ in itertools.islice(batches, WARM_UP_BATCHES_PER_WORKER * arguments.workers):
                pass
            start = time.perf_counter()
            patches = sum(len(batch["data"]) for batch in itertools.islice(batches, arguments.batches))
            rate = patches / (time.perf_counter() - start)
        finally:
            batches._finish()  # as nnUNetTrainer ends its workers
    print(json.dumps({"name": "nnU-Net", "patches_per_second": round(rate, 3), "batches": arguments.batches}))
