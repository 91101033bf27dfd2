"""Seconds until the first training step is done, with its tracing, and of those after it.

    python benchmarks/first_step.py --records_dir=RECORDS --batch_size=4

All augmentations have their default chances; the network is tiny, so that what is measured is the input, the
augmentation and their graphs. The steps are taken in a new process, as for a user who starts a training.
"""

import time
from statistics import median

from absl import app, flags

from kits_tf import config
from kits_tf.base.memory import keep_freed_memory
from kits_tf.base.provenance import package_versions
from kits_tf.base.startup import start_tensorflow

RECORDS_DIR = flags.DEFINE_string("records_dir", None, "Records of any cases.", required=True)
BATCH_SIZE = flags.DEFINE_integer("batch_size", 2, "Patches of a step.")
STEPS = 10


def main(_: list[str]) -> None:
    keep_freed_memory()
    start_tensorflow()
    import keras

    from kits_tf.network.architecture import make_architecture
    from kits_tf.pipeline.manifest import Manifest
    from kits_tf.training import fit
    from kits_tf.training.plan import TrainingPlan
    from kits_tf.training.replicated import ReplicatedTrainer
    from kits_tf.training.strategy import choose_strategy

    settings = config.RunSettings(
        records_dir=RECORDS_DIR.value,
        run_dir="-",
        patches=config.PatchSettings(patch_size_zyx=(64, 64, 64), patches_per_case=64, shuffle_patches=4),
        optimization=config.OptimizationSettings(batch_size=BATCH_SIZE.value),
        network=config.NetworkSettings(filters=(4, 8, 16)),
    )
    manifest, architecture = Manifest.read(settings.records_dir), make_architecture(settings.network)
    plan = TrainingPlan(settings=settings, manifest=manifest, architecture=architecture, run_dir=None)
    keras.utils.set_random_seed(settings.seed)
    strategy = choose_strategy("tf_config")
    with strategy.scope():
        steps = ReplicatedTrainer(fit.make_trainer(plan), strategy)
        taken = steps.train(fit.training_input(settings, manifest, settings.records_dir))
        seconds = []
        for _ in range(1 + STEPS):
            start = time.perf_counter()
            next(taken)
            seconds.append(time.perf_counter() - start)
    print(f"{package_versions()}")
    first, later = seconds[0], median(seconds[1:])
    print(f"batch of {BATCH_SIZE.value}: first step {first:.1f} s, median of the next {STEPS}: {later:.3f} s")


if __name__ == "__main__":
    app.run(main)
