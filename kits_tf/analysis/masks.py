"""Masks from any program: which there are, what their labels mean, and that each lies on the grid it belongs to."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kits_tf.base.errors import InputError
from kits_tf.config import MaskSchemeSettings
from kits_tf.ct.labels import (
    LATERALITY,
    Scheme,
    check_labels,
    find_scheme,
    scheme_with_classes,
    with_sides,
)
from kits_tf.ct.layouts import CaseFiles, find_cases
from kits_tf.ct.volume import AIR_HU, Volume, read_labels


def masks_in(folder: Path) -> list[Path]:
    """Returns the masks of a folder.

    Raises:
        InputError: there is no such folder, or none in it.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: expected a folder of masks, found no such folder")
    masks = sorted(folder.glob("*.nii.gz"))
    if not masks:
        raise InputError(f"{folder}: expected masks case_00000.nii.gz, ..., found none")
    return masks


def predicted_cases(masks_dir: Path, data_dir: str) -> list[CaseFiles]:
    """Returns the cases of the data that have a mask in a folder.

    Raises:
        InputError: a folder is missing, there is no mask, or a mask has no case.
    """
    names = [path.name.removesuffix(".nii.gz") for path in masks_in(masks_dir)]
    cases = {files.case_id: files for files in find_cases(data_dir)}
    for name in names:
        if name not in cases:
            raise InputError(f"{masks_dir / name}.nii.gz: expected a case of {data_dir}, found none of this name")
    return [cases[name] for name in names]


def mask_pairs(masks_dir: Path, truth_dir: Path) -> list[tuple[Path, Path]]:
    """Returns (true mask, predicted mask) for each predicted mask.

    Raises:
        InputError: a folder is missing, there is no mask in it, or a predicted mask has no true one of its name.
    """
    true = {path.name: path for path in masks_in(truth_dir)}
    predicted = masks_in(masks_dir)
    for path in predicted:
        if path.name not in true:
            raise InputError(f"{path}: expected a true mask of this name in {truth_dir}, found none")
    return [(true[path.name], path) for path in predicted]


def predicted_scheme(masks_dir: Path, masks: MaskSchemeSettings) -> Scheme:
    """Returns the scheme of a folder's masks: what flags say, else what the first one names, else sides without cysts.

    Raises:
        InputError: the first mask names labels that are of no scheme, or not of the one that is asked for.
    """
    first, named = masks_in(masks_dir)[0], named_scheme(masks_dir)
    expected = find_scheme(masks.label_scheme or LATERALITY.name, masks.cyst_as or LATERALITY.cyst_as)
    if named is None or (masks.label_scheme is None and masks.cyst_as is None):
        return named or expected
    if named.classes != expected.classes:
        raise InputError(f"{first}: expected labels {', '.join(expected.classes)}, found {', '.join(named.classes)}")
    return expected


def check_scheme(scheme: Scheme, masks: MaskSchemeSettings, run_dir: Path) -> None:
    """Raises InputError if flags name another scheme than a run has."""
    for flag, ours, given in (
        ("label_scheme", scheme.name, masks.label_scheme),
        ("cyst_as", scheme.cyst_as, masks.cyst_as),
    ):
        if given not in (None, ours):
            raise InputError(f"--{flag}: expected {ours} as in {run_dir}, got {given}")


def named_scheme(masks_dir: Path) -> Scheme | None:
    """Returns the scheme of the labels that the first mask of a folder names; None if it names none.

    Raises:
        InputError: there is no mask, or its labels are of no scheme.
    """
    first = masks_in(masks_dir)[0]
    return scheme_in(read_labels(first), first)


def scheme_in(mask: Volume, path: Path) -> Scheme | None:
    """Returns the scheme of the labels that a mask names in its header; None if it names none.

    Raises:
        InputError: they are of no scheme.
    """
    names = mask.metadata.classes
    try:
        return scheme_with_classes(names) if names else None
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def read_to_measure(path: Path, fallback: Scheme, image: Volume | None) -> tuple[Volume, Scheme]:
    """Returns a mask with labels of a scheme with sides, and that scheme.

    Where the mask does not tell right from left, its geometry does; without a scan the middle of the picture stands for
    that of the body.

    Args:
        path: file of the mask.
        fallback: scheme of a mask that does not name its labels.
        image: the mask's scan, if there is one.

    Raises:
        InputError: it cannot be read, has a label that is not of the scheme, or lies on another grid than its scan.
    """
    mask = read_labels(path)
    if image is not None and not mask.grid.same_as(image.grid):
        raise InputError(f"{path}: expected the scan's grid {image.grid.shape}, got {mask.grid.shape}, or elsewhere")
    scheme = scheme_in(mask, path) or fallback
    check_labels(mask.array, len(scheme.classes), str(path))
    hu = np.broadcast_to(np.int16(AIR_HU), mask.array.shape) if image is None else image.array
    labels, scheme = with_sides(mask.array, scheme, hu, mask.grid.spacing_mm)
    return replace(mask, array=labels), scheme


def read_prediction(masks_dir: Path, case_id: str, image: Volume, scheme: Scheme) -> NDArray[np.uint8]:
    """Returns a predicted mask (z, y, x) on the scan's grid.

    Raises:
        InputError: it cannot be read, lies on another grid, or has a label that is not of the scheme.
    """
    return read_on_grid_of(image, masks_dir / f"{case_id}.nii.gz", "scan", scheme)


def read_on_grid_of(other: Volume, path: Path, name: str, scheme: Scheme) -> NDArray[np.uint8]:
    """Returns a mask (z, y, x) that has the grid of another volume, which errors call by a name.

    Raises:
        InputError: it cannot be read, lies on another grid, or has a label that is not of the scheme.
    """
    mask = read_labels(path)
    if not mask.grid.same_as(other.grid):
        expected = f"the {name}'s {other.grid.shape} at {other.grid.affine.tolist()}"
        raise InputError(f"{path}: expected {expected}, got {mask.grid.shape} at {mask.grid.affine.tolist()}")
    check_labels(mask.array, len(scheme.classes), str(path))
    return mask.array
