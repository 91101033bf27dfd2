"""python -m kits_tf.export: a run -> a SavedModel for TensorFlow Serving."""

from dataclasses import dataclass
from pathlib import Path

from kits_tf.base.command import Command
from kits_tf.base.files import require_writable
from kits_tf.base.startup import start_tensorflow
from kits_tf.config import ExportSettings


@dataclass(frozen=True, kw_only=True)
class Export(ExportSettings):
    """Exports a run as a SavedModel that takes scans as stored, for TensorFlow Serving."""


def main(settings: Export) -> None:
    """Exports the network of a run, or of several averaged, with its preprocessing, as the next version.

    Raises:
        InputError: a run cannot be loaded, runs do not fit together, or the records for calibration are gone.
    """
    from kits_tf.serving.versions import require_export_dir
    from kits_tf.training.run_files import require_run, run_folders

    require_writable(settings.export_dir)
    for folder in run_folders(settings.run_dir):
        require_run(folder)
    require_export_dir(Path(settings.export_dir))
    start_tensorflow()
    from kits_tf.serving.exporting import export

    directory, metadata, calibration = export(settings)
    if calibration:
        before, after = calibration.before, calibration.after
        print(
            f"temperature {calibration.temperature:.3f}: expected calibration error {before.ece:.3f} -> {after.ece:.3f}"
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
