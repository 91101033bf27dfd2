"""A table of measurements for the terminal."""

from collections.abc import Mapping

from kits_tf.analysis.measurements import Kidney, LesionMeasures, Measurements
from kits_tf.views.numbers import number_text, percent_text
from kits_tf.views.terminal.table import aligned

_KIDNEY_HEADS = ["kidney", "mL", "mm", "cm2", "sphericity", "tumor mL", "burden", "HU", ""]
_PAIR_HEADS = ["both kidneys", "mL", "right - left"]
_LESION_HEADS = ["lesion", "mL", "mm", "axial mm", "depth mm", "exophytic", "HU", ""]


def measurements_table(measurements: Mapping[str, Measurements]) -> str:
    """Returns a line for each kidney, pair and lesion of masks by name; a dash stands for what is not known."""
    kidneys = [_KIDNEY_HEADS]
    pairs = [_PAIR_HEADS]
    lesions = [_LESION_HEADS]
    for name, of_mask in measurements.items():
        kidneys += [_kidney_row(name, kidney) for kidney in of_mask.kidneys]
        if of_mask.asymmetry is not None:
            total_ml = sum(kidney.volume_ml or 0.0 for kidney in of_mask.kidneys)
            pairs.append([name, f"{total_ml:.1f}", f"{100 * of_mask.asymmetry:+.0f} %"])
        lesions += [_lesion_row(f"{name} {i}", lesion) for i, lesion in enumerate(of_mask.lesions, start=1)]
    tables = [aligned(kidneys), aligned(pairs), aligned(lesions) if len(lesions) > 1 else ["no lesions"]]
    return "\n\n".join("\n".join(table) for table in tables)


def _kidney_row(name: str, kidney: Kidney) -> list[str]:
    sizes = [number_text(size, 0) for size in (kidney.length_mm, kidney.width_mm, kidney.thickness_mm)]
    return [
        f"{name} {kidney.side}",
        number_text(kidney.volume_ml, 1),
        " x ".join(sizes) if kidney.length_mm is not None else "-",
        number_text(kidney.surface_cm2, 0),
        number_text(kidney.sphericity, 2),
        number_text(kidney.tumor_ml, 1),
        percent_text(kidney.tumor_burden),
        number_text(kidney.mean_hu, 0),
        ", ".join(kidney.flags),
    ]


def _lesion_row(name: str, lesion: LesionMeasures) -> list[str]:
    return [
        f"{name} {lesion.kind} {lesion.side}".rstrip(),
        number_text(lesion.volume_ml, 1),
        number_text(lesion.diameter_mm, 1),
        number_text(lesion.axial_diameter_mm, 1),
        number_text(lesion.depth_mm, 1),
        percent_text(lesion.exophytic_share),
        "-" if lesion.mean_hu is None else f"{lesion.mean_hu:.0f} +- {lesion.std_hu:.0f}",
        ", ".join(lesion.flags),
    ]
