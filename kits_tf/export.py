"""python -m kits_tf.export: a run -> a SavedModel for TensorFlow Serving."""

from dataclasses import dataclass, field, replace

from kits_tf.base.command import Command
from kits_tf.base.files import require_writable
from kits_tf.base.settings import Settings, required, setting
from kits_tf.base.startup import start_tensorflow
from kits_tf.config import InferenceSettings


@dataclass(frozen=True, kw_only=True)
class Export(Settings):
    """Exports a run as a SavedModel that takes scans as stored, for TensorFlow Serving."""

    run_dir: str = required("Folder of a training run, of folds, or several with commas between, which are averaged.")
    export_dir: str = required("Folder of the model's versions; the next free number is written.")
    records_dir: str | None = setting(
        None, "Folder of the run's records, for --calibrate. Default: where it was trained on them, or beside it."
    )
    serving_precision: str = setting(
        "float32",
        "Precision of the network. float32 for CPUs; mixed_bfloat16 or mixed_float16 for GPUs, slow on a CPU.",
        choices=("float32", "mixed_bfloat16", "mixed_float16"),
    )
    calibrate: bool = setting(
        True,
        "Fits the temperature of the probabilities on the validation cases of the run's records, in one pass. "
        "--nocalibrate: takes the run's temperature, if it has one. Averages of runs have none.",
    )
    inference: InferenceSettings = field(default_factory=InferenceSettings)


def main(settings: Export) -> None:
    """Exports the network of a run, or of several averaged, with its preprocessing, as the next version.

    Raises:
        InputError: a run cannot be loaded, runs do not fit together, or the records for calibration are gone.
    """
    require_writable(settings.export_dir)
    start_tensorflow()
    from kits_tf.analysis.calibration import calibrate
    from kits_tf.inference.building import build_segmenter
    from kits_tf.serving.assets import export_metadata, write_assets
    from kits_tf.serving.saved_model import ServingModule, save_version
    from kits_tf.training.run import load_runs

    runs = load_runs(settings.run_dir)
    calibration = None
    if settings.calibrate and len(runs) == 1:
        records_dir = settings.records_dir or runs[0].settings.records_dir
        run = replace(runs[0], settings=replace(runs[0].settings, records_dir=records_dir))
        calibration = calibrate(run, settings.inference)
        runs = [replace(runs[0], temperature=calibration.temperature)]
        before, after = calibration.before, calibration.after
        print(
            f"temperature {calibration.temperature:.3f}: expected calibration error {before.ece:.3f} -> {after.ece:.3f}"
        )
    segmenter = build_segmenter(runs, settings.inference, precision=settings.serving_precision)
    metadata = export_metadata(runs, segmenter, settings.inference, settings.serving_precision)
    directory = save_version(
        ServingModule(segmenter, metadata),
        settings.export_dir,
        lambda folder: write_assets(folder, runs, metadata, calibration),
    )
    size_mb = sum(path.stat().st_size for path in directory.rglob("*") if path.is_file()) / 1e6
    print("serving_default: hu int16 (i, j, k), affine float32 (4, 4)")
    print("  -> labels uint8 (i, j, k), volumes_ml float32 (classes), confidence float32 (classes)")
    print("probabilities: hu int16 (n, z, y, x) -> probabilities float16 (n, z, y, x, classes); metadata: -> json")
    print("labels: " + ", ".join(f"{i} {name}" for i, name in enumerate(metadata.classes)))
    print(f"wrote {directory} ({size_mb:.1f} MB)")


COMMAND = Command(name="export", settings=Export, main=main)

if __name__ == "__main__":
    COMMAND.run()
