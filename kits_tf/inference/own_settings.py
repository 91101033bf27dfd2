"""How runs are used where the command line does not say: as their own flags have it. Without TensorFlow."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from kits_tf.base.errors import InputError
from kits_tf.base.files import read_text
from kits_tf.base.flagfile import from_flagfile
from kits_tf.base.paths import is_remote, listed_paths
from kits_tf.config import InferenceSettings, RunSettings
from kits_tf.config.shared import OFF
from kits_tf.training.run_files import FLAGS, NOTICE, PACKAGED, POSTPROCESS, run_folders


def own_settings(runs: Sequence[Path], given: InferenceSettings) -> InferenceSettings:
    """Returns the settings to use runs with: as given, or else the runs' own mirror images, cascade, post-processing.

    A run's own are those of its train.flags; post-processing that was chosen for it goes before them. Runs that are
    averaged have none of their own where they differ.

    Args:
        runs: folders of runs; what is no run has no settings of its own.
        given: settings of the command line. `OFF` stands for none of what the runs have, "" for what they have.

    Returns:
        Settings whose mirror images and coarse model are "" for none.

    Raises:
        InputError: the flags of a run cannot be read, or the first stage that they name is gone.
    """
    of_runs = [_of_run(run) for run in runs]
    flip_axes = given.flip_axes or _common(own.flip_axes for own in of_runs)
    coarse_model = given.coarse_model or _common(own.coarse_model for own in of_runs)
    if coarse_model == OFF:
        coarse_model = ""
    if coarse_model and not given.coarse_model:
        _check_coarse(runs[0], coarse_model)
    return replace(
        given,
        flip_axes="" if flip_axes == OFF else flip_axes,
        coarse_model=coarse_model,
        postprocess=given.postprocess or _common(own.postprocess for own in of_runs),
    )


def notices(runs: Sequence[Path]) -> tuple[str, ...]:
    """Returns what every mask of runs is to say, each sentence once: what notice.txt in their folders has."""
    texts = [read_text(run / NOTICE).strip() for run in runs if (run / NOTICE).is_file()]
    return tuple(dict.fromkeys(filter(None, texts)))


def _common(values: Iterable[str]) -> str:
    """Returns the value that all have; "" if they differ."""
    different = set(values)
    return different.pop() if len(different) == 1 else ""


def _of_run(run: Path) -> InferenceSettings:
    if not (run / FLAGS).is_file():
        return InferenceSettings()
    own = from_flagfile(RunSettings, run / FLAGS).inference
    if (run / POSTPROCESS).exists():
        own = replace(own, postprocess="")
    return replace(own, coarse_model=",".join(_seen_from(run, path) for path in listed_paths(own.coarse_model)))


def _seen_from(run: Path, path: str) -> str:
    """Returns a path that begins at a run where it is not absolute: the two are then moved together."""
    is_place = path not in ("", OFF, *PACKAGED) and not is_remote(path)
    return os.path.normpath(run / path) if is_place else path


def _check_coarse(run: Path, coarse_model: str) -> None:
    """Raises InputError if a first stage is gone that the flags of a run name: nobody has typed its path."""
    for folder in run_folders(coarse_model):
        if not folder.is_dir():
            raise InputError(
                f"{run / FLAGS}: names the first stage {folder}, found no such folder; --coarse_model names another, "
                f"{OFF} is none"
            )
