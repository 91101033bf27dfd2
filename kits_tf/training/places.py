"""Where a run and its records lie: folders are moved, and commands started from other ones."""

import os
from dataclasses import replace
from pathlib import Path

from kits_tf.base.paths import absolute, is_remote, listed_paths
from kits_tf.base.settings import flatten, select
from kits_tf.config import RunSettings
from kits_tf.config.shared import OFF
from kits_tf.pipeline.manifest import MANIFEST_NAME
from kits_tf.training.run_files import PACKAGED

# Flags of a run that are paths of what it is made of or makes. Records know --splits_file by the text that was given.
_PLACES = ("records_dir", "run_dir", "initial_weights", "coarse_model")
# What some of them may be in place of a path.
_NAMES = {"initial_weights": {*PACKAGED}, "coarse_model": {*PACKAGED, OFF}}


def with_absolute_paths(settings: RunSettings) -> RunSettings:
    """Returns a run's settings as it keeps them: they mean the same from every folder."""
    written = flatten(settings)
    changes = {name: ",".join(_place(name, path) for path in listed_paths(written[name])) for name in _PLACES}
    return select(RunSettings, settings, **changes)


def at(run_dir: Path, settings: RunSettings) -> RunSettings:
    """Returns the settings that a run keeps with the places where run and records are now.

    Records are where the settings say, or beside the run where they were: both may have been moved together. A relative
    path, which runs of older versions keep, is first taken from the run, and then from the current folder.
    """
    written = settings.records_dir
    places = [written]
    if not is_remote(written) and os.path.isabs(written) == os.path.isabs(settings.run_dir):
        places.insert(1 if os.path.isabs(written) else 0, _beside(run_dir, settings))
    with_manifest = [place for place in places if not is_remote(place) and (Path(place) / MANIFEST_NAME).is_file()]
    return replace(settings, run_dir=str(run_dir), records_dir=[*with_manifest, written][0])


def _place(flag: str, text: str) -> str:
    return text if text in _NAMES.get(flag, ()) else absolute(text)


def _beside(run_dir: Path, settings: RunSettings) -> str:
    way = os.path.relpath(settings.records_dir, settings.run_dir)
    return os.path.normpath(os.path.join(absolute(str(run_dir)), way))
