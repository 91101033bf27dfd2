"""What a mask says about kidneys and lesions, in the units of a clinic; docs/measurements.md defines each number."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from kits_tf.base.files import write_table, write_text

SIDES = ("right", "left")
ABSENT, CUT_OFF, FUSED = "absent", "cut off by the scan", "fused with the other kidney"


@dataclass(frozen=True, kw_only=True)
class Kidney:
    """A kidney; what cannot be known for what `flags` say is None, as are HU without a scan.

    Attributes:
        side: right or left.
        flags: ABSENT, CUT_OFF, FUSED.
        volume_ml: of kidney without its lesions.
        length_mm: along the longest principal axis, and so on.
        width_mm: along the second.
        thickness_mm: along the third.
        surface_cm2: area.
        sphericity: 1 for a ball.
        tumor_ml: of tumors on this side.
        tumor_burden: their share of kidney and tumors together.
        mean_hu: of the kidney.
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
    """A lesion of SMALLEST_ML or more.

    Attributes:
        kind: tumor or cyst.
        side: right or left; none without a kidney.
        flags: CUT_OFF.
        deepest_zyx: voxel of the scan in (I, P, L), from 0, that lies deepest within it.
        volume_ml: its volume.
        diameter_mm: largest in space.
        axial_diameter_mm: largest in an axial plane.
        depth_mm: of what lies between it and the outside of kidney and lesions, at the thinnest.
        exophytic_share: of its volume, outside the convex hull of the kidney it belongs to.
        mean_hu: in it.
        std_hu: in it.
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


@dataclass(frozen=True)
class Measurements:
    """Of one mask.

    Attributes:
        kidneys: right and left.
        lesions: tumors, then cysts, the largest first.
        asymmetry: (right - left) / their mean, of the kidneys' volumes; None where one is not known.
    """

    kidneys: tuple[Kidney, Kidney]
    lesions: tuple[LesionMeasures, ...]
    asymmetry: float | None


def write(found: Mapping[str, Measurements], output_dir: Path) -> None:
    """Writes kidneys.csv, lesions.csv, pairs.csv and measurements.json of masks by name, each whole or not at all."""
    output_dir.mkdir(parents=True, exist_ok=True)
    rows = {name: asdict(of_mask) for name, of_mask in found.items()}
    for table, kind in (("kidneys", Kidney), ("lesions", LesionMeasures)):
        columns = ["name", *(column.name for column in fields(kind))]
        of_table = [
            {"name": name, **row, "flags": "; ".join(row["flags"])}
            for name, of_mask in rows.items()
            for row in of_mask[table]
        ]
        write_table(output_dir / f"{table}.csv", columns, of_table)
    pairs = [{"name": name, "asymmetry": of_mask.asymmetry} for name, of_mask in found.items()]
    write_table(output_dir / "pairs.csv", ["name", "asymmetry"], pairs)
    write_text(output_dir / "measurements.json", json.dumps(rows, indent=1) + "\n")
