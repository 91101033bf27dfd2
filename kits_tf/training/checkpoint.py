"""The state of a run: all that changes while it trains, in files that are whole or refused.

checkpoints/000003-000120.npz   epoch 3 (from 0) after 120 of its steps; the two newest are kept
"""

import json
import logging
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kits_tf.base.files import name_in_errors, remove_partial, written_whole

KEPT = 2
_POSITION = "position"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Position:
    """How far a run is.

    Attributes:
        epoch: number of the epoch that is being trained, from 0.
        step: number of its steps that are done.
    """

    epoch: int = 0
    step: int = 0


BEGINNING = Position()


@dataclass(frozen=True)
class Checkpoint:
    """What a run goes on from.

    Attributes:
        position: position of the run.
        arrays: values by name of all that changes in training.
    """

    position: Position
    arrays: Mapping[str, NDArray]


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Writes a checkpoint under a temporary name first, then removes all but the newest two.

    Raises:
        OSError: it cannot be written; the earlier ones stay.
    """
    folder.mkdir(exist_ok=True)
    position = checkpoint.position
    path = folder / f"{position.epoch:06}-{position.step:06}.npz"
    with name_in_errors(path), written_whole(path) as partial:
        arrays: dict = {_POSITION: np.array(json.dumps(asdict(position))), **checkpoint.arrays}
        np.savez(partial, **arrays)
    for old in _newest_first(folder)[KEPT:]:
        old.unlink()


def load_checkpoint(folder: Path) -> Checkpoint | None:
    """Returns the newest checkpoint that can be read; None if there is none. A damaged one is named and passed over."""
    if folder.is_dir():
        remove_partial(folder)
    for path in _newest_first(folder):
        try:
            with open(path, "rb") as content, np.load(content) as file:  # which checks the CRC of what it reads
                arrays = {name: file[name] for name in file.files}
            return Checkpoint(Position(**json.loads(str(arrays.pop(_POSITION)))), arrays)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
            logger.warning("%s: damaged, going back to the checkpoint before it", path)
    return None


def _newest_first(folder: Path) -> list[Path]:
    return sorted(folder.glob("[0-9]*.npz"), reverse=True)
