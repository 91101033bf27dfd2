"""One record -> NIfTI files of its scan and its mask, on the scan's own grid."""

from pathlib import Path

from kits_tf.ct.geometry import Orientation, orientation_of, reorient
from kits_tf.ct.labels import challenge_lookup
from kits_tf.ct.layouts import IMAGE_NAME, LABELS_NAME
from kits_tf.ct.volume import write_stored
from kits_tf.pipeline.case import Case
from kits_tf.pipeline.manifest import Manifest
from tfrecords_tools.index import MANIFEST_NAME


def restore_case(case: Case, folder: Path, to_file: Orientation, in_challenge_labels: bool) -> None:
    """Writes the scan of a case, and its mask if it has one, in KiTS19's layout.

    Args:
        case: case of a record.
        folder: folder of the two files.
        to_file: orientation from (z, y, x) to the axis order of the files.
        in_challenge_labels: whether labels are written as the challenge's; otherwise as they are in the record.
    """
    affine = case.native.reoriented(to_file).affine
    if case.labels is not None:
        labels = case.labels_on_native()
        if in_challenge_labels:
            labels = challenge_lookup(case.classes)[labels]
        write_stored(folder / LABELS_NAME, reorient(labels, to_file), affine)
    write_stored(folder / IMAGE_NAME, reorient(case.hu_on_native(), to_file), affine)


def orientation_to_file(case_id: str, records_dir: Path) -> Orientation:
    """Returns the orientation from (z, y, x) to the axis order that the scan's file had; KiTS19's if it is unknown.

    Args:
        case_id: id of the case.
        records_dir: folder of its record, where a manifest knows the axis order; without one it is unknown.

    Raises:
        InputError: the manifest cannot be read.
    """
    if not (records_dir / MANIFEST_NAME).is_file():
        return orientation_of("IPL").inverse
    return orientation_of(Manifest.read(records_dir).cases[case_id].source.axes).inverse
