"""KiTS19's predictions.zip: prediction_00210.nii.gz, ..., each on its scan's grid, in the challenge's labels."""

import logging
import re
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kits_tf.analysis.mask_files import MaskFile, check_flags, open_mask
from kits_tf.base.errors import InputError
from kits_tf.base.files import name_in_errors, written_whole
from kits_tf.base.words import count_text
from kits_tf.config import MaskSchemeSettings
from kits_tf.ct.geometry import Grid, grid_mismatch
from kits_tf.ct.labels import CHALLENGE_TUMOR, KITS19
from kits_tf.ct.layouts import CaseFiles, case_number
from kits_tf.ct.mask_metadata import MaskMetadata
from kits_tf.ct.scans import mask_paths
from kits_tf.ct.volume import Volume, read_grid, read_labels, write_stored

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PredictionCheck:
    """What is in a submission for a case.

    Attributes:
        problems: a line for each thing that is wrong; none if all is in order.
        has_tumor: whether a voxel is labeled as tumor.
    """

    problems: list[str]
    has_tumor: bool = False


def masks_of_cases(predictions_dir: str, settings: MaskSchemeSettings) -> list[MaskFile]:
    """Returns the masks case_XXXXX of a folder; a warning names other masks in it.

    Args:
        predictions_dir: folder of the masks.
        settings: scheme of masks that do not name their labels.

    Raises:
        InputError: there is no such folder, no mask in it, a mask names labels of no scheme, or a flag has no effect.
    """
    folder = Path(predictions_dir)
    all_paths = mask_paths(folder)
    paths = {name: path for name, path in all_paths.items() if re.fullmatch(r"case_\d{5}", name)}
    if not paths:
        raise InputError(f"{folder}: expected masks case_00210.nii.gz, ..., found none")
    if others := sorted(all_paths.keys() - paths.keys()):
        left_out = f"{count_text(len(others), 'mask')} skipped: {', '.join(others)}"
        logger.warning("%s: expected masks named like case_00210.nii.gz; %s", folder, left_out)
    masks = [open_mask(path, settings) for path in paths.values()]
    check_flags(masks, settings)
    return masks


def check_cases(masks: Sequence[MaskFile], cases: Sequence[CaseFiles]) -> None:
    """Checks that masks are those of all cases that are due, each on the grid of its scan.

    Raises:
        InputError: a case has no mask, or a mask has no case or another grid.
    """
    due, names = {case.case_id: case for case in cases}, [mask.name for mask in masks]
    missing = [case_id for case_id in due if case_id not in names]
    if missing:
        raise InputError(f"expected masks of {len(due)} cases, found none of {len(missing)}: {', '.join(missing)}")
    for mask in masks:
        if mask.name not in due:
            raise InputError(f"{mask.path}: expected masks of the data set's cases only, {mask.name} is not one")
        scan, grid = read_grid(due[mask.name].image), read_grid(mask.path)
        if mismatch := grid_mismatch(scan, grid, "scan"):
            raise InputError(f"{mask.path}: {mismatch}")


# The first file of a submission has a name that begins so.
MEMBER_MARK = b"prediction_"


def write_submission(masks: Iterable[MaskFile], output: str) -> int:
    """Writes masks as a submission, under a temporary name first, and returns how many of them have a tumor.

    Args:
        masks: masks of `masks_of_cases`.
        output: zip file to write.

    Raises:
        InputError: a mask cannot be read, or has labels that are not of its scheme; nothing is written.
    """
    num_with_tumor = 0
    with (
        name_in_errors(output),
        written_whole(Path(output)) as partial,
        zipfile.ZipFile(partial, "w") as archive,
        tempfile.TemporaryDirectory() as folder,
    ):
        for mask in masks:
            volume, member = mask.read(), _member_name(mask.name)
            labels = mask.scheme.to_challenge(volume.as_stored())
            num_with_tumor += bool((labels == CHALLENGE_TUMOR).any())
            packed = Path(folder) / member
            metadata = MaskMetadata(classes=KITS19.classes)
            write_stored(packed, labels, volume.stored.affine, volume.header, metadata)
            archive.write(packed, member)
            packed.unlink()
    return num_with_tumor


def cases_due(cases: list[CaseFiles]) -> list[CaseFiles]:
    """Returns the cases that a submission must have: those without a true mask, or all if every case has one."""
    return [case for case in cases if case.labels is None] or cases


def open_submission(submission: str) -> zipfile.ZipFile:
    """Returns a submission to check.

    Raises:
        InputError: the file is not a zip file.
    """
    try:
        return zipfile.ZipFile(submission)
    except (OSError, zipfile.BadZipFile) as error:
        raise InputError(f"{submission}: expected a zip file: {error}") from None


def unexpected_members(archive: zipfile.ZipFile, cases: list[CaseFiles]) -> list[str]:
    """Returns a line for each member that is not a prediction of one of the cases.

    Raises:
        InputError: a case has no number.
    """
    others = sorted(set(archive.namelist()) - {_member_name(case.case_id) for case in cases})
    return [f"{name}: expected only predictions of the scans that are due, in no folder" for name in others]


def check_prediction(archive: zipfile.ZipFile, case: CaseFiles) -> PredictionCheck:
    """Returns what is wrong with the prediction of a case, and whether it has a tumor.

    Raises:
        InputError: the scan cannot be read.
    """
    name, grid = _member_name(case.case_id), read_grid(case.image)
    if name not in archive.namelist():
        return PredictionCheck([f"{name}: expected a prediction of {case.case_id}, found none"])
    with tempfile.TemporaryDirectory() as folder:
        try:
            mask = read_labels(archive.extract(name, folder))
        except (InputError, OSError, zipfile.BadZipFile) as error:
            return PredictionCheck([str(error).replace(f"{folder}/", "")])
    problems = [f"{name}: {problem}" for problem in _problems_of_mask(mask, grid)]
    return PredictionCheck(problems, bool((mask.array == CHALLENGE_TUMOR).any()))


def _member_name(case_id: str) -> str:
    """Returns what the challenge calls the prediction of a case.

    Raises:
        InputError: the case has no number.
    """
    number = case_number(case_id)
    if number is None:
        raise InputError(f"expected a case with a number, as in case_00210, found {case_id}")
    return f"prediction_{number:05d}.nii.gz"


def _problems_of_mask(mask: Volume, grid: Grid) -> Iterator[str]:
    dtype = mask.header.get_data_dtype() if mask.header else mask.array.dtype
    if dtype.kind not in "iu":
        yield f"expected whole numbers as dtype, uint8 at best, found {dtype}"
    if mismatch := grid_mismatch(grid, mask.stored, "scan"):
        yield mismatch
    if mask.array.max(initial=0) >= len(KITS19.classes):
        yield f"expected values 0, 1 and 2, found {np.unique(mask.array).tolist()}"
