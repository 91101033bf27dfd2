"""python -m kits_tf.restore: records -> NIfTI on the scans' own grids."""

from dataclasses import dataclass
from pathlib import Path

from kits_tf.base.command import Command
from kits_tf.base.errors import InputError
from kits_tf.base.failures import Failures
from kits_tf.base.files import require_absent, require_writable
from kits_tf.base.progress import track
from kits_tf.base.settings import Settings, required, setting
from kits_tf.base.startup import start_tensorflow
from kits_tf.config import shared
from tfrecords_tools.errors import RecordError
from tfrecords_tools.read import read_records


@dataclass(frozen=True, kw_only=True)
class Restore(Settings):
    """Turns records back into NIfTI on the scans' own grids, in KiTS19's layout."""

    output_dir: str = required("Folder to write case_00000/imaging.nii.gz and segmentation.nii.gz, ... to.")
    restored_labels: str = setting(
        "challenge",
        "challenge: 0 background, 1 kidney, 2 tumor, 3 cyst, so that convert can read them; record: its own labels.",
        choices=("challenge", "record"),
    )
    overwrite: bool = shared.overwrite_cases()


def main(settings: Restore, inputs: list[str]) -> None:
    """Writes every case of the files of records; the axis order is the scan's own where a manifest lies beside them.

    Raises:
        InputError: a file is missing or damaged or holds other records, the manifest beside it cannot be read, or a
            case is there and is not to be replaced; the others are restored.
    """
    require_writable(settings.output_dir)
    start_tensorflow()
    failures = Failures("file", len(inputs))
    for path in track(inputs, "file", len(inputs)):
        try:
            _restore(path, settings)
        except (RecordError, InputError) as error:
            failures.note(path, error)
    failures.check()
    print(f"wrote {settings.output_dir}")


def _restore(path: str, settings: Restore) -> None:
    from kits_tf.ct.layouts import IMAGE_NAME, LABELS_NAME
    from kits_tf.pipeline.case import Case
    from kits_tf.pipeline.case_restoration import orientation_to_file, restore_case

    for record in read_records(path):
        case = Case.parse(record)
        folder = Path(settings.output_dir) / case.case_id
        if not settings.overwrite:
            require_absent([folder / IMAGE_NAME, folder / LABELS_NAME])
        to_file = orientation_to_file(case.case_id, Path(path).parent)
        restore_case(case, folder, to_file, settings.restored_labels == "challenge")
        print(f"  {case.case_id} -> {folder}: {case.native.shape} voxels")


COMMAND = Command(name="restore", settings=Restore, main=main, inputs="RECORD")

if __name__ == "__main__":
    COMMAND.run()
