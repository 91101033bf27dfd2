"""One case's files -> its shard. TensorFlow is imported only where a case is converted."""

from dataclasses import dataclass

from kits_tf.base.errors import InputError
from kits_tf.base.files import sha256
from kits_tf.base.paths import AnyPath
from kits_tf.config import GridSettings
from kits_tf.ct.case_facts import case_facts
from kits_tf.ct.cases import label_scan, read_pair
from kits_tf.ct.findings import case_findings
from kits_tf.ct.hu_statistics import hu_statistics
from kits_tf.ct.labels import scheme_of
from kits_tf.ct.layouts import CaseFiles
from kits_tf.ct.sides import BODY_HU
from kits_tf.pipeline.manifest import CaseEntry
from tfrecords_tools.index import Shard
from tfrecords_tools.write import write_records


@dataclass(frozen=True, kw_only=True)
class ConvertedCase:
    """A case as the manifest describes it.

    Attributes:
        name: file name of the shard.
        shard: size, digest and cases of the shard.
        entry: the case's part of the manifest.
    """

    name: str
    shard: Shard
    entry: CaseEntry


def convert_case(
    files: CaseFiles, grid: GridSettings, records_dir: AnyPath, earlier: ConvertedCase | None
) -> ConvertedCase:
    """Writes the shard of one case: paths in, shard out, nothing else read or changed.

    Args:
        files: files of the case.
        grid: settings of the training grid and labels.
        records_dir: folder of the shard.
        earlier: result of an earlier run; it is returned as it is if the files are still the same.

    Raises:
        InputError: the case cannot be read; nothing is written.
        OSError: the shard cannot be written; nothing is left of it.
    """
    # Here, since it imports TensorFlow, which takes seconds: a process that only hands out cases never does.
    from kits_tf.pipeline.case import to_training_grid

    files.check()
    try:
        inputs = tuple(sha256(path) for path in (files.image, files.labels) if path)
    except OSError as error:
        raise InputError(f"{files.image.parent}: expected files that can be read: {error}") from None
    if earlier and earlier.entry.inputs_sha256 == inputs:
        return earlier
    image, mask = read_pair(files)
    source = case_facts(image, mask)
    for finding in case_findings(files.case_id, source):
        if finding.severity == "error":
            raise InputError(f"{files.image}: {finding.message}")
    scan = label_scan(image, mask, scheme_of(grid))
    sides = scan.sides
    case = to_training_grid(files.case_id, scan, grid)
    del image, mask, scan  # up to a gigabyte, while a record is as large again
    entry = CaseEntry(
        shape_zyx=case.grid.shape,
        class_voxels=case.class_voxel_counts(),
        sides=sides,
        hu_foreground=None if case.labels is None else hu_statistics(case.hu[case.labels > 0]),
        hu_body=hu_statistics(case.hu, above=BODY_HU),
        inputs_sha256=inputs,
        source=source,
    )
    name = shard_name(files.case_id)
    written = write_records(records_dir / name, [case.serialize()])
    return ConvertedCase(name=name, shard=Shard(written.num_bytes, written.sha256, (files.case_id,)), entry=entry)


def shard_name(case_id: str) -> str:
    """Returns the file name of a case's shard."""
    return f"{case_id}.tfrecord"
