"""A model by its path: an exported SavedModel, a run, or several runs that are averaged."""

import functools
import os
from dataclasses import replace

from kits_tf.base.errors import InputError
from kits_tf.base.progress import Report
from kits_tf.config import InferenceSettings
from kits_tf.inference.building import build_segmenter
from kits_tf.inference.model import Model
from kits_tf.inference.own_settings import notices, own_settings
from kits_tf.inference.postprocess import chain_for
from kits_tf.inference.segmenter import NO_MAPS, OptionalMaps
from kits_tf.serving.saved_model import load
from kits_tf.serving.versions import find_saved_model, model_identity
from kits_tf.training.run import load_runs
from kits_tf.training.run_files import run_folders


def open_model(
    path: str,
    inference: InferenceSettings,
    maps: OptionalMaps = NO_MAPS,
    report: Report | None = None,
) -> Model:
    """Returns a SavedModel, the newest version in a model's folder, or the segmenter of one or several runs.

    Args:
        path: path of the model; several runs with commas between, or a folder of folds.
        inference: windows and their merging, mirror images, post-processing and the coarse model.
        maps: maps to give besides labels.
        report: function called with (windows done, windows in all) while a scan is segmented.

    Raises:
        InputError: the path is none of these, or the settings ask of an exported model what it was not exported with.
    """
    directory = find_saved_model(path)
    if directory is None:
        runs, identity = run_folders(path), model_identity(path, inference)
        model = build_segmenter(load_runs(path), own_settings(runs, inference), maps).model(report)
        return replace(model, identity=identity, notices=notices(runs))
    if replace(inference, postprocess="") != InferenceSettings() or maps != NO_MAPS:
        raise InputError(
            f"{directory}: an exported model has its inference built in; expected none of --overlap, --window_weights, "
            "--flip_axes, --coarse_model, --probabilities and --uncertainty"
        )
    saved = load(directory)
    chain = chain_for(saved.metadata.postprocessing, inference.postprocess, str(directory))
    model = Model(functools.partial(saved.segment, report=report), saved.metadata.scheme, chain)
    identity = model_identity(os.fspath(directory), inference)
    return replace(model, identity=identity, notices=saved.metadata.notices)
