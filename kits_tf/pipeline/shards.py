"""One case's files -> its shard, and the manifest that a conversion fills."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from kits_tf import runtime
from kits_tf.config import Convert, GridSettings
from kits_tf.ct.geometry import axis_codes
from kits_tf.ct.labels import find_scheme
from kits_tf.ct.layouts import CaseFiles
from kits_tf.ct.sides import BODY_HU
from kits_tf.ct.statistics import hu_statistics
from kits_tf.errors import InputError
from kits_tf.pipeline.example import read_labeled, to_training_grid
from kits_tf.pipeline.manifest import CaseEntry, Manifest
from kits_tf.pipeline.splits import assign_splits, make_folds
from tfrecords_tools.index import MANIFEST_NAME, Shard
from tfrecords_tools.write import sha256, write_records


@dataclass(frozen=True)
class Converted:
    """A case and its shard."""

    name: str
    shard: Shard
    entry: CaseEntry


def start_manifest(settings: Convert, cases: list[CaseFiles]) -> Manifest:
    """Returns the manifest to fill: a new one, or that of an earlier run with the same settings.

    Raises:
        InputError: the folder has a manifest of other settings or cases, or one that cannot be read.
    """
    records_dir = Path(settings.records_dir)
    splits = assign_splits(cases, settings.splits, settings.seed)
    wanted = Manifest(
        data_dir=str(Path(settings.data_dir).resolve()),
        seed=settings.seed,
        grid=settings.grid,
        splitting=settings.splits,
        splits=splits,
        folds=make_folds(splits, settings.splits.num_folds, settings.seed),
        versions=runtime.package_versions(),
    )
    if not (records_dir / MANIFEST_NAME).exists():
        return wanted
    found = Manifest.read(records_dir)
    if differences := found.differences(wanted):
        raise InputError(f"{records_dir}: holds records of other settings: {'; '.join(differences)}; use a new folder")
    return dataclasses.replace(wanted, shards=found.shards, cases=found.cases)


def converted_before(manifest: Manifest, case_id: str, records_dir: Path) -> Converted | None:
    """Returns what an earlier run made of a case; None if its shard is not there in full length."""
    name = shard_name(case_id)
    shard, entry = manifest.shards.get(name), manifest.cases.get(case_id)
    path = records_dir / name
    if shard is None or entry is None or not path.is_file() or path.stat().st_size != shard.num_bytes:
        return None
    return Converted(name, shard, entry)


def shard_name(case_id: str) -> str:
    """Returns the file name of a case's shard."""
    return f"{case_id}.tfrecord"


def convert_case(files: CaseFiles, grid: GridSettings, records_dir: Path, before: Converted | None) -> Converted:
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
    scheme = find_scheme(grid.label_scheme, grid.cyst_as)
    scan = read_labeled(files, scheme)
    axes, sides = axis_codes(scan.image.stored.affine), scan.sides
    case = to_training_grid(files.case_id, scan, grid)
    del scan  # up to a gigabyte, while a record is as large again
    entry = CaseEntry(
        case.grid.shape,
        case.class_voxel_counts(len(scheme.classes)),
        axes,
        sides,
        None if case.labels is None else hu_statistics(case.hu[case.labels > 0]),
        hu_statistics(case.hu[case.hu > BODY_HU]),
        inputs,
    )
    name = shard_name(files.case_id)
    written = write_records(records_dir / name, [case.serialize()])
    return Converted(name, Shard(written.num_bytes, written.sha256, (files.case_id,)), entry)
