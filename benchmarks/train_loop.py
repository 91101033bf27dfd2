"""What the training loop costs beside the steps it takes.

    python benchmarks/train_loop.py

The network of configs/body.flags on patches of noise, without augmentation. In turn, the loop of `train` takes ten
steps (its input, distribution, checks, progress) and the bare compiled step takes ten on one batch in memory. Medians
of the rounds' seconds a step, and of their ratios.
"""

import contextlib
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from absl import app, flags

from kits_tf import train
from kits_tf.base.memory import keep_freed_memory
from kits_tf.base.provenance import package_versions
from kits_tf.base.startup import start_tensorflow

ROUNDS = flags.DEFINE_integer("rounds", 10, "Of ten steps each, after one that is not timed.")
ROOT = Path(__file__).parent.parent
STEPS = 10


def main(_: list[str]) -> None:
    keep_freed_memory()
    start_tensorflow()
    import tensorflow as tf

    from kits_tf.ct.labels import find_scheme
    from kits_tf.network.architecture import make_architecture
    from kits_tf.network.weighting import ClassBalance
    from kits_tf.training.epoch_loop import EpochHooks, EpochLoop
    from kits_tf.training.replicated import ReplicatedTrainer
    from kits_tf.training.strategy import choose_strategy
    from kits_tf.training.trainer import TrainerSettings, build_trainer

    arguments = [f"--flagfile={ROOT}/configs/body.flags", "--records_dir=-", "--run_dir=-", "--average_decay=0"]
    settings, _ = train.COMMAND.parse([*arguments])
    shape = (settings.optimization.batch_size, *settings.patches.patch_size_zyx)
    batch = tf.random.normal(shape), tf.cast(tf.random.uniform(shape, 0, 4, tf.int32), tf.uint8)
    strategy = choose_strategy("tf_config")
    with strategy.scope(), tempfile.TemporaryDirectory() as run_dir:
        architecture, balance = make_architecture(settings.network), ClassBalance(weights=(1.0,) * 4)
        trainer = build_trainer(architecture, TrainerSettings.of_run(settings), find_scheme("laterality"), balance)
        trainer.prepare = lambda pair: pair
        bare = tf.function(lambda: strategy.run(trainer.learn, batch), autograph=False)
        turns = _turns(lambda: bare().numpy())
        loop = EpochLoop(settings, Path(run_dir), ReplicatedTrainer(trainer, strategy), 10**9, EpochHooks())
        with contextlib.suppress(StopIteration):
            loop.run(lambda _: tf.data.Dataset.from_tensors(batch).repeat().prefetch(2), None, turns)
    in_loop, own = turns.seconds["loop"], turns.seconds["bare"]
    ratio = median(one / other for one, other in zip(in_loop, own, strict=True))
    print(f"{package_versions()}")
    print(f"seconds a step: loop {median(in_loop):.4f}, bare {median(own):.4f}; loop / bare {ratio:.3f}")


def _turns(bare: Callable[[], object]) -> Any:
    """Returns a progress that lets bare steps take their turn with those of the loop."""
    from kits_tf.training.monitoring import TrainingProgress
    from kits_tf.training.replicated import TrainingStep

    class Turns(TrainingProgress):
        def __init__(self) -> None:
            super().__init__(1, 10**9, 2, is_shown=False)
            self.seconds: dict[str, list[float]] = {"loop": [], "bare": []}
            self.mark = 0.0

        def step(self, number: int, step: TrainingStep) -> None:
            super().step(number, step)
            if number % STEPS == 1:
                if number > STEPS:
                    self.seconds["loop"].append((time.perf_counter() - self.mark) / STEPS)
                    start = time.perf_counter()
                    for _ in range(STEPS):
                        bare()
                    self.seconds["bare"].append((time.perf_counter() - start) / STEPS)
                else:
                    bare()
                if len(self.seconds["loop"]) == ROUNDS.value:
                    raise StopIteration
                self.mark = time.perf_counter()

    return Turns()


if __name__ == "__main__":
    app.run(main)
