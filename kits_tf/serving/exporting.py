"""Trained runs -> the next version in a model's folder."""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from kits_tf.analysis.calibration import Calibration, calibrate
from kits_tf.config import ExportSettings
from kits_tf.inference.building import build_segmenter
from kits_tf.inference.identity import runs_identity
from kits_tf.inference.own_settings import notices, own_settings
from kits_tf.serving.assets import export_metadata, write_assets
from kits_tf.serving.metadata import Metadata
from kits_tf.serving.saved_model import ServingModule, save_version
from kits_tf.training.run import load_runs
from kits_tf.training.run_files import run_folders


class Exported(NamedTuple):
    """A version that was written.

    Attributes:
        directory: its folder.
        metadata: its description.
        calibration: calibration of a single run; None where it was not calibrated.
    """

    directory: Path
    metadata: Metadata
    calibration: Calibration | None


def export(settings: ExportSettings) -> Exported:
    """Exports a run, or several that are averaged, with its preprocessing.

    Raises:
        InputError: a run cannot be loaded, runs do not fit together, or the records for calibration are gone.
    """
    folders, runs = run_folders(settings.run_dir), load_runs(settings.run_dir)
    inference = own_settings(folders, settings.inference)
    calibration = None
    if settings.calibrate and len(runs) == 1 and runs[0].manifest.splits["validation"]:
        records_dir = settings.records_dir or runs[0].settings.records_dir
        run = replace(runs[0], settings=replace(runs[0].settings, records_dir=records_dir))
        calibration = calibrate(run, inference)
        runs = [replace(runs[0], temperature=calibration.temperature)]
    segmenter = build_segmenter(runs, inference, precision=settings.serving_precision)
    metadata = replace(
        export_metadata(runs, segmenter, inference, settings.serving_precision),
        model=runs_identity(folders, inference),
        notices=notices(folders),
    )
    directory = save_version(
        ServingModule(segmenter, metadata),
        settings.export_dir,
        lambda folder: write_assets(folder, runs, metadata, calibration),
    )
    return Exported(directory, metadata, calibration)
