"""One case's files -> its shard. TensorFlow is imported only where a case is converted."""

from dataclasses import dataclass

from kits_tf.base.errors import InputError
from kits_tf.base.files import sha256
from kits_tf.base.paths import AnyPath
from kits_tf.base.results import stamp
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
    """A case as the manifest describes it, and of what it was made.

    Attributes:
        name: file name of the shard.
        shard: size, digest and cases of the shard.
        entry: the case's part of the manifest.
        grid: settings of the training grid and labels.
        stamps: size and time of the last change of each file that it was made from; if both are the same, so is the
            content, and no digest is computed.
    """

    name: str
    shard: Shard
    entry: CaseEntry
    grid: GridSettings
    stamps: tuple[tuple[int, int], ...]

    def is_of(self, files: CaseFiles, grid: GridSettings, records_dir: AnyPath) -> bool:
        """Returns whether its shard is there in full length, made with these settings from files of the same bytes.

        Raises:
            OSError: a file cannot be read.
        """
        path = records_dir / self.name
        if self.grid != grid or not path.is_file() or path.stat().st_size != self.shard.num_bytes:
            return False
        stamps = stamps_of(files)
        is_unchanged = stamps == self.stamps and all(changed_ns for _, changed_ns in stamps)
        return is_unchanged or digests_of(files) == self.entry.inputs_sha256


def convert_case(
    files: CaseFiles, grid: GridSettings, records_dir: AnyPath, earlier: ConvertedCase | None
) -> ConvertedCase:
    """Writes the shard of one case: paths in, shard out, nothing else read or changed.

    Args:
        files: files of the case.
        grid: settings of the training grid and labels.
        records_dir: folder of the shard.
        earlier: result of an earlier run; it is returned as it is if it still holds.

    Raises:
        InputError: the case cannot be read; nothing is written, and a shard of before is removed.
        OSError: the shard cannot be written; nothing is left of it.
    """
    try:
        files.check()
        try:
            if earlier and earlier.is_of(files, grid, records_dir):
                return earlier
            stamps, digests = stamps_of(files), digests_of(files)
        except OSError as error:
            raise InputError(f"{files.image.parent}: expected files that can be read: {error}") from None
        shard, entry = _written(files, grid, digests, records_dir)
    except InputError:
        (records_dir / shard_name(files.case_id)).unlink(missing_ok=True)
        raise
    return ConvertedCase(name=shard_name(files.case_id), shard=shard, entry=entry, grid=grid, stamps=stamps)


def _written(
    files: CaseFiles, grid: GridSettings, digests: tuple[str, ...], records_dir: AnyPath
) -> tuple[Shard, CaseEntry]:
    # Here, since it imports TensorFlow, which takes seconds: a process that only hands out cases never does.
    from kits_tf.pipeline.case import to_training_grid

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
        inputs_sha256=digests,
        source=source,
    )
    written = write_records(records_dir / shard_name(files.case_id), [case.serialize()])
    return Shard(written.num_bytes, written.sha256, (files.case_id,)), entry


def stamps_of(files: CaseFiles) -> tuple[tuple[int, int], ...]:
    """Returns size and time of the last change of a case's files, see `stamp`."""
    return tuple(stamp(path) for path in (files.image, files.labels) if path)


def digests_of(files: CaseFiles) -> tuple[str, ...]:
    """Returns the SHA-256 of a case's files."""
    return tuple(sha256(path) for path in (files.image, files.labels) if path)


def shard_name(case_id: str) -> str:
    """Returns the file name of a case's shard."""
    return f"{case_id}.tfrecord"
