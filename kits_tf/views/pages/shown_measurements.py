"""The measurements that the web page and the document show, and their words; the command measure writes all."""

# Field, words, and digits after the point.
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
