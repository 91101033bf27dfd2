"""Label maps of whole bodies: which voxel belongs to which structure."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kits_tf.base.errors import InputError
from kits_tf.base.files import read_text
from kits_tf.ct.geometry import Spacing
from kits_tf.ct.volume import SUFFIXES, read_labels, strip_suffix

CLASSES_JSON = "classes.json"
SIDES = ("right", "left")
# The sinus of a kidney is what a ball of this radius cannot enter; KiTS19's masks hold it, TotalSegmentator's do not.
SINUS_MM = 10.0
# Structures by the beginnings of their names, which are TotalSegmentator's. What is in no group is not painted apart.
GROUPS = {
    "spleen": ("spleen",),
    "liver": ("liver",),
    "gallbladder": ("gallbladder",),
    "pancreas": ("pancreas",),
    "adrenal": ("adrenal",),
    "bowel": ("stomach", "duodenum", "small_bowel", "colon", "esophagus"),
    "bladder": ("urinary_bladder",),
    "prostate": ("prostate",),
    "artery": ("aorta", "common_carotid", "iliac_artery", "subclavian", "brachiocephalic_trunk"),
    "vein": ("inferior_vena", "portal_vein", "iliac_vena", "superior_vena", "brachiocephalic_vein", "pulmonary_vein"),
    "heart": ("heart", "atrial"),
    "lung": ("lung",),
    "muscle": ("gluteus", "autochthon", "iliopsoas"),
    "long_bone": ("femur", "humerus"),
    "bone": ("vertebrae", "rib_", "hip", "sacrum", "sternum", "scapula", "clavicula", "skull"),
    "cartilage": ("costal_cart",),
    "nerves": ("spinal_cord", "brain", "thyroid", "trachea"),
}
_KIDNEYS = {side: (f"kidney_{side}", f"kidney_cyst_{side}") for side in SIDES}


@dataclass(frozen=True, eq=False)
class Body:
    """A label map of a body.

    Attributes:
        name: name of its file, without suffix.
        structures: (z, y, x) uint8 in (I, P, L), numbers of structures; 0 is none.
        spacing_mm: voxel sizes (z, y, x).
        numbers: number of each structure by its name.
    """

    name: str
    structures: NDArray[np.uint8]
    spacing_mm: Spacing
    numbers: dict[str, int]

    def group(self, name: str) -> list[int]:
        """Returns the numbers of the structures of a group of GROUPS."""
        return self._starting_with(GROUPS[name])

    def kidney(self, side: str) -> list[int]:
        """Returns the numbers of a kidney and its cysts; side is one of SIDES."""
        return self._starting_with(_KIDNEYS[side])

    @property
    def kidneys(self) -> list[int]:
        """The numbers of both kidneys and their cysts."""
        return [number for side in SIDES for number in self.kidney(side)]

    def _starting_with(self, beginnings: Sequence[str]) -> list[int]:
        return [number for name, number in self.numbers.items() if name.startswith(tuple(beginnings))]


def body_paths(folder: str) -> list[Path]:
    """Returns the label maps of a folder, by name.

    Raises:
        InputError: there is no such folder, or no label map in it.
    """
    paths = sorted(path for path in Path(folder).glob("*") if path.name.endswith(SUFFIXES))
    if not paths:
        raise InputError(f"{folder}: expected label maps ({', '.join(SUFFIXES)}) and their {CLASSES_JSON}, found none")
    return paths


def read_body(path: Path) -> Body:
    """Returns the body of a label map, whose numbers classes.json beside it names.

    Raises:
        InputError: a file is missing or not what it should be, or a kidney is not among the structures.
    """
    names = path.parent / CLASSES_JSON
    try:
        numbers = {str(name): int(number) for name, number in json.loads(read_text(names)).items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(f'{names}: expected numbers by name, as in {{"kidney_left": 42}}, got {error}') from error
    volume = read_labels(path)
    body = Body(strip_suffix(path.name), volume.array, volume.grid.spacing_mm, numbers)
    for side in SIDES:
        if not np.isin(body.structures, body.kidney(side)).any():
            raise InputError(f"{path}: expected a body with a {side} kidney, found no voxel of kidney_{side}")
    return body
