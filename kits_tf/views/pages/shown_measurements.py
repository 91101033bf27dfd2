"""Which measurements people are shown on a page and on paper, in which words; `measure` writes all there are."""

# (field, words, digits after the point)
KIDNEY = (
    ("volume_ml", "volume, mL", 0),
    ("length_mm", "length, mm", 0),
    ("width_mm", "width, mm", 0),
    ("thickness_mm", "thickness, mm", 0),
    ("surface_cm2", "surface, cm\u00b2", 0),
    ("sphericity", "sphericity", 2),
    ("tumor_ml", "tumor, mL", 1),
    ("tumor_burden", "tumor, share", 2),
    ("mean_hu", "mean HU", 0),
)
LESION = (
    ("volume_ml", "mL", 1),
    ("diameter_mm", "diameter, mm", 1),
    ("axial_diameter_mm", "axial, mm", 1),
    ("depth_mm", "depth, mm", 1),
    ("exophytic_share", "outside, share", 2),
    ("mean_hu", "mean HU", 0),
)
