"""Masks and the scans that they belong to."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kits_tf.analysis.mask_files import MaskFile
from kits_tf.base.errors import GridMismatchError, InputError
from kits_tf.config import MaskSchemeSettings
from kits_tf.ct.geometry import grid_mismatch
from kits_tf.ct.labels import Scheme, with_sides
from kits_tf.ct.layouts import CaseFiles, find_cases
from kits_tf.ct.volume import AIR_HU, Volume


@dataclass(frozen=True)
class PredictedCases:
    """The cases of a data set, by whether a folder has a mask of them.

    Attributes:
        cases: files of the cases that have one, in the order of the masks.
        missing: ids of the cases that have a true mask and none in the folder.
        surplus: errors of the masks that have no case, by name.
    """

    cases: list[CaseFiles]
    missing: tuple[str, ...]
    surplus: Mapping[str, InputError]


def predicted_cases(names: Collection[str], folder: Path, data_dir: str) -> PredictedCases:
    """Returns which cases of the data have a mask.

    Args:
        names: names of the masks.
        folder: their folder, for errors.
        data_dir: path of the data set.

    Raises:
        InputError: the data set cannot be used, or no mask has a case.
    """
    cases = {files.case_id: files for files in find_cases(data_dir)}
    surplus = surplus_masks(names, cases, folder, f"a case of this name in {data_dir}")
    missing = tuple(case_id for case_id, files in cases.items() if files.labels is not None and case_id not in names)
    return PredictedCases([cases[name] for name in names if name in cases], missing, surplus)


def surplus_masks(names: Collection[str], due: Collection[str], folder: Path, expected: str) -> dict[str, InputError]:
    """Returns the masks of no case, by name, with the error of each.

    Args:
        names: names of the masks.
        due: names of the cases that they could belong to.
        folder: folder of the masks.
        expected: words for what each mask should have, as "a case of this name in DATA".

    Raises:
        InputError: no mask has a case; then a folder is the wrong one, or the names have another form.
    """
    surplus = {
        name: InputError(f"{folder / name}: expected {expected}, found none") for name in names if name not in due
    }
    if len(surplus) == len(names):
        rest = f", nor of the other {len(surplus) - 1}" if len(surplus) > 1 else ""
        raise InputError(f"{next(iter(surplus.values()))}{rest}")
    return surplus


def check_scheme(scheme: Scheme, masks: MaskSchemeSettings, run_dir: Path) -> None:
    """Raises InputError if flags name another scheme than a run has."""
    for flag, ours, given in (
        ("label_scheme", scheme.name, masks.label_scheme),
        ("cyst_as", scheme.cyst_as, masks.cyst_as),
    ):
        if given not in (None, ours):
            raise InputError(f"--{flag}: expected {ours} as in {run_dir}, got {given}")


def read_to_measure(mask: MaskFile, image: Volume | None) -> tuple[Volume, Scheme]:
    """Returns a mask with labels of a scheme with sides, and that scheme.

    Where the mask does not tell right from left, its geometry does; without a scan the middle of the picture stands for
    that of the body.

    Args:
        mask: file of the mask.
        image: the mask's scan, if there is one.

    Raises:
        InputError: it cannot be read, has a label that is not of the scheme, or lies on another grid than its scan.
    """
    volume = mask.read()
    if image is not None and (mismatch := grid_mismatch(image.grid, volume.grid, "scan")):
        raise GridMismatchError(f"{mask.path}: {mismatch}")
    hu = hu_or_air(image, volume.array.shape)
    labels, scheme = with_sides(volume.array, mask.scheme, hu, volume.grid.spacing_mm)
    return replace(volume, array=labels), scheme


def hu_or_air(image: Volume | None, shape: tuple[int, ...]) -> NDArray[np.int16]:
    """Returns the HU (z, y, x) of a scan, or air in a shape where there is none: the middle is then the picture's."""
    return np.broadcast_to(np.int16(AIR_HU), shape) if image is None else image.array
