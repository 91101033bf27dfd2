"""A body of boxes, and label maps of it as `simulate` takes them."""

import json
from pathlib import Path

import numpy as np

from kits_tf.ct.volume import write_stored
from kits_tf.synthesis.bodies import Body
from kits_tf.synthesis.phantoms import kits19_affine

NUMBERS = {"vertebrae_L1": 1, "kidney_right": 2, "kidney_left": 3, "liver": 4, "femur_left": 5, "kidney_cyst_left": 6}


def box(array: np.ndarray, value: int, *spans: tuple[int, int]) -> None:
    """Sets a box of an array to a value."""
    array[tuple(slice(*span) for span in spans)] = value


def body_of_boxes() -> Body:
    """Liver above, kidneys in planes 40 to 60 beside the spine, a femur below; x runs to the left."""
    structures = np.zeros((120, 50, 70), np.uint8)
    box(structures, 1, (0, 100), (30, 40), (30, 40))
    box(structures, 4, (10, 50), (10, 30), (8, 30))
    box(structures, 2, (40, 60), (28, 40), (12, 24))
    box(structures, 3, (40, 60), (28, 40), (46, 58))
    box(structures, 6, (55, 60), (28, 40), (54, 58))
    box(structures, 5, (100, 120), (20, 30), (45, 55))
    return Body("box", structures, (4.0, 4.0, 4.0), NUMBERS)


def write_label_maps(folder: Path) -> Path:
    """Writes the body's label map and the names of its numbers; returns the folder."""
    body = body_of_boxes()
    write_stored(folder / "box.nii.gz", body.structures, kits19_affine(body.spacing_mm))
    (folder / "classes.json").write_text(json.dumps(NUMBERS))
    return folder
