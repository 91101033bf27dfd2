"""The measurements that the web page and the document show, and their words; the command measure writes all."""

from typing import NamedTuple


class ShownMeasurement(NamedTuple):
    """A measurement that people are shown.

    Attributes:
        field: field of `Kidney` or `LesionMeasures`.
        words: name for people, with its unit.
        digits: digits after the point.
    """

    field: str
    words: str
    digits: int


KIDNEY = (
    ShownMeasurement("volume_ml", "volume, mL", 0),
    ShownMeasurement("length_mm", "length, mm", 0),
    ShownMeasurement("width_mm", "width, mm", 0),
    ShownMeasurement("thickness_mm", "thickness, mm", 0),
    ShownMeasurement("surface_cm2", "surface, cm\u00b2", 0),
    ShownMeasurement("sphericity", "sphericity", 2),
    ShownMeasurement("tumor_ml", "tumor, mL", 1),
    ShownMeasurement("tumor_burden", "tumor, share", 2),
    ShownMeasurement("mean_hu", "mean HU", 0),
)
LESION = (
    ShownMeasurement("volume_ml", "mL", 1),
    ShownMeasurement("diameter_mm", "diameter, mm", 1),
    ShownMeasurement("axial_diameter_mm", "axial, mm", 1),
    ShownMeasurement("depth_mm", "depth, mm", 1),
    ShownMeasurement("exophytic_share", "outside, share", 2),
    ShownMeasurement("mean_hu", "mean HU", 0),
)
