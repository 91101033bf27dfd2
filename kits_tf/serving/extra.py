"""What lies beside the graph in assets.extra: warm-up requests, the manifest and the model card."""

from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from kits_tf.analysis.calibration import Calibration
from kits_tf.base.provenance import git_revision, package_versions
from kits_tf.config import InferenceSettings
from kits_tf.inference.segmenter import Segmenter
from kits_tf.pipeline.manifest import Manifest
from kits_tf.serving.metadata import CoarseStage, Metadata
from kits_tf.serving.model_card import CARD_NAME, model_card
from kits_tf.serving.warmup import WARMUP_NAME, warmup_logs
from kits_tf.training.run import Run
from tfrecords_tools.write import write_records


def describe(runs: Sequence[Run], segmenter: Segmenter, inference: InferenceSettings, precision: str) -> Metadata:
    """Returns what an export of a segmenter says of itself, for manifests written by `write_extra`."""
    plan, coarse = segmenter.plan, None
    if segmenter.coarse:
        of_coarse = segmenter.coarse.segmenter.plan
        coarse = CoarseStage(
            grid=of_coarse.grid, patch_size_zyx=of_coarse.window.size, margin_mm=segmenter.coarse.margin_mm
        )
    return Metadata(
        classes=plan.scheme.classes,
        grid=plan.grid,
        patch_size_zyx=plan.window.size,
        intensity=tuple(run.settings.intensity for run in runs),
        # Where the coarse model lay is nobody's business.
        inference=replace(inference, postprocess=str(plan.postprocessing), coarse_model=""),
        temperature=plan.temperature,
        precision=precision,
        versions=package_versions() | {"git": git_revision() or "unknown"},
        manifest_sha256=tuple(sha256(_manifest(run).to_json().encode()).hexdigest() for run in runs),
        coarse=coarse,
    )


def write_extra(folder: Path, runs: Sequence[Run], metadata: Metadata, calibration: Calibration | None) -> None:
    """Writes what lies beside the graph of some runs.

    Args:
        folder: to write to.
        runs: that were exported.
        metadata: of the export.
        calibration: of a single run; None where it was not calibrated.
    """
    write_records(folder / WARMUP_NAME, [log.SerializeToString() for log in warmup_logs(metadata)])
    for i, run in enumerate(runs):
        place = folder if len(runs) == 1 else folder / f"run{i}"
        place.mkdir(exist_ok=True)
        _manifest(run).write(place)
    (folder / CARD_NAME).write_text(model_card(runs, metadata, calibration), encoding="utf-8")


def _manifest(run: Run) -> Manifest:
    """Returns the manifest of a run without where its data lay, which is nobody's business."""
    return replace(run.manifest, data_dir="")
