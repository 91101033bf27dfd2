"""What lies beside the graph in assets.extra: warm-up requests, the manifests of the runs, metadata, the model card."""

from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from kits_tf.analysis.calibration import Calibration
from kits_tf.base.errors import InputError
from kits_tf.base.provenance import git_revision, package_versions
from kits_tf.config import InferenceSettings
from kits_tf.ct.geometry import CANONICAL_WORLD_AXES
from kits_tf.inference.segmenter import Segmenter
from kits_tf.pipeline.manifest import Manifest
from kits_tf.serving.messages import PredictionLog, PredictRequest, TensorProto
from kits_tf.serving.metadata import (
    METADATA,
    METADATA_NAME,
    PROBABILITIES,
    SIGNATURES,
    UNCHECKED,
    VOLUME,
    CoarseStage,
    Metadata,
)
from kits_tf.serving.model_card import CARD_NAME, model_card
from kits_tf.serving.saved_model import SavedModel
from kits_tf.serving.tensors import dtype_number, from_proto, to_proto
from kits_tf.training.run import Run
from tfrecords_tools.errors import RecordError
from tfrecords_tools.read import read_records
from tfrecords_tools.write import write_records

# The name under which TensorFlow Serving looks for them.
WARM_UP_NAME = "tf_serving_warmup_requests"


def export_metadata(
    runs: Sequence[Run], segmenter: Segmenter, inference: InferenceSettings, precision: str
) -> Metadata:
    """Returns the description of an export.

    Args:
        runs: the trained runs that the segmenter averages.
        segmenter: the segmenter that is exported.
        inference: the settings that it was built with.
        precision: the precision that its networks compute in, as Keras names it.
    """
    plan, coarse = segmenter.plan, None
    if segmenter.coarse:
        coarse_plan = segmenter.coarse.segmenter.plan
        coarse = CoarseStage(
            grid=coarse_plan.grid, patch_size_zyx=coarse_plan.window.size, margin_mm=segmenter.coarse.margin_mm
        )
    return Metadata(
        classes=plan.scheme.classes,
        grid=plan.grid,
        patch_size_zyx=plan.window.size,
        intensity=tuple(run.settings.intensity for run in runs),
        # Do not publish the local path of the coarse model.
        inference=replace(inference, postprocess=str(plan.postprocessing), coarse_model=""),
        temperature=plan.temperature,
        precision=precision,
        versions=package_versions() | {"git": git_revision() or "unknown"},
        manifest_sha256=tuple(sha256(_public_manifest(run).to_json().encode()).hexdigest() for run in runs),
        coarse=coarse,
        signatures=SIGNATURES,
    )


def write_assets(folder: Path, runs: Sequence[Run], metadata: Metadata, calibration: Calibration | None) -> None:
    """Writes what lies beside the graph of an export.

    Args:
        folder: folder to write to, assets.extra.
        runs: the runs that were exported.
        metadata: description of the export.
        calibration: calibration of a single run; None where it was not calibrated.
    """
    write_records(folder / WARM_UP_NAME, [log.SerializeToString() for log in warm_up_requests(metadata)])
    for i, run in enumerate(runs):
        place = folder if len(runs) == 1 else folder / f"run{i}"
        place.mkdir(exist_ok=True)
        _public_manifest(run).write(place)
    (folder / METADATA_NAME).write_text(metadata.to_json(), encoding="utf-8")
    (folder / CARD_NAME).write_text(model_card(runs, metadata, calibration), encoding="utf-8")


def warm_up_requests(metadata: Metadata) -> list[Any]:
    """Returns a PredictionLog for each signature, which a server runs before it serves a version.

    So the first user does not wait for a graph to be prepared. The server fills in the model's name.
    """
    window = metadata.patch_size_zyx
    affine = np.diag(np.array([0, 0, 0, 1], np.float32))
    affine[CANONICAL_WORLD_AXES, (0, 1, 2)] = -np.array(metadata.grid.spacing_zyx_mm)
    scan = {"hu": _soft_tissue(window), "affine": to_proto(affine)}
    inputs = {
        VOLUME: scan,
        UNCHECKED: scan,
        PROBABILITIES: {"hu": _soft_tissue((1, *window))},
        METADATA: {},
    }
    return [_prediction_log(name, tensors) for name, tensors in inputs.items()]


def warm_up(model: SavedModel, assets: Path) -> None:
    """Runs the warm-up requests of a model; one without such requests is not warmed up.

    Args:
        model: model to warm up.
        assets: its folder assets.extra.

    Raises:
        InputError: the file is damaged, or the model refuses a request.
    """
    path = assets / WARM_UP_NAME
    if not path.is_file():
        return
    try:
        for record in read_records(path):
            request = PredictionLog.FromString(record).predict_log.request
            inputs = {name: tf.constant(from_proto(tensor, name)) for name, tensor in request.inputs.items()}
            model.signatures[request.model_spec.signature_name](**inputs)
    except (RecordError, KeyError, tf.errors.OpError) as error:
        raise InputError(f"{path}: expected requests that the model answers: {str(error)[:300]}") from None


def _prediction_log(signature: str, tensors: dict) -> Any:
    request = PredictRequest(model_spec={"signature_name": signature})
    for name, tensor in tensors.items():
        request.inputs[name].CopyFrom(tensor)
    return PredictionLog(predict_log={"request": request})


def _soft_tissue(shape: tuple[int, ...]) -> Any:
    """Returns a TensorProto of 0 HU all over, in a few bytes: its single value stands for all."""
    dims = {"dim": [{"size": size} for size in shape]}
    return TensorProto(dtype=dtype_number("int16"), tensor_shape=dims, int_val=[0])


def _public_manifest(run: Run) -> Manifest:
    """Returns the manifest of a run without the local path of its data, which is not published."""
    return replace(run.manifest, data_dir="")
