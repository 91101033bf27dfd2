"""What a mask says of the model that made it: readable, and the same for the same weights and settings.

An identity is NAME sha256:DIGEST --flag=value ...; names are those of folders, never paths of a machine. Two identities
are those of one model if all but the name is the same, wherever the model lies and however its folder is called.
Without TensorFlow.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from kits_tf.base.errors import InputError
from kits_tf.base.files import sha256
from kits_tf.base.settings import format_flag, non_default_flags
from kits_tf.config import InferenceSettings
from kits_tf.training.run_files import BEST_WEIGHTS, FLAGS, POSTPROCESS, is_run, run_folders, what_is_at
from tfrecords_tools.index import MANIFEST_NAME

_CORRECTED = ", corrected by hand"
# 64 bits, so that a person can compare them: a model is not met by chance.
_DIGITS = 16


def identity(name: str, digests: Sequence[str], flags: str = "") -> str:
    """Returns the identity of a model.

    Args:
        name: name of its folder, for people.
        digests: digests of what decides its masks.
        flags: settings that decide its masks too, as on a command line.
    """
    digest = digests[0] if len(digests) == 1 else hashlib.sha256(" ".join(digests).encode()).hexdigest()
    parts = [re.sub(r"\s+", "_", name), f"sha256:{digest[:_DIGITS]}", flags]
    return " ".join(part for part in parts if part)


def runs_identity(folders: Sequence[Path], inference: InferenceSettings) -> str:
    """Returns the identity of a run, or of several that are averaged.

    Args:
        folders: folders of the runs.
        inference: settings of the segmentation; a coarse model counts by its identity.

    Raises:
        InputError: a run is missing, or a file of it.
    """
    # As `build_segmenter` has it: what was chosen for a run counts where it is alone.
    has_chosen_steps = len(folders) == 1 and not inference.postprocess
    if inference.coarse_model:
        coarse = runs_identity(run_folders(inference.coarse_model), InferenceSettings()).replace(" sha256:", "@", 1)
        inference = replace(inference, coarse_model=coarse.replace(" ", ","))
    digests = [_run_digest(folder, has_chosen_steps) for folder in folders]
    return identity("+".join(folder_name(folder) for folder in folders), digests, non_default_flags(inference))


def files_digest(folder: Path, files: Sequence[Path]) -> str:
    """Returns one digest of the files of a folder, with their names within it.

    Raises:
        InputError: a file cannot be read.
    """
    digest = hashlib.sha256()
    for file in files:
        try:
            digest.update(f"{file.relative_to(folder)} {sha256(file)}\n".encode())
        except OSError as error:
            raise InputError(f"{file}: expected a file of a model, it cannot be read: {error.strerror}") from None
    return digest.hexdigest()


def folder_name(folder: Path) -> str:
    """Returns the name of a folder, also of "." and "..", without looking through links."""
    return folder.absolute().name if folder.name not in ("", "..") else folder.resolve().name


def with_labels(model: str, labels: str) -> str:
    """Returns the identity of a model whose masks are given in the labels of --labels; "" stays ""."""
    return model if labels == "model" or not model else f"{model} {format_flag('labels', labels)}"


def corrected(model: str) -> str:
    """Returns the identity to note in a mask of a model that a person has changed."""
    return model if is_corrected(model) else f"{model}{_CORRECTED}"


def is_corrected(model: str) -> bool:
    """Returns whether a mask with this identity was changed by a person on the page."""
    return model.endswith(_CORRECTED)


def same_model(first: str, second: str) -> bool:
    """Returns whether two identities are of the same weights and settings, whatever the folders are called."""
    return bool(first) and first.partition(" ")[2] == second.partition(" ")[2]


def _run_digest(folder: Path, has_chosen_steps: bool) -> str:
    if not is_run(folder):
        raise InputError(f"{folder}: expected a run directory or an exported model, {what_is_at(folder)}")
    files = [folder / name for name in (FLAGS, MANIFEST_NAME, BEST_WEIGHTS)]
    for file in files:
        if not file.is_file():
            raise InputError(f"{file}: expected a file of a trained run, found no such file")
    chosen = folder / POSTPROCESS
    return files_digest(folder, [*files, chosen] if has_chosen_steps and chosen.exists() else files)
