"""A model by its path."""

import os
from dataclasses import replace
from typing import Any

from kits_tf.config import InferenceSettings
from kits_tf.config.shared import STARTER
from kits_tf.library.model import Model
from kits_tf.library.options import parameters_named, settings_from
from kits_tf.serving.models import open_model


def load_model(path: str | os.PathLike = STARTER, *, accept_intensities: bool = False, **inference: Any) -> Model:
    """Returns a model; `model.segment(scan)` is its mask of a scan.

    Args:
        path: an exported model, or the folder of its versions; or a run, several with commas between, or a folder of
            folds. "starter", the default, is the network of the package.
        accept_intensities: whether scans are segmented whose voxels cannot be Hounsfield units; their masks have a
            warning.
        **inference: fields of `InferenceSettings`, as in `overlap=0.25`; only `postprocess` for an exported model.

    Raises:
        InputError: there is no model, or it has no such setting.
    """
    with parameters_named():
        network = open_model(os.fspath(path), settings_from(InferenceSettings, inference))
    return Model(network=replace(network, accept_intensities=accept_intensities))
