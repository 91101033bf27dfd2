"""A table of measurements for the terminal."""

from collections.abc import Mapping

from kits_tf.analysis.measurements import Measurements
from kits_tf.views.terminal.table import aligned


def measurements_table(found: Mapping[str, Measurements]) -> str:
    """Returns a line a kidney, a pair and a lesion of each mask; what is not known is a dash."""
    kidneys = [["kidney", "mL", "mm", "cm2", "sphericity", "tumor mL", "burden", "HU", ""]]
    pairs = [["both kidneys", "mL", "right - left"]]
    lesions = [["lesion", "mL", "mm", "axial mm", "depth mm", "exophytic", "HU", ""]]
    for name, of_mask in found.items():
        for kidney in of_mask.kidneys:
            sizes = [_number(size, 0) for size in (kidney.length_mm, kidney.width_mm, kidney.thickness_mm)]
            kidneys.append(
                [
                    f"{name} {kidney.side}",
                    _number(kidney.volume_ml, 1),
                    " x ".join(sizes) if kidney.length_mm is not None else "-",
                    _number(kidney.surface_cm2, 0),
                    _number(kidney.sphericity, 2),
                    _number(kidney.tumor_ml, 1),
                    _share(kidney.tumor_burden),
                    _number(kidney.mean_hu, 0),
                    ", ".join(kidney.flags),
                ]
            )
        volumes = [kidney.volume_ml or 0.0 for kidney in of_mask.kidneys]
        if of_mask.asymmetry is not None:
            pairs.append([name, f"{sum(volumes):.1f}", f"{100 * of_mask.asymmetry:+.0f} %"])
        for number, lesion in enumerate(of_mask.lesions, start=1):
            hu = "-" if lesion.mean_hu is None else f"{lesion.mean_hu:.0f} +- {lesion.std_hu:.0f}"
            lesions.append(
                [
                    f"{name} {number} {lesion.kind} {lesion.side}".rstrip(),
                    _number(lesion.volume_ml, 1),
                    _number(lesion.diameter_mm, 1),
                    _number(lesion.axial_diameter_mm, 1),
                    _number(lesion.depth_mm, 1),
                    _share(lesion.exophytic_share),
                    hu,
                    ", ".join(lesion.flags),
                ]
            )
    tables = [aligned(kidneys), aligned(pairs), aligned(lesions) if len(lesions) > 1 else ["no lesions"]]
    return "\n\n".join("\n".join(table) for table in tables)


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.0f} %"
