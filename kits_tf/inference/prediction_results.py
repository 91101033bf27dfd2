"""What predict keeps of each scan beside its mask, so that what is done is not read again, and one table has all."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from kits_tf.base.errors import InputError
from kits_tf.base.files import name_in_errors, require_own, write_table, written_whole
from kits_tf.base.packages import is_installed
from kits_tf.base.paths import AnyPath
from kits_tf.base.results import RESULTS_NAME, Results, stamp
from kits_tf.ct.labels import volumes_ml
from kits_tf.ct.mask_doubts import doubts
from kits_tf.ct.scans import Scan
from kits_tf.ct.volume import read_labels
from kits_tf.inference.identity import same_model
from kits_tf.inference.mask_output import MaskOutput

# Table of all results, beside the masks.
TABLE_NAME = "predictions.csv"
_FIRST_COLUMNS = ("name", "source", "mask")


@dataclass(frozen=True, kw_only=True)
class PredictedScan:
    """A scan that was segmented.

    Attributes:
        source: absolute path of the scan.
        source_stamp: size in bytes, and time of the last change in ns, of its file; see `source_stamp` for a folder.
        scan: digest of the scan, as the mask has it.
        model: identity of the model, as the mask has it.
        mask: name of the mask's file.
        mask_stamp: size and time of the last change of the mask's file.
        volumes_ml: volume of each class of the mask but background, by its name.
        doubts: reasons to look at it before it is used, as phrases.
        warnings: sentences that whoever uses it must know.
        seconds: time that the network took for it.
    """

    source: str
    source_stamp: tuple[int, int]
    scan: str
    model: str
    mask: str
    mask_stamp: tuple[int, int]
    volumes_ml: dict[str, float]
    doubts: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What has become of some scans.

    Attributes:
        done: number of scans that have a mask by the model.
        failed: reasons of the scans that failed, by the scans' names.
        missing: names of the scans that nobody has done.
    """

    done: int
    failed: dict[str, str]
    missing: tuple[str, ...]


def prediction_results(output: MaskOutput) -> Results[PredictedScan]:
    """Returns the results in a folder of masks."""
    return Results(output.folder / RESULTS_NAME, PredictedScan)


def source_stamp(source: str) -> tuple[int, int]:
    """Returns size and time of the last change of a scan's file; of a folder, the size and a digest of all its stamps.

    Raises:
        OSError: it cannot be read.
    """
    path = Path(source)
    if not path.is_dir():
        return stamp(path)
    stamps = {str(file.relative_to(path)): stamp(file) for file in path.rglob("*") if file.is_file()}
    digest = hashlib.sha256(repr(sorted(stamps.items())).encode()).digest()
    return sum(size for size, _ in stamps.values()), int.from_bytes(digest[:6])


def size_of(scan: Scan) -> int:
    """Returns the size of a scan's files in bytes; 0 if they cannot be read, which reading them says."""
    try:
        return source_stamp(scan.source)[0]
    except OSError:
        return 0


def is_known(scan: Scan, output: MaskOutput, results: Results[PredictedScan]) -> bool:
    """Returns whether a scan is done, by what was kept of it: neither scan nor mask is read.

    It must be the same file or folder, neither it nor the mask may have changed since, the mask must be by this model,
    and its maps beside it. Another scan may have the same size and time, as many files of an archive have.
    """
    known = results.read(scan.name)
    if scan.problem or not isinstance(known, PredictedScan) or not has_mask(known, output.folder):
        return False
    try:
        is_same = (known.source, known.source_stamp) == (os.path.abspath(scan.source), source_stamp(scan.source))
    except OSError:
        return False
    has_maps = all(os.path.exists(output.map_path(scan, name)) for name in output.maps)
    return is_same and has_maps and same_model(known.model, output.identity)


def has_mask(known: PredictedScan, folder: AnyPath) -> bool:
    """Returns whether the mask of a result is there and has not changed since."""
    try:
        return stamp(folder / known.mask) == known.mask_stamp
    except OSError:
        return False


def keep_mask_that_is_there(scan: Scan, output: MaskOutput, results: Results[PredictedScan], digest: str) -> None:
    """Keeps the result of a mask that an earlier version wrote, or whose file was copied here.

    Raises:
        InputError: the mask cannot be read.
        OSError: the result cannot be written.
    """
    path = output.mask_path(scan)
    mask = read_labels(path)
    classes = mask.metadata.classes
    results.write(
        scan.name,
        PredictedScan(
            source=os.path.abspath(scan.source),
            source_stamp=source_stamp(scan.source),
            scan=digest,
            model=mask.metadata.model,
            mask=path.name,
            mask_stamp=stamp(path),
            volumes_ml=volumes_ml(mask.array, classes, mask.grid.spacing_mm),
            doubts=doubts(mask.array, classes),
            warnings=mask.metadata.warnings,
        ),
    )


def require_own_table(output: MaskOutput) -> None:
    """Raises InputError if a file that predict has not written is in the place of the table, as CSV or as Parquet."""
    table = output.folder / TABLE_NAME
    require_own([table], ",".join(_FIRST_COLUMNS).encode())
    if not table.exists():  # without which no Parquet is predict's
        require_own([table.with_suffix(".parquet")])


def write_predictions(scans: Sequence[Scan], output: MaskOutput) -> Summary:
    """Writes the table of all masks in the folder, as CSV, and as Parquet too if pyarrow is there.

    Args:
        scans: scans whose state is returned; the table has those of earlier calls too.
        output: folder of the masks.

    Raises:
        OSError: it cannot be written.
    """
    results, failed, missing, done = prediction_results(output), dict[str, str](), list[str](), 0
    for scan in scans:
        if scan.problem:
            failed[scan.source] = str(scan.problem)
        elif is_known(scan, output, results):
            done += 1
        elif isinstance(error := results.read(scan.name), InputError):
            failed[scan.name] = str(error)
        else:
            missing.append(scan.name)
    if rows := list(_rows(results, output.folder)):
        _write(rows, output.folder)
    return Summary(done=done, failed=failed, missing=tuple(missing))


def _rows(results: Results[PredictedScan], folder: Path) -> Iterator[dict[str, object]]:
    for name in results.names():
        result = results.read(name)
        if isinstance(result, PredictedScan) and has_mask(result, folder):
            yield {
                "name": name,
                "source": result.source,
                "mask": result.mask,
                **{f"{structure}_ml": round(ml, 2) for structure, ml in result.volumes_ml.items()},
                "doubts": "; ".join(result.doubts),
                "warnings": "; ".join(result.warnings),
                "seconds": round(result.seconds, 2),
                "scan": result.scan,
                "model": result.model,
            }


def _write(rows: list[dict[str, object]], folder: Path) -> None:
    columns = list(dict.fromkeys(column for row in rows for column in row))
    write_table(folder / TABLE_NAME, columns, rows)
    if is_installed("pyarrow"):
        _write_parquet(rows, columns, (folder / TABLE_NAME).with_suffix(".parquet"))


def _write_parquet(rows: list[dict[str, object]], columns: Sequence[str], path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.table({column: [row.get(column) for row in rows] for column in columns})
    with name_in_errors(path), written_whole(path) as partial:
        pyarrow.parquet.write_table(table, partial)
