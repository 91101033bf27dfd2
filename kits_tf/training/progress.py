"""What is said while a run trains."""

import sys
from time import monotonic

from kits_tf.base.progress import seconds_since_start
from kits_tf.training.loop import Step


class Progress:
    """Prints a line an epoch; on a terminal also how far the epoch is.

    Args:
        epochs: of the run.
        steps: of an epoch.
        batch_size: patches in a step, over all replicas.
        shown: whether anything is printed.
    """

    def __init__(self, epochs: int, steps: int, batch_size: int, shown: bool = True) -> None:
        self.epochs, self.steps, self.batch_size, self.shown = epochs, steps, batch_size, shown
        self.start = monotonic()
        self.done = 0
        self.begin_epoch()

    def begin_epoch(self) -> None:
        """Starts the clock of an epoch's steps."""
        self.epoch_start, self.epoch_done, self.waited = monotonic(), 0, 0.0

    def step(self, epoch: int, number: int, step: Step) -> None:
        """Notes a step, the `number`-th of its epoch from 1."""
        self.done += 1
        if self.shown and self.done == 1:
            print(f"first step {seconds_since_start():.0f} s after the start", flush=True)
        self.epoch_done += 1
        self.waited += step.waited
        if self.shown and sys.stdout.isatty():
            print(f"epoch {epoch + 1}/{self.epochs}  step {number}/{self.steps}  loss {step.loss:.4f}", end="\r")

    def end_training(self) -> None:
        """Stops the clock of an epoch's steps."""
        self.trained = monotonic() - self.epoch_start

    def end_epoch(self, row: dict[str, float]) -> None:
        """Prints the epoch's line.

        Args:
            row: of the history.
        """
        if not self.shown:
            return
        epoch = int(row["epoch"])
        validated = f"loss {row['val_loss']:.4f}, {_dice(row, 'val')}"
        if "case_composite" in row:
            validated += f"; whole cases {_dice(row, 'case')}"
        print(
            f"epoch {epoch + 1}/{self.epochs}  loss {row['loss']:.4f}  validation: {validated}  ({self._pace(epoch)})",
            flush=True,
        )

    def _pace(self, epoch: int) -> str:
        if not self.epoch_done:  # all of the epoch's steps were taken before the run went on
            return "validated only"
        share = self.waited / self.trained
        left = (monotonic() - self.start) / self.done * (self.epochs - epoch - 1) * self.steps
        return (
            f"{self.epoch_done * self.batch_size / self.trained:.1f} patches/s, "
            f"{'input' if share > 0.5 else 'compute'}-bound: {share:.0%} waiting for data; about {left:.0f} s left"
        )


def _dice(row: dict[str, float], kind: str) -> str:
    return f"Dice kidney {row[f'{kind}_kidney_dice']:.3f}, tumor {row[f'{kind}_tumor_dice']:.3f}"
