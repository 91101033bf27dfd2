"""kits_tf's side of pipeline.py: warps alone, patches from shards to augmented batch, reading alone, or memory.

    python benchmarks/patches.py --what=warps
    python benchmarks/patches.py --what=pipeline --records_dir=RECORDS
    python benchmarks/patches.py --what=reading --records_dir=RECORDS
    python benchmarks/patches.py --what=memory --records_dir=RECORDS --epochs=20

Everything is as `train` has it: settings of the recipe of record, patches of 128^3, batches of 2, freed memory kept.
Results are lines of JSON. `reading` gives bytes of records a second: of TensorFlow's TFRecordDataset alone, and of the
pipeline without augmentation, which is what a GPU that augments is fed by; the two alternate. `memory` gives the
resident memory after each epoch.
"""

import dataclasses
import json
import os
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from absl import app, flags

from kits_tf import config
from kits_tf.base.memory import keep_freed_memory
from kits_tf.base.startup import start_tensorflow

WHAT = flags.DEFINE_enum("what", None, ("warps", "pipeline", "reading", "memory"), "What to measure.", required=True)
RECORDS_DIR = flags.DEFINE_string("records_dir", None, "Folder of records on 1.6, 1.2, 1.2 mm.")
BATCHES = flags.DEFINE_integer("batches", 150, "Batches to time.")
WARM_UP = flags.DEFINE_integer("warm_up", 150, "Batches before: until XLA has compiled for every length of a patch.")
REPEATS = flags.DEFINE_integer("repeats", 8, "Timings of a warp; their median counts.")
PASSES = flags.DEFINE_integer("passes", 5, "How often records are read in one timing.")
EPOCHS = flags.DEFINE_integer("epochs", 20, "Epochs to watch the memory of.")

PATCHES = config.PatchSettings()
SIZE, SPACING = PATCHES.patch_size_zyx, (1.6, 1.2, 1.2)
BATCH = 2
MIRRORED = (0, 2, 1, 3)
NO_WARP = config.WarpSettings(rotation_probability=0, scale_probability=0, flip_zyx_probability=(0, 0, 0))
WARPS = {
    "three-axis": config.WarpSettings(
        rotation_probability=1, scale_probability=1, flip_zyx_probability=(0.0, 0.0, 1.0)
    ),
    "in-plane": dataclasses.replace(NO_WARP, rotation_probability=1, rotation_zyx_degrees=(30.0, 0.0, 0.0)),
}


def main(_: list[str]) -> None:
    keep_freed_memory()
    start_tensorflow()
    {"warps": time_warps, "pipeline": time_pipeline, "reading": time_reading, "memory": watch_memory}[WHAT.value]()


def time_warps() -> None:
    import tensorflow as tf

    from kits_tf.pipeline import lookup, patches, warp
    from kits_tf.pipeline.augment import Augmentation

    rng = np.random.default_rng(0)
    case = {
        "case_id": tf.constant("case_00000"),
        "hu": tf.constant(rng.integers(-1000, 1000, (280, 280, 280)), tf.int16),
        "labels": tf.constant(rng.integers(0, 4, (280, 280, 280)), tf.uint8),
    }
    look_up = tf.function(lookup.look_up, autograph=False)
    for setting, settings in WARPS.items():
        taken = []
        for seed in range(REPEATS.value):
            drawn = warp.sample_warp(tf.constant([seed, 0]), settings, SIZE, SPACING)
            patch = patches.cut_source(case, tf.constant([140] * 3), Augmentation(drawn, ()), SIZE, "linear")
            for timed in (False, True):  # the first may have to be compiled
                start = time.perf_counter()
                image, labels = look_up(patch.source, drawn, SIZE, "linear", MIRRORED)
                image.numpy(), labels.numpy()
                if timed:
                    taken.append(time.perf_counter() - start)
        say(name="kits_tf", setting=setting, ms_per_patch=round(1000 * statistics.median(taken), 1))


def time_pipeline() -> None:
    from kits_tf.pipeline.augment import augment_batch
    from kits_tf.pipeline.recipe import PatchRecipe

    augmented = (
        training()
        .map(
            lambda batch: augment_batch(batch, PatchRecipe(), MIRRORED),
            num_parallel_calls=len(os.sched_getaffinity(0)),
        )
        .prefetch(2)
    )
    say(name="kits_tf", patches_per_second=round(rate(iter(augmented)), 2), batches=BATCHES.value)


def time_reading() -> None:
    import tensorflow as tf

    shards = list(shard_paths())
    num_bytes = sum(Path(path).stat().st_size for path in shards)
    read, fed = [], []
    patches = iter(training(warp=NO_WARP, appearance=quiet()))
    for _ in range(5):
        fed.append(rate(patches))
        time.sleep(1)  # until its buffers are full again
        start = time.perf_counter()
        tf.data.TFRecordDataset(shards * PASSES.value).reduce(0, lambda count, _: count + 1).numpy()
        read.append(num_bytes * PASSES.value / (time.perf_counter() - start))
    bytes_per_patch = num_bytes / len(shards) / PATCHES.patches_per_case
    raw, patches_per_second = statistics.median(read), statistics.median(fed)
    say(name="TFRecordDataset", gb_per_second=round(raw / 1e9, 3))
    say(
        name="kits_tf without augmentation",
        gb_per_second=round(patches_per_second * bytes_per_patch / 1e9, 3),
        share_of_reading=round(patches_per_second * bytes_per_patch / raw, 3),
        patches_per_second=round(patches_per_second, 1),
        patches_per_second_and_core=round(patches_per_second / len(os.sched_getaffinity(0)), 1),
    )


def watch_memory() -> None:
    from kits_tf.pipeline.dataset import steps_per_epoch

    shards = shard_paths()
    steps = steps_per_epoch(shards, PATCHES.patches_per_case, BATCH)
    batches = iter(training())
    for epoch in range(EPOCHS.value):
        for _ in range(steps):
            next(batches)
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        say(epoch=epoch + 1, cases=len(shards), resident_mb=round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6))


def training(**recipe: config.Settings):
    """Returns batches of patches by the default recipe, but for the groups of settings that are given."""
    from kits_tf.pipeline.dataset import BatchPlan, training_patches
    from kits_tf.pipeline.recipe import PatchRecipe

    return training_patches(shard_paths(), PatchRecipe(**recipe), SPACING, BatchPlan(batch_size=BATCH, seed=0))


def quiet() -> config.AppearanceSettings:
    chances = [name for name in vars(config.AppearanceSettings()) if name.endswith("probability")]
    return config.AppearanceSettings(**dict.fromkeys(chances, 0.0))


def shard_paths() -> dict[str, int]:
    from kits_tf.pipeline.manifest import Manifest

    manifest = Manifest.read(RECORDS_DIR.value)
    return {
        p: n for split in ("train", "validation") for p, n in manifest.shard_paths(split, RECORDS_DIR.value).items()
    }


def rate(batches: Iterator) -> float:
    """Returns patches a second, once buffers are full and graphs compiled."""
    for _ in range(WARM_UP.value):
        next(batches)
    start = time.perf_counter()
    for _ in range(BATCHES.value):
        next(batches)
    return BATCHES.value * BATCH / (time.perf_counter() - start)


def say(**result: object) -> None:
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    app.run(main)
