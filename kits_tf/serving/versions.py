"""The versions in a model's folder: MODEL/<integer>/saved_model.pb, and the identity of a model. Without TensorFlow."""

import os
from dataclasses import replace
from pathlib import Path

from kits_tf.base.settings import non_default_flags
from kits_tf.config import InferenceSettings
from kits_tf.inference.identity import files_digest, folder_name, identity, runs_identity

_FILE, _VARIABLES = "saved_model.pb", "variables"


def list_versions(root: Path) -> list[int]:
    """Returns the numbers of the versions in a model's folder, in order; none if the folder does not exist."""
    if not root.is_dir():
        return []
    return sorted(int(path.name) for path in root.iterdir() if path.name.isdecimal() and path.is_dir())


def list_complete_versions(root: Path) -> list[int]:
    """Returns the numbers of the versions that hold a SavedModel, in order."""
    return [version for version in list_versions(root) if (root / str(version) / _FILE).is_file()]


def find_saved_model(path: str | os.PathLike) -> Path | None:
    """Returns the SavedModel at a path, or the highest version in it; None if there is neither."""
    root = Path(path)
    if (root / _FILE).is_file():
        return root
    versions = list_complete_versions(root)
    return root / str(versions[-1]) if versions else None


def model_identity(path: str, inference: InferenceSettings) -> str:
    """Returns the identity of the model that `open_model` opens, without opening it.

    Args:
        path: path of the model; several runs with commas between, or a folder of folds.
        inference: settings of the segmentation.

    Raises:
        InputError: there is no model, or a file of it is missing.
    """
    version = find_saved_model(path)
    if version is None:
        return runs_identity(path, inference)
    # The graph with its metadata, and the weights; assets are for people, and the fingerprint is made of the rest.
    files = [version / _FILE, *sorted((version / _VARIABLES).glob("*"))]
    name = folder_name(version)
    if name.isdecimal():
        name = f"{folder_name(version.absolute().parent)}/{name}"
    flags = non_default_flags(replace(InferenceSettings(), postprocess=inference.postprocess))
    return identity(name, [files_digest(version, files)], flags)
