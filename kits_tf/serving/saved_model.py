"""The SavedModel: how it is written, and how it is found and called again."""

import os
import shutil
from pathlib import Path

import tensorflow as tf

from kits_tf.config import InferenceSettings
from kits_tf.errors import InputError
from kits_tf.inference.segmenter import Segment, Segmenter
from kits_tf.training.run import load_run


def export(segmenter: Segmenter, export_dir: str | os.PathLike) -> Path:
    """Writes the segmenter as the next version below `export_dir` and returns that folder.

    The layout is TensorFlow Serving's: <export_dir>/<integer>/saved_model.pb, the highest served. It is written
    under a temporary name and renamed, never over a version that is there.
    """
    root = Path(export_dir)
    root.mkdir(parents=True, exist_ok=True)
    final = root / str(max(versions(root), default=0) + 1)
    # Not an integer, so that a server that watches the folder passes it over.
    partial = root / f".partial-{os.getpid()}"
    try:
        tf.saved_model.save(segmenter, os.fspath(partial), signatures={"serving_default": segmenter.segment})
        partial.rename(final)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return final


def versions(root: Path) -> list[int]:
    """Returns the versions below a model's folder, in order; a folder that is missing has none."""
    if not root.is_dir():
        return []
    return sorted(int(p.name) for p in root.iterdir() if p.name.isdecimal() and p.is_dir())


def find(path: str | os.PathLike) -> Path | None:
    """Returns the SavedModel at a path, or the highest version below it; None if there is neither."""
    root = Path(path)
    if (root / "saved_model.pb").is_file():
        return root
    numbered = [root / str(v) for v in versions(root) if (root / str(v) / "saved_model.pb").is_file()]
    return numbered[-1] if numbered else None


def load_segment(model: str | os.PathLike, inference: InferenceSettings) -> Segment:
    """Returns the segment function of a SavedModel, of the newest version in a model's folder, or of a run.

    Raises:
        InputError: the path is none of these, or asks an exported model for other inference than it has built in.
    """
    directory = find(model)
    if directory is None:
        segmenter = Segmenter(load_run(model), inference)
        return lambda hu, affine: segmenter.segment(hu, affine)  # a bound tf.function would not keep the segmenter
    if inference != InferenceSettings():
        raise InputError(f"{directory}: an exported model has its overlap built in; expected no --overlap")
    return load(directory)


def load(directory: Path) -> Segment:
    """Returns `serving_default` of a SavedModel as a function of (hu, affine), with the results of `Segmenter.segment`.

    Raises:
        InputError: it cannot be loaded, or its signature is another.
    """
    try:
        model = tf.saved_model.load(os.fspath(directory))
        signature = model.signatures["serving_default"]
    except (OSError, KeyError, ValueError, tf.errors.OpError) as error:
        reason = " ".join(str(error).split())[:300]
        raise InputError(f"{directory}: expected a SavedModel with serving_default: {reason}") from None
    inputs = set(signature.structured_input_signature[1])
    if inputs != {"hu", "affine"} or not {"labels", "volumes_ml"} <= set(signature.structured_outputs):
        raise InputError(f"{directory}: expected inputs hu and affine, output labels, found inputs {sorted(inputs)}")

    def segment(hu: tf.Tensor, affine: tf.Tensor) -> dict[str, tf.Tensor]:
        _ = model  # keeps the variables that the signature refers to
        return signature(hu=hu, affine=affine)

    return segment
