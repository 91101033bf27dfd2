"""kits_tf's side of benchmarks/accuracy.py: it answers facts, train and validate.

    python clocked_training.py --work_dir=WORK --minutes=60 -- --flagfile=configs/body.flags --records_dir=RECORDS ...

What is timed is `ReplicatedTrainer.train` on `fit.training_input`, as kits_tf.train runs it; validation on patches,
checkpoints and the progress are left out, as on the peer's side. The schedule is the flags', but goes by the clock.
"""

import math
from pathlib import Path

import clock
import numpy as np
from absl import app, flags
from side_by_side import answer

from kits_tf import config
from kits_tf.base.memory import keep_freed_memory
from kits_tf.base.startup import start_tensorflow
from kits_tf.train import COMMAND
from tfrecords_tools.files import written_whole

WORK_DIR = flags.DEFINE_string("work_dir", None, "Folder of snapshots and predictions; cases beside it.", required=True)
MINUTES = flags.DEFINE_float("minutes", 60.0, "Of training.")
SNAPSHOT_MINUTES = flags.DEFINE_float("snapshot_minutes", 5.0, "From one snapshot to the next.")
# Of a schedule that is asked by the share of the time: how finely steps divide an epoch does not matter then.
STEPS_PER_EPOCH = 1000


def main(arguments: list[str]) -> None:
    # absl's flags of this script end at "--"; what follows are kits_tf's own.
    settings, _ = COMMAND.parse([*arguments[1:], f"--run_dir={WORK_DIR.value}"])
    folder = Path(WORK_DIR.value)
    folder.mkdir(parents=True, exist_ok=True)
    keep_freed_memory()
    start_tensorflow()
    import keras
    import tensorflow as tf

    from kits_tf.network.architecture import make_architecture
    from kits_tf.network.cost import trace_cost
    from kits_tf.pipeline.manifest import Manifest
    from kits_tf.training import fit
    from kits_tf.training.optimizer import Schedule
    from kits_tf.training.plan import TrainingPlan
    from kits_tf.training.replicated import ReplicatedTrainer

    manifest = Manifest.read(settings.records_dir)
    manifest.check_settings(settings.records, settings.records_dir)
    manifest.check_shards(settings.records_dir)
    keras.utils.set_random_seed(settings.seed)
    strategy, optimization = tf.distribute.OneDeviceStrategy("/cpu:0"), settings.optimization
    architecture = make_architecture(settings.network)
    plan = TrainingPlan(settings=settings, manifest=manifest, architecture=architecture, run_dir=folder)
    with strategy.scope():
        trainer = fit.make_trainer(plan)
        share = tf.Variable(0.0, trainable=False)

        class ByClock(Schedule):
            """A schedule that goes by the share of the time that is spent."""

            def __call__(self, _: tf.Tensor) -> tf.Tensor:
                return super().__call__(share * self.steps)

        steps, warmup = (round(n * STEPS_PER_EPOCH) for n in (optimization.epochs, optimization.warmup_epochs))
        trainer.optimizer.learning_rate = ByClock(
            optimization.learning_rate, optimization.learning_rate_schedule, steps, warmup
        )

    def facts() -> dict:
        window = tf.TensorSpec([1, *settings.patches.patch_size_zyx, 1])
        return {
            "parameters": sum(math.prod(v.shape) for v in trainer.supervised.trainable_variables),
            "gflops": trace_cost(lambda image: trainer.network(image, training=False), window).flops / 1e9,
        }

    def train() -> dict:
        batch_size = optimization.batch_size * optimization.accumulated_batches
        taken = ReplicatedTrainer(trainer, strategy).train(fit.training_input(settings, manifest, settings.records_dir))

        def step(spent: float) -> float:
            share.assign(spent)
            return next(taken).loss

        def keep(name: str) -> None:
            with written_whole(folder / f"{name}.npz") as partial:
                np.savez(partial, *trainer.validated.get_weights())

        with strategy.scope():
            found = clock.train_by_clock(MINUTES.value, SNAPSHOT_MINUTES.value, batch_size, step, keep)
        return clock.write(folder / clock.TRAINED, found)

    answer({"facts": facts, "train": train, "validate": lambda: validate(folder, trainer, settings, manifest)})


def validate(folder: Path, trainer, settings: config.RunSettings, manifest) -> dict:
    """Segments every exported validation case with every snapshot that has not yet, and tells how many it was."""
    import tensorflow as tf

    from kits_tf.inference.ensemble import Ensemble
    from kits_tf.inference.sliding import SlidingWindow, merge_windows

    network = Ensemble([(trainer.validated, settings.intensity)], manifest.scheme)
    window = SlidingWindow(size=settings.patches.patch_size_zyx, overlap=0.5, weighting="gaussian")

    @tf.function(input_signature=[tf.TensorSpec([None, None, None], tf.int16)], autograph=False)
    def labels(hu: tf.Tensor) -> tf.Tensor:
        return tf.cast(tf.argmax(merge_windows(hu, network, window), axis=-1), tf.uint8)

    done = 0
    for snapshot in sorted(folder.glob("minute_*.npz")):
        with np.load(snapshot) as weights:
            trainer.validated.set_weights([weights[name] for name in weights.files])
        for case in sorted((folder.parent / "cases" / "validation").glob("*_hu.npy")):
            path = folder / snapshot.stem / case.name.replace("_hu", "_labels")
            if not path.exists():
                path.parent.mkdir(exist_ok=True)
                with written_whole(path) as partial, open(partial, "wb") as file:
                    np.save(file, labels(tf.constant(np.load(case))).numpy())
                done += 1
    return {"segmented": done}


if __name__ == "__main__":
    app.run(main)
