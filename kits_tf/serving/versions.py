"""The versions in a model's folder: MODEL/<integer>/saved_model.pb, and the identity of a model. Without TensorFlow."""

import logging
import os
from dataclasses import replace
from pathlib import Path

from kits_tf.base.errors import InputError
from kits_tf.base.files import read_text
from kits_tf.base.settings import non_default_flags
from kits_tf.config import InferenceSettings
from kits_tf.inference.identity import files_digest, folder_name, identity, runs_identity
from kits_tf.inference.own_settings import own_settings
from kits_tf.serving.metadata import ASSETS_FOLDER, METADATA_NAME, export_digest
from kits_tf.training.run_files import SAVED_MODEL, is_run, run_folder, run_folders, what_is_at

logger = logging.getLogger(__name__)

_VARIABLES = "variables"


def version_folders(root: Path) -> dict[int, Path]:
    """Returns the folders of the versions in a model's folder by their numbers, in order.

    Numbers may begin with zeros, as TensorFlow Serving allows. There are none if the folder does not exist.
    """
    if not root.is_dir():
        return {}
    folders = {int(path.name): path for path in root.iterdir() if path.name.isdecimal() and path.is_dir()}
    return dict(sorted(folders.items()))


def complete_versions(root: Path) -> dict[int, Path]:
    """Returns the folders of the versions that hold a SavedModel by their numbers, in order."""
    return {number: path for number, path in version_folders(root).items() if (path / SAVED_MODEL).is_file()}


def require_versions(root: Path) -> None:
    """Raises InputError unless a folder holds a version of a model that can be served."""
    if complete_versions(root):
        return
    find_saved_model(root)  # which names a version without a number
    advice = ""
    if is_run(root):
        advice = (
            f": export it first (python -m kits_tf.export --run_dir={root} --export_dir=models/{folder_name(root)})"
        )
    elif (root / SAVED_MODEL).is_file():
        advice = f": give the folder above it, {root.absolute().parent}"
    expected = "expected the folder of an exported model, which holds its versions"
    raise InputError(f"{root}: {expected}; {what_is_at(root)}{advice}")


def require_export_dir(root: Path) -> None:
    """Raises InputError if the next version of a model must not be written to a folder, which is something else."""
    is_folder_of_models = any(root.glob(f"*/*/{SAVED_MODEL}"))
    if is_run(root) or (root / SAVED_MODEL).is_file() or is_folder_of_models:
        expected = "expected a new folder, or that of an exported model for its next version"
        raise InputError(f"{root}: {expected}; {what_is_at(root)}")


def find_saved_model(path: str | os.PathLike) -> Path | None:
    """Returns the SavedModel at a path, or the highest version in it; None if there is neither.

    Raises:
        InputError: there are SavedModels in the folder, but none that is named by a number.
    """
    root = run_folder(os.fspath(path))
    if (root / SAVED_MODEL).is_file():
        return root
    complete = complete_versions(root)
    if not complete:
        for file in root.glob(f"*/{SAVED_MODEL}"):
            raise InputError(f"{file.parent}: expected the number of a version as the folder's name")
        return None
    number, folder = max(complete.items())
    if (newest := max(version_folders(root))) > number:
        logger.warning("%s: version %d holds no %s, version %d is used", root, newest, SAVED_MODEL, number)
    return folder


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
        runs = run_folders(path)
        return runs_identity(runs, own_settings(runs, inference))
    name = folder_name(version)
    if name.isdecimal():
        name = f"{folder_name(version.absolute().parent)}/{name}"
    flags = non_default_flags(replace(InferenceSettings(), postprocess=inference.postprocess))
    return identity(name, [_version_digest(version)], flags)


def _version_digest(version: Path) -> str:
    """Returns the digest of an exported model: that of its metadata, which a server gives too, or else of its files."""
    file = version / ASSETS_FOLDER / METADATA_NAME
    if file.is_file() and (digest := export_digest(read_text(file), str(file))):
        return digest
    # The graph with its metadata, and the weights; assets are for people, and the fingerprint is made of the rest.
    return files_digest(version, [version / SAVED_MODEL, *sorted((version / _VARIABLES).glob("*"))])
