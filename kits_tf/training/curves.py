"""A run's history for TensorBoard."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

FOLDER = "tensorboard"
_PREFIXES = {"validation": "val_", "cases": "case_", "train": ""}


class Curves:
    """Writes rows of a history as curves: those of validation and of training over each other, under one name.

    Args:
        run_dir: of the run.
    """

    def __init__(self, run_dir: Path) -> None:
        self._folder = run_dir / FOLDER
        self._writers: dict[str, tf.summary.SummaryWriter] = {}

    def write(self, row: Mapping[str, float]) -> None:
        """Adds an epoch; it is on disk when this returns."""
        for name, value in row.items():
            kind = next(kind for kind, prefix in _PREFIXES.items() if name.startswith(prefix))
            if name != "epoch":
                with self._writer(kind).as_default():
                    tf.summary.scalar(name.removeprefix(_PREFIXES[kind]), value, step=int(row["epoch"]))
        for writer in self._writers.values():
            writer.flush()

    def write_pictures(self, epoch: int, pictures: NDArray[np.uint8]) -> None:
        """Adds an epoch's pictures of validation patches, (count, y, x, 3)."""
        with self._writer("validation").as_default():
            name, words = "validation patches", "the prediction tints, the truth outlines"
            tf.summary.image(name, pictures, step=epoch, max_outputs=len(pictures), description=words)

    def close(self) -> None:
        """Closes the files."""
        for writer in self._writers.values():
            writer.close()

    def _writer(self, kind: str) -> tf.summary.SummaryWriter:
        if kind not in self._writers:
            self._writers[kind] = tf.summary.create_file_writer(str(self._folder / kind))
        return self._writers[kind]
