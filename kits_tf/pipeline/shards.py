"""One case's files -> its shard."""

from kits_tf.base.errors import InputError
from kits_tf.base.files import sha256
from kits_tf.base.paths import AnyPath
from kits_tf.config import GridSettings
from kits_tf.ct.case_facts import case_facts
from kits_tf.ct.cases import label_scan, read_pair
from kits_tf.ct.findings import case_findings
from kits_tf.ct.hu_statistics import hu_statistics
from kits_tf.ct.labels import find_scheme
from kits_tf.ct.layouts import CaseFiles
from kits_tf.ct.sides import BODY_HU
from kits_tf.pipeline.case import to_training_grid
from kits_tf.pipeline.manifest import CaseEntry
from kits_tf.pipeline.plan import Converted, shard_name
from tfrecords_tools.index import Shard
from tfrecords_tools.write import write_records


def convert_case(files: CaseFiles, grid: GridSettings, records_dir: AnyPath, before: Converted | None) -> Converted:
    """Writes the shard of one case: paths in, shard out, nothing else read or changed.

    Args:
        files: of the case.
        grid: settings of the training grid and labels.
        records_dir: folder of the shard.
        before: what an earlier run made of the case; returned as it is if the files are still the same.

    Raises:
        InputError: the case cannot be read; nothing is written.
        OSError: the shard cannot be written; nothing is left of it.
    """
    inputs = tuple(sha256(path) for path in (files.image, files.labels) if path)
    if before and before.entry.inputs_sha256 == inputs:
        return before
    image, mask = read_pair(files)
    source = case_facts(image, mask)
    for finding in case_findings(files.case_id, source):
        if finding.severity == "error":
            raise InputError(f"{files.image}: {finding.message}")
    scan = label_scan(image, mask, find_scheme(grid.label_scheme, grid.cyst_as))
    sides = scan.sides
    case = to_training_grid(files.case_id, scan, grid)
    del image, mask, scan  # up to a gigabyte, while a record is as large again
    entry = CaseEntry(
        case.grid.shape,
        case.class_voxel_counts(),
        sides,
        None if case.labels is None else hu_statistics(case.hu[case.labels > 0]),
        hu_statistics(case.hu, above=BODY_HU),
        inputs,
        source,
    )
    name = shard_name(files.case_id)
    written = write_records(records_dir / name, [case.serialize()])
    return Converted(name, Shard(written.num_bytes, written.sha256, (files.case_id,)), entry)
