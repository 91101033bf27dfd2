"""A run directory: what it keeps, and how to get the trained network back out of it.

train.flags       the flags, in a form that --flagfile reads
manifest.json     manifest of the records it was trained on
notice.txt        what every mask of it is to say of the data, if the manifest says so
environment.json  versions, devices, git revision
history.csv       loss and Dice by epoch
curves.png        the same as a picture, once the run is finished, where matplotlib is installed
tensorboard/      the same for TensorBoard, with validation patches
best.weights.h5   of the epoch with the best validation composite
last.weights.h5   of the last epoch, once the run is finished
checkpoints/      the states to go on from
postprocess.json  what evaluate --postprocess=auto chose
calibration.json  the temperature that export found on the validation cases
"""

import contextlib
import json
import math
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import keras
import numpy as np

from kits_tf.base import devices
from kits_tf.base.errors import InputError
from kits_tf.base.files import name_in_errors, read_text, write_text, written_whole
from kits_tf.base.flagfile import from_flagfile, to_flagfile
from kits_tf.base.locks import locked
from kits_tf.base.progress import still_working
from kits_tf.base.provenance import environment
from kits_tf.base.settings import changed_flags
from kits_tf.config import RunSettings
from kits_tf.network.architecture import Architecture, make_architecture
from kits_tf.pipeline.manifest import Manifest
from kits_tf.training.history import HISTORY
from kits_tf.training.places import at, with_absolute_paths
from kits_tf.training.run_files import (
    BEST_WEIGHTS,
    FLAGS,
    NOTICE,
    POSTPROCESS,
    require_own_or_new,
    require_run,
    run_folders,
)

ENVIRONMENT, LAST_WEIGHTS = "environment.json", "last.weights.h5"
CHECKPOINTS, CURVES = "checkpoints", "curves.png"
CALIBRATION = "calibration.json"
_SCORE = "composite"
# More than what HDF5 adds to the weights.
_ROOM_BYTES = 1 << 20
# Flags that may differ when a run goes on: where things lie, and how often it is saved.
_CHANGEABLE = {"records_dir", "run_dir", "cache", "checkpoint_minutes", "cluster"}


@dataclass(frozen=True, kw_only=True)
class Run:
    """A trained run.

    Attributes:
        settings: settings of its training, with the folders where run and records lie now.
        manifest: manifest of its records.
        architecture: architecture of its network.
        network: the best network, in float32.
        postprocess: the chain that was chosen for its masks.
        temperature: number that its logits are divided by for probabilities.
    """

    settings: RunSettings
    manifest: Manifest
    architecture: Architecture
    network: keras.Model
    postprocess: str = ""
    temperature: float = 1.0


@contextlib.contextmanager
def locked_run_dir(run_dir: Path) -> Iterator[None]:
    """Makes the run directory, and holds it against other trainings.

    Raises:
        InputError: another training writes to it, or it holds something that is no run.
    """
    require_own_or_new(run_dir)
    run_dir.mkdir(parents=True, exist_ok=True)
    with locked(run_dir, "training"):
        yield


def open_run_dir(settings: RunSettings, manifest: Manifest) -> None:
    """Makes the run directory, with flags, manifest and environment in it; nothing that was trained is lost.

    Raises:
        InputError: the directory holds what was trained with other flags or on other records, or something that is no
            run.
    """
    run_dir = Path(settings.run_dir)
    if (run_dir / FLAGS).exists() and ((run_dir / HISTORY).exists() or (run_dir / CHECKPOINTS).exists()):
        _check_same_run(run_dir, settings, manifest)
        return
    require_own_or_new(run_dir)
    run_dir.mkdir(parents=True, exist_ok=True)
    manifest.write(run_dir)
    (run_dir / NOTICE).unlink(missing_ok=True)
    if manifest.data_note:
        write_text(run_dir / NOTICE, f"trained on {manifest.data_note}\n")
    write_text(run_dir / ENVIRONMENT, json.dumps(environment(), indent=1) + "\n")
    flags = to_flagfile(with_absolute_paths(settings), "train")
    write_text(run_dir / FLAGS, flags)  # last: a folder with flags is a run


def _check_same_run(run_dir: Path, settings: RunSettings, manifest: Manifest) -> None:
    """Raises InputError if a directory holds what was trained with other flags or on other records."""
    # A flag that is newer than the run has its default there.
    earlier = with_absolute_paths(from_flagfile(RunSettings, run_dir / FLAGS))
    differences = changed_flags(earlier, with_absolute_paths(settings))
    changed = sorted(flag for name, flag in differences.items() if name not in _CHANGEABLE)
    if changed:
        raise InputError(
            f"{run_dir}: holds a run with other flags than {' '.join(changed)}; use a new --run_dir "
            f"(--initial_weights={run_dir} begins it with the weights of this run)"
        )
    if not Manifest.read(run_dir).same_records(manifest):
        raise InputError(f"{run_dir}: was trained on other records than {settings.records_dir}; use a new --run_dir")


def save_weights(network: keras.Model, path: Path, score: float) -> None:
    """Writes a network's weights and, in the same file, the score they are kept for, under a temporary name first.

    Raises:
        OSError: the file cannot be written; what it was before stays.
    """
    with name_in_errors(path), written_whole(path) as partial:
        # On a full disk the HDF5 library ends the process with a crash: other bytes find out first.
        partial.write_bytes(bytes(_ROOM_BYTES + sum(weight.nbytes for weight in network.get_weights())))
        partial.unlink()
        network.save_weights(partial)
        with h5py.File(partial, "a") as file:
            file.attrs[_SCORE] = score


def best_score(run_dir: Path) -> float:
    """Returns the score that the best weights were kept for; minus infinity if there are none that can be read."""
    try:
        with h5py.File(run_dir / BEST_WEIGHTS) as file:
            return float(file.attrs[_SCORE])
    except (OSError, KeyError):
        return -math.inf


def load_run(run_dir: str | os.PathLike) -> Run:
    """Returns a run with its best weights.

    Raises:
        InputError: a file of the run is missing, or the weights are of another architecture, NaN or infinite.
    """
    root = Path(run_dir)
    require_run(root)
    settings, manifest = at(root, from_flagfile(RunSettings, root / FLAGS)), Manifest.read(root)
    weights = root / BEST_WEIGHTS
    architecture = make_architecture(settings.network)
    with still_working("building the network"):
        network = _build(architecture, len(manifest.scheme.classes))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # Keras only warns of a layer that the file does not have
            network.load_weights(weights)
    except (ValueError, OSError, KeyError, UserWarning):
        reason = _first_difference(network, weights) or "a damaged file"
        raise InputError(f"{weights}: expected the weights of the network of {FLAGS}, found {reason}") from None
    _check_finite(network, weights)
    chain = str(_chosen(root / POSTPROCESS, "chain", ""))
    temperature = float(_chosen(root / CALIBRATION, "temperature", 1.0))
    if not 0 < temperature < math.inf:
        raise InputError(f"{root / CALIBRATION}: expected a temperature above 0, found {temperature}")
    return Run(
        settings=settings,
        manifest=manifest,
        architecture=architecture,
        network=network,
        postprocess=chain,
        temperature=temperature,
    )


def _check_finite(network: keras.Model, weights: Path) -> None:
    """Raises InputError if a weight is NaN or infinite: every mask would be empty, which says nothing of a scan."""
    for variable in network.weights:
        if not np.isfinite(np.asarray(variable)).all():
            raise InputError(f"{weights}: expected finite weights, found NaN or infinity in {variable.path}")


def _chosen(path: Path, name: str, default: str | float) -> str | float:
    """Returns the value of a name in a file of a run; the default if there is no file."""
    if not path.exists():
        return default
    try:
        return type(default)(json.loads(read_text(path))[name])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: expected the {name} that was chosen for the run: {error}") from None


def load_runs(model: str) -> list[Run]:
    """Returns the runs that a text names: one, a folder of folds (fold0, fold1, ...), or several with commas between.

    Raises:
        InputError: a run cannot be loaded, for the reasons of `load_run`.
    """
    return [load_run(folder) for folder in run_folders(model)]


def float32_copy(network: keras.Model, architecture: Architecture) -> keras.Model:
    """Returns a network of the same weights as `load_run` would load it from a file."""
    copy = _build(architecture, network.output.shape[-1])
    copy.set_weights(network.get_weights())
    return copy


def _build(architecture: Architecture, num_classes: int) -> keras.Model:
    with devices.layers_in("float32"):
        return architecture.build(num_classes)


def _first_difference(network: keras.Model, weights: Path) -> str | None:
    """Returns in words which layer's weights differ from a file's; None if none does, or the file holds no weights."""
    expected = {layer.name: [tuple(v.shape) for v in layer.weights] for layer in network.layers if layer.weights}
    try:
        with h5py.File(weights) as file:
            saved = _saved_shapes(file)
    except OSError:
        return None
    for name in [*expected, *saved]:
        if expected.get(name) != saved.get(name):
            shapes = [" ".join(map(str, part.get(name) or ["none"])) for part in (saved, expected)]
            return f"another architecture: layer {name} has weights {shapes[0]}, expected {shapes[1]}"
    return None


def _saved_shapes(file: h5py.File) -> dict[str, list[tuple[int, ...]]]:
    """Returns the shapes of each layer's weights by its name."""
    shapes: dict[str, list[tuple[int, ...]]] = {}

    def note(path: str, item: h5py.Group | h5py.Dataset) -> None:
        if path.endswith("/vars") and "name" in item.attrs and "seed_generator" not in path:
            shapes[item.attrs["name"]] = [item[str(i)].shape for i in range(len(item))]

    file.visititems(note)
    return shapes
