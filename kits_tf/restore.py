"""python -m kits_tf.restore: records -> NIfTI on the scans' own grids."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kits_tf.base.command import Command
from kits_tf.base.progress import track
from kits_tf.base.settings import Settings, required, setting
from kits_tf.base.startup import start_tensorflow
from tfrecords_tools.index import MANIFEST_NAME
from tfrecords_tools.read import read_records

if TYPE_CHECKING:
    from kits_tf.ct.geometry import Orientation


@dataclass(frozen=True, kw_only=True)
class Restore(Settings):
    """Turns records back into NIfTI on the scans' own grids, in KiTS19's layout."""

    output_dir: str = required("Folder to write case_00000/imaging.nii.gz and segmentation.nii.gz, ... to.")
    restored_labels: str = setting(
        "challenge",
        "challenge: 0 background, 1 kidney, 2 tumor, 3 cyst, so that convert can read them; record: as they are.",
        choices=("challenge", "record"),
    )


def main(settings: Restore, inputs: list[str]) -> None:
    """Writes every case of the files of records; the axis order is the scan's own where a manifest lies beside them.

    Raises:
        RecordError: a file is missing or damaged, or holds other records.
        InputError: the manifest beside a file cannot be read.
    """
    start_tensorflow()
    from kits_tf.ct.geometry import reorient
    from kits_tf.ct.labels import challenge_lookup
    from kits_tf.ct.layouts import IMAGE_NAME, LABELS_NAME
    from kits_tf.ct.volume import write_stored
    from kits_tf.pipeline.case import Case

    for path in track(inputs, "file", len(inputs)):
        for record in read_records(path):
            case = Case.parse(record)
            to_file = _orientation_of_file(case.case_id, Path(path).parent)
            affine = case.native.reoriented(to_file).affine
            folder = Path(settings.output_dir) / case.case_id
            if case.labels is not None:
                labels = case.labels_on_native()
                if settings.restored_labels == "challenge":
                    labels = challenge_lookup(case.classes)[labels]
                write_stored(folder / LABELS_NAME, reorient(labels, to_file), affine)
            write_stored(folder / IMAGE_NAME, reorient(case.hu_on_native(), to_file), affine)
            print(f"  {case.case_id} -> {folder}: {case.native.shape} voxels")
    print(f"wrote {settings.output_dir}")


def _orientation_of_file(case_id: str, records_dir: Path) -> "Orientation":
    """Returns how (z, y, x) becomes the axis order of the scan's file; (I, P, L), as KiTS19 has it, if unknown."""
    from kits_tf.ct.geometry import orientation_of
    from kits_tf.pipeline.manifest import Manifest

    if not (records_dir / MANIFEST_NAME).is_file():
        return orientation_of("IPL").inverse
    return orientation_of(Manifest.read(records_dir).cases[case_id].source.axes).inverse


COMMAND = Command(name="restore", settings=Restore, main=main, inputs="RECORD")

if __name__ == "__main__":
    COMMAND.run()
