"""Measurements of kidneys and lesions, in the units of a clinic; docs/measurements.md defines each number."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from kits_tf.base.files import write_table, write_text

SIDES = ("right", "left")
# Flags of a kidney or a lesion.
ABSENT = "absent"
CUT_OFF = "cut off by the scan"
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


@dataclass(frozen=True)
class Measurements:
    """Measurements of one mask.

    Attributes:
        kidneys: right and left kidney.
        lesions: tumors, then cysts, the largest first.
        asymmetry: (right - left) / mean of the kidneys' volumes; None where one of them is None.
        labels: names of the labels 0, 1, ... that the file of the mask was read with; () if they are not known.
    """

    kidneys: tuple[Kidney, Kidney]
    lesions: tuple[LesionMeasures, ...]
    asymmetry: float | None
    labels: tuple[str, ...] = ()


def write_measurements(measurements: Mapping[str, Measurements], output_dir: Path) -> None:
    """Writes kidneys.csv, lesions.csv, pairs.csv and measurements.json of masks by name, each whole or not at all."""
    output_dir.mkdir(parents=True, exist_ok=True)
    content = {name: asdict(of_mask) for name, of_mask in measurements.items()}
    for table, kind in (("kidneys", Kidney), ("lesions", LesionMeasures)):
        columns = ["name", *(column.name for column in fields(kind))]
        rows = [
            {"name": name, **row, "flags": "; ".join(row["flags"])}
            for name, of_mask in content.items()
            for row in of_mask[table]
        ]
        write_table(output_dir / f"{table}.csv", columns, rows)
    pairs = [{"name": name, "asymmetry": of_mask.asymmetry} for name, of_mask in measurements.items()]
    write_table(output_dir / "pairs.csv", ["name", "asymmetry"], pairs)
    write_text(output_dir / "measurements.json", json.dumps(content, indent=1) + "\n")
