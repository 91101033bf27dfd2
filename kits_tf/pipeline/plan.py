"""What a conversion has to do: the manifest to fill, and what an earlier run already made. Without TensorFlow."""

import dataclasses
from dataclasses import dataclass

from kits_tf.base.errors import InputError
from kits_tf.base.paths import AnyPath, as_path
from kits_tf.base.provenance import package_versions
from kits_tf.config import ConversionSettings
from kits_tf.ct.layouts import CaseFiles
from kits_tf.pipeline.manifest import CaseEntry, Manifest
from kits_tf.pipeline.splits import assign_splits, make_folds
from tfrecords_tools.index import MANIFEST_NAME, Shard


@dataclass(frozen=True)
class Converted:
    """A case and its shard."""

    name: str
    shard: Shard
    entry: CaseEntry


def start_manifest(settings: ConversionSettings, cases: list[CaseFiles]) -> Manifest:
    """Returns the manifest to fill: a new one, or that of an earlier run with the same settings.

    Raises:
        InputError: the folder has a manifest of other settings or cases, or one that cannot be read.
    """
    records_dir = as_path(settings.records_dir)
    splits = assign_splits(cases, settings.splits, settings.seed)
    wanted = Manifest(
        data_dir=str(as_path(settings.data_dir).resolve()),
        seed=settings.seed,
        grid=settings.grid,
        splitting=settings.splits,
        splits=splits,
        folds=make_folds(splits, settings.splits.num_folds, settings.seed),
        versions=package_versions(),
    )
    if not (records_dir / MANIFEST_NAME).exists():
        return wanted
    found = Manifest.read(records_dir)
    if differences := found.differences(wanted):
        raise InputError(f"{records_dir}: holds records of other settings: {'; '.join(differences)}; use a new folder")
    return dataclasses.replace(wanted, shards=found.shards, cases=found.cases)


def converted_before(manifest: Manifest, case_id: str, records_dir: AnyPath) -> Converted | None:
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
