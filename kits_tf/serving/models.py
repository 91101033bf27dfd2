"""A model by its path, whatever it is: an exported SavedModel, a run, or several runs that are averaged."""

import functools
import os
from dataclasses import replace
from typing import Any

from kits_tf.base.errors import InputError
from kits_tf.base.progress import Report
from kits_tf.config import InferenceSettings
from kits_tf.inference.building import build_segmenter
from kits_tf.inference.model import Model
from kits_tf.inference.postprocess import chain_for
from kits_tf.inference.segmenter import NO_MAPS, OptionalMaps
from kits_tf.serving.saved_model import load
from kits_tf.serving.versions import find
from kits_tf.training.run import load_runs


def load_model(path: str | os.PathLike, **inference: Any) -> Model:
    """Returns a model: `labels(scan)` are its mask on the scan's grid, `segmentation(scan)` its volumes and more.

    Args:
        path: of an exported model, or of its folder of versions; of a run, several with commas between, or a folder of
            folds.
        **inference: fields of `InferenceSettings`, as in `overlap=0.25`; of an exported model only `postprocess`.

    Raises:
        InputError: there is no model, or it has no such setting.
    """
    known = InferenceSettings.__dataclass_fields__
    if unknown := sorted(set(inference) - set(known)):
        raise InputError(f"expected settings of {', '.join(known)}, got {', '.join(unknown)}")
    return open_model(os.fspath(path), InferenceSettings(**inference))


def open_model(
    model: str,
    inference: InferenceSettings,
    maps: OptionalMaps = NO_MAPS,
    tell: Report | None = None,
) -> Model:
    """Returns a SavedModel, the newest version in a model's folder, or the segmenter of one or several runs.

    Args:
        model: path; of runs several, with commas between, or a folder of folds.
        inference: settings of windows, mirror images, cascade and post-processing.
        maps: what to give besides labels.
        tell: is told of the windows that are done.

    Raises:
        InputError: the path is none of these, or asks an exported model for what it does not have built in.
    """
    directory = find(model)
    if directory is None:
        return build_segmenter(load_runs(model), inference, maps).model(tell)
    if replace(inference, postprocess="") != InferenceSettings() or maps != NO_MAPS:
        raise InputError(
            f"{directory}: an exported model has its inference built in; expected none of --overlap, --window_weights, "
            "--flip_axes, --coarse_model, --probabilities and --uncertainty"
        )
    exported = load(directory)
    chain = chain_for(exported.metadata.postprocessing, inference.postprocess, str(directory))
    return Model(functools.partial(exported.segment, tell=tell), exported.metadata.scheme, chain)
