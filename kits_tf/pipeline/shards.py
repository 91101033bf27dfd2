"""Converting one case after another into shards, so that an interrupted conversion can go on."""

from pathlib import Path

from kits_tf import runtime
from kits_tf.config import Convert, GridSettings
from kits_tf.ct.geometry import axis_codes
from kits_tf.ct.labels import find_scheme
from kits_tf.ct.layouts import CaseFiles
from kits_tf.errors import InputError
from kits_tf.pipeline.example import read_labeled, to_training_grid
from kits_tf.pipeline.manifest import FILE_NAME, CaseEntry, Manifest, assign_splits
from tfrecords_tools.write import write_records


def start_manifest(settings: Convert, cases: list[CaseFiles]) -> Manifest:
    """Returns the manifest to fill: a new one, or that of an earlier run with the same settings and whole shards.

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
        versions=runtime.package_versions(),
    )
    records_dir.mkdir(parents=True, exist_ok=True)
    if not (records_dir / FILE_NAME).exists():
        return wanted
    found = Manifest.read(records_dir)
    if differences := found.differences(wanted):
        raise InputError(f"{records_dir}: holds records of other settings: {'; '.join(differences)}; use a new folder")
    for case_id, entry in found.cases.items():
        shard = records_dir / entry.shard
        if shard.is_file() and shard.stat().st_size == entry.num_bytes:
            wanted.cases[case_id] = entry
    return wanted


def convert_case(files: CaseFiles, grid: GridSettings, records_dir: Path) -> CaseEntry:
    """Writes the shard of one case and returns its entry.

    Raises:
        InputError: the case cannot be read; nothing is written.
    """
    scheme = find_scheme(grid.label_scheme, grid.cyst_as)
    scan = read_labeled(files, scheme)
    axes, sides = axis_codes(scan.image.stored.affine), scan.sides
    case = to_training_grid(files.case_id, scan, grid)
    del scan  # up to a gigabyte, while a record is as large again
    shard = f"{files.case_id}.tfrecord"
    written = write_records(records_dir / shard, [case.serialize()])
    return CaseEntry(
        shard,
        written.num_bytes,
        written.sha256,
        case.grid.shape,
        case.class_voxel_counts(len(scheme.classes)),
        axes,
        sides,
    )
