"""Measurements of kidneys and lesions, in the units of a clinic; docs/measurements.md defines each number."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from kits_tf.base.files import require_own, write_table, write_text
from kits_tf.base.words import listed, warnings_text

SIDES = ("right", "left")
# Digits after the point that a table has, by the unit at the end of a column's name; others have 3.
_DIGITS = {"_ml": 2, "_mm": 1, "_cm2": 1, "_hu": 1}
# Flags of a kidney or a lesion.
ABSENT = "absent"
FUSED = "fused with the other kidney"


@dataclass(frozen=True, kw_only=True)
class Kidney:
    """A kidney. Fields are None where `flags` say why they cannot be measured; mean_hu is None without a scan.

    Attributes:
        side: right or left.
        flags: ABSENT, CUT_OFF, FUSED.
        volume_ml: volume of the kidney without its lesions.
        length_mm: extent along the longest principal axis.
        width_mm: extent along the second principal axis.
        thickness_mm: extent along the third principal axis.
        surface_cm2: area of the surface.
        sphericity: area of the ball of the same volume over the kidney's own; 1 for a ball.
        tumor_ml: volume of the tumors on this side.
        tumor_burden: share of the tumors in kidney and tumors together.
        mean_hu: mean HU of the kidney without its lesions.
    """

    side: str
    flags: tuple[str, ...] = ()
    volume_ml: float | None = None
    length_mm: float | None = None
    width_mm: float | None = None
    thickness_mm: float | None = None
    surface_cm2: float | None = None
    sphericity: float | None = None
    tumor_ml: float | None = None
    tumor_burden: float | None = None
    mean_hu: float | None = None


@dataclass(frozen=True, kw_only=True)
class LesionMeasures:
    """A lesion of SMALLEST_ML or more. Fields are None where it is cut off, or HU without a scan.

    Attributes:
        kind: tumor or cyst.
        side: right or left; "" without a kidney.
        flags: CUT_OFF.
        deepest_zyx: voxel of the scan in (I, P, L), from 0, that lies deepest within the lesion.
        volume_ml: volume of the lesion.
        diameter_mm: largest diameter in space.
        axial_diameter_mm: largest diameter in an axial plane.
        depth_mm: least distance between the lesion and the outside of kidney and lesions.
        exophytic_share: share of its volume outside the convex hull of the kidney it belongs to.
        mean_hu: mean HU of the lesion.
        std_hu: standard deviation of its HU.
    """

    kind: str
    side: str
    deepest_zyx: tuple[int, int, int]
    flags: tuple[str, ...] = ()
    volume_ml: float | None = None
    diameter_mm: float | None = None
    axial_diameter_mm: float | None = None
    depth_mm: float | None = None
    exophytic_share: float | None = None
    mean_hu: float | None = None
    std_hu: float | None = None


# Columns of `Measurements.rows`: what is measured, then the fields of both kinds.
_FIELDS = [column.name for kind in (Kidney, LesionMeasures) for column in fields(kind)]
# Columns of every table, of the mask as a whole.
_OF_MASK = ("is_corrected", "warnings")
_COLUMNS = tuple(dict.fromkeys(["structure", *(name for name in _FIELDS if name != "kind")]))


@dataclass(frozen=True, repr=False)
class Measurements:
    """Measurements of one mask.

    Attributes:
        kidneys: right and left kidney.
        lesions: tumors, then cysts, the largest first.
        asymmetry: (right - left) / mean of the kidneys' volumes; None where one of them is None.
        labels: names of the labels 0, 1, ... that the file of the mask was read with; () if they are not known.
        warnings: sentences that everyone who reads the numbers must know, from the mask.
        is_corrected: whether a person has corrected the mask on the page.
    """

    kidneys: tuple[Kidney, Kidney]
    lesions: tuple[LesionMeasures, ...]
    asymmetry: float | None
    labels: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    is_corrected: bool = False

    def rows(self) -> list[dict[str, Any]]:
        """Returns a row for each kidney and each lesion, as for pandas.DataFrame; all have the same keys.

        Keys are `structure` (kidney, tumor or cyst) and the fields of `Kidney` and `LesionMeasures` but `kind`; `flags`
        is one text. What a structure does not have, or what cannot be known, is None.
        """
        measured: list[tuple[str, Kidney | LesionMeasures]] = [("kidney", kidney) for kidney in self.kidneys]
        measured += [(lesion.kind, lesion) for lesion in self.lesions]
        rows = [{**vars(each), "structure": name, "flags": _flags_text(each.flags)} for name, each in measured]
        return [{column: row.get(column) for column in _COLUMNS} for row in rows]

    def __repr__(self) -> str:
        kidneys = [f"{kidney.side} kidney {_volume_text(kidney)}" for kidney in self.kidneys]
        lesions = [f"{lesion.side} {lesion.kind} {_volume_text(lesion)}".lstrip() for lesion in self.lesions]
        return f"Measurements({listed([*kidneys, *lesions], 4)}{warnings_text(self.warnings)})"


def _volume_text(measured: Kidney | LesionMeasures) -> str:
    return _flags_text(measured.flags) if measured.volume_ml is None else f"{measured.volume_ml:.1f} mL"


def _flags_text(flags: Sequence[str]) -> str:
    return "; ".join(flags)


def require_own_tables(output_dir: Path) -> None:
    """Checks before long work that `write_measurements` can write, and replaces nothing but earlier measurements.

    Raises:
        InputError: another file has the name of a table, or nothing can be written.
    """
    require_own([output_dir / f"{table}.csv" for table in ("kidneys", "lesions", "pairs")], b"name,")
    require_own([output_dir / "measurements.json"], b'"kidneys"')


def write_measurements(measurements: Mapping[str, Measurements], output_dir: Path) -> None:
    """Writes kidneys.csv, lesions.csv, pairs.csv and measurements.json of masks by name, each whole or not at all.

    The tables are rounded, as people read them; measurements.json has all digits.
    """
    output_dir.mkdir(parents=True, exist_ok=True)
    content = {name: asdict(of_mask) for name, of_mask in measurements.items()}
    for table, kind in (("kidneys", Kidney), ("lesions", LesionMeasures)):
        columns = ["name", *(column.name for column in fields(kind)), *_OF_MASK]
        rows = [
            {"name": name, **row, **{column: of_mask[column] for column in _OF_MASK}}
            for name, of_mask in content.items()
            for row in of_mask[table]
        ]
        _write_rounded(output_dir / f"{table}.csv", columns, rows)
    columns = ["name", "asymmetry", *_OF_MASK]
    pairs = [{"name": name, **{key: of_mask[key] for key in columns[1:]}} for name, of_mask in content.items()]
    _write_rounded(output_dir / "pairs.csv", columns, pairs)
    write_text(output_dir / "measurements.json", json.dumps(content, indent=1) + "\n")


def _write_rounded(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    write_table(path, columns, [{name: _cell(name, value) for name, value in row.items()} for row in rows])


def _cell(column: str, value: Any) -> Any:
    """Returns a value as a table has it: rounded to the digits of its unit, or several texts in one."""
    if isinstance(value, float):
        return round(value, next((digits for end, digits in _DIGITS.items() if column.endswith(end)), 3))
    if isinstance(value, tuple):
        return "; ".join(value) if all(isinstance(part, str) for part in value) else value
    return value
