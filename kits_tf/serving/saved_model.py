"""The SavedModel: how it is written, and how it is found and called again."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import tensorflow as tf

from kits_tf.config import InferenceSettings
from kits_tf.ct.labels import find_scheme
from kits_tf.errors import InputError
from kits_tf.inference.boxes import FindBox, body_box
from kits_tf.inference.postprocess import CRF, Step, parse_chain
from kits_tf.inference.segmenter import NO_EXTRAS, Extras, Model, Segmenter
from kits_tf.inference.sliding import Tell
from kits_tf.training.run import load_runs


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
        signatures = {"serving_default": segmenter.segment, "metadata": segmenter.metadata}
        tf.saved_model.save(segmenter, os.fspath(partial), signatures=signatures)
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


def load_model(
    model: str,
    inference: InferenceSettings,
    extras: Extras = NO_EXTRAS,
    find_box: FindBox = body_box,
    tell: Tell | None = None,
) -> Model:
    """Returns a SavedModel, the newest version in a model's folder, or the segmenter of one or several runs.

    Args:
        model: path; of runs several, with commas between, or a folder of folds.
        inference: as `Segmenter` takes it, and what follows too.
        extras: likewise.
        find_box: likewise.
        tell: likewise; an exported model tells nothing.

    Raises:
        InputError: the path is none of these, or asks an exported model for what it does not have built in.
    """
    directory = find(model)
    if directory is None:
        return Segmenter(load_runs(model), inference, extras, find_box, tell).model()
    if replace(inference, postprocess="") != InferenceSettings() or extras != NO_EXTRAS or find_box is not body_box:
        raise InputError(
            f"{directory}: an exported model has its inference built in; expected none of --overlap, --window_weights, "
            "--flip_axes, --coarse_model, --probabilities and --uncertainty"
        )
    exported = load(directory)
    if not inference.postprocess:
        return exported
    chain = parse_chain(inference.postprocess)
    has_crf = Step(CRF) in exported.chain
    if (Step(CRF) in chain) != has_crf:
        raise InputError(f"{directory}: expected --postprocess {'with' if has_crf else 'without'} crf, as exported")
    return replace(exported, chain=chain)


def load(directory: Path) -> Model:
    """Returns a SavedModel that `export` wrote.

    Raises:
        InputError: it cannot be loaded, or its signatures are others.
    """
    try:
        model = tf.saved_model.load(os.fspath(directory))
        signature, metadata = (model.signatures[name] for name in ("serving_default", "metadata"))
    except (OSError, KeyError, ValueError, tf.errors.OpError) as error:
        reason = " ".join(str(error).split())[:300]
        raise InputError(f"{directory}: expected a SavedModel with serving_default and metadata: {reason}") from None
    inputs = set(signature.structured_input_signature[1])
    if inputs != {"hu", "affine"} or not {"labels", "volumes_ml"} <= set(signature.structured_outputs):
        raise InputError(f"{directory}: expected inputs hu and affine, output labels, found inputs {sorted(inputs)}")

    def segment(hu: tf.Tensor, affine: tf.Tensor) -> dict[str, tf.Tensor]:
        _ = model  # keeps the variables that the signature refers to
        return signature(hu=hu, affine=affine)

    facts = json.loads(metadata()["json"].numpy())
    scheme = find_scheme(facts["label_scheme"], facts["cyst_as"])
    return Model(segment, scheme, parse_chain(facts["postprocess"]))
