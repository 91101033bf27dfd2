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
    from kits_tf.training.course import Course, Looks
    from kits_tf.training.loop import Loop

    from kits_tf.ct.labels import find_scheme
    from kits_tf.training.checkpoint import BEGINNING
    from kits_tf.training.strategy import choose_strategy
    from kits_tf.training.trainer import build_trainer

    arguments = [f"--flagfile={ROOT}/configs/body.flags", "--records_dir=-", "--run_dir=-", "--average_decay=0"]
    settings, _ = train.COMMAND.parse([*arguments])
    shape = (settings.optimization.batch_size, *settings.patches.patch_size_zyx)
    batch = tf.random.normal(shape), tf.cast(tf.random.uniform(shape, 0, 4, tf.int32), tf.uint8)
    strategy = choose_strategy()
    with strategy.scope(), tempfile.TemporaryDirectory() as run_dir:
        trainer = build_trainer(settings, find_scheme("laterality"), (1.0,) * 4)
        trainer.augment = lambda pair: pair
        bare = tf.function(lambda: strategy.run(trainer.learn, batch), autograph=False)
        turns = _turns(lambda: bare().numpy())
        course = Course(settings, Path(run_dir), Loop(trainer, strategy), 10**9, BEGINNING, Looks(), chief=True)
        with contextlib.suppress(StopIteration):
            course.run(lambda _: tf.data.Dataset.from_tensors(batch).repeat().prefetch(2), None, turns)
    loop, own = turns.seconds["loop"], turns.seconds["bare"]
    ratio = median(one / other for one, other in zip(loop, own, strict=True))
    print(f"{package_versions()}")
    print(f"seconds a step: loop {median(loop):.4f}, bare {median(own):.4f}; loop / bare {ratio:.3f}")


def _turns(bare: Callable[[], object]) -> Any:
    """Returns a progress that, told of the loop's steps, lets the bare ones take their turn."""
    from kits_tf.training.loop import Step
    from kits_tf.training.progress import Progress

    class Turns(Progress):
        def __init__(self) -> None:
            super().__init__(1, 10**9, 2, shown=False)
            self.seconds: dict[str, list[float]] = {"loop": [], "bare": []}
            self.mark = 0.0

        def step(self, epoch: int, number: int, step: Step) -> None:
            super().step(epoch, number, step)
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
