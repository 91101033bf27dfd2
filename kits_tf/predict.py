"""python -m kits_tf.predict: scans -> masks on their own grids."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from kits_tf.base.command import Command, UsageError
from kits_tf.base.errors import InputError, UnavailableError
from kits_tf.base.failures import Failures
from kits_tf.base.packages import require
from kits_tf.base.parts import WHOLE, parse_part
from kits_tf.base.progress import counter
from kits_tf.base.settings import Settings, setting
from kits_tf.base.startup import start_tensorflow
from kits_tf.base.words import count_text
from kits_tf.config import DicomSettings, InferenceSettings, MaskSchemeSettings, ScanSettings, shared

if TYPE_CHECKING:
    from kits_tf.ct.scans import Scan
    from kits_tf.inference.mask_output import MaskOutput
    from kits_tf.inference.model import Model


@dataclass(frozen=True, kw_only=True)
class Predict(Settings):
    """Segments scans: NIfTI files, KiTS19 case folders, DICOM folders and zips, or patterns like 'scans/*.nii.gz'."""

    model: str = shared.model()
    output_dir: str = shared.masks_dir()
    scans_file: str | None = setting(
        None,
        "List of scans, instead of or beside those after the flags: a text file with a path in each line, or a CSV or "
        "Parquet file with a column path.",
    )
    part: str = shared.part()
    labels: str = shared.mask_labels()
    overwrite: bool = shared.overwrite()
    probabilities: bool = setting(
        False, "Also writes NAME_probabilities.nii.gz, (i, j, k, class) of all classes but background."
    )
    uncertainty: bool = setting(
        False, "Also writes NAME_uncertainty.nii.gz: how far models and mirror images disagree, from 0 to 1."
    )
    figures: bool = setting(False, "Also draws NAME.png: the mask over the scan on three planes, and its surfaces.")
    scans: ScanSettings = field(default_factory=ScanSettings)
    dicom: DicomSettings = field(default_factory=DicomSettings)
    inference: InferenceSettings = field(default_factory=InferenceSettings)


def main(settings: Predict, inputs: list[str]) -> None:
    """Segments every input and writes NAME.nii.gz.

    Raises:
        InputError: the model cannot be loaded, two inputs would give the same file, or an input failed; with --figures,
            matplotlib is not installed, or a picture cannot be drawn.
    """
    part = parse_part(settings.part)
    if not inputs and not settings.scans_file:
        raise UsageError("expected at least one SCAN after the flags, or --scans_file")
    if settings.figures:
        require("figures", "matplotlib")
    from kits_tf.ct.scans import collect_scans, listed_scans
    from kits_tf.inference.batch_prediction import segment_scans
    from kits_tf.inference.mask_output import MAPS, MaskOutput
    from kits_tf.inference.prediction_results import require_own_table, size_of, write_predictions
    from kits_tf.serving.versions import model_identity

    output = MaskOutput(
        folder=Path(settings.output_dir),
        model=model_identity(settings.model, settings.inference),
        labels=settings.labels,
        maps=tuple(name for name in MAPS if getattr(settings, name)),
        overwrite=settings.overwrite,
    )
    require_own_table(output)
    listed = listed_scans(Path(settings.scans_file)) if settings.scans_file else []
    everything = collect_scans([*inputs, *listed], settings.dicom)
    if part.is_summary:
        _summarize(everything, output)
        return
    sizes = [0 if part == WHOLE else size_of(scan) for scan in everything]
    scans = [everything[index] for index in part.items(sizes)]
    failed: InputError | None = None
    try:
        for prediction in segment_scans(scans, output, lambda: _load(settings)):
            print(prediction, flush=True)
    except UnavailableError:
        raise
    except InputError as error:  # the masks of the others are there
        failed = error
    if settings.figures:
        _draw(scans, output, settings.dicom)
    if part == WHOLE:
        write_predictions(scans, output)
    if failed:
        raise failed


def _summarize(scans: "list[Scan]", output: "MaskOutput") -> None:
    """Writes the table of all scans that are done, and says what became of the others.

    Raises:
        InputError: a scan failed, or nobody has done it.
    """
    from kits_tf.inference.prediction_results import TABLE_NAME, write_predictions

    summary = write_predictions(scans, output)
    place = f": {output.folder / TABLE_NAME}" if summary.done else ""
    print(f"{summary.done} of {count_text(len(scans), 'scan')} are done{place}")
    failures = Failures("scan", len(scans))
    for name, reason in summary.failed.items():
        failures.note(name, InputError(reason))
    for name in summary.missing:
        failures.note(name, InputError("expected a mask, found none: run its part again"))
    failures.check()


def _draw(scans: "list[Scan]", output: "MaskOutput", dicom: DicomSettings) -> None:
    """Draws the masks that are there beside them, those of earlier calls too."""
    from kits_tf.analysis.mask_files import masks_at
    from kits_tf.views.drawings.prediction_figures import FigurePlan, draw_all, drawings_of_scans

    paths = {scan.name: path for scan in scans if (path := output.mask_path(scan)).exists()}
    if not paths:
        return
    start_tensorflow()
    masks = masks_at(paths, output.folder, MaskSchemeSettings())
    plan = FigurePlan(masks=masks, output_dir=output.folder)
    drawings = drawings_of_scans([scan for scan in scans if scan.name in paths], dicom, plan)
    draw_all(drawings, workers=0)
    drawings.failures.check()


def _load(settings: Predict) -> "Model":
    start_tensorflow()
    from kits_tf.inference.segmenter import OptionalMaps
    from kits_tf.serving.models import open_model

    maps = OptionalMaps(probabilities=settings.probabilities, uncertainty=settings.uncertainty)
    model = open_model(settings.model, settings.inference, maps, counter("window"))
    return replace(model, accept_intensities=settings.scans.accept_intensities)


COMMAND = Command(name="predict", settings=Predict, main=main, inputs="SCAN", needs_inputs=False, continues=True)

if __name__ == "__main__":
    COMMAND.run()
