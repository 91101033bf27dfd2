"""How data sets lie on disk: where a case's image and segmentation are."""

import re
from dataclasses import dataclass
from pathlib import Path

from kits_tf.errors import InputError

IMAGE_NAME = "imaging.nii.gz"
LABELS_NAME = "segmentation.nii.gz"
# KiTS19 publishes no segmentation of these: they are the challenge's own test set.
_UNLABELED = range(210, 300)


@dataclass(frozen=True)
class CaseFiles:
    """The files of one labeled case: "case_00012", its scan, its mask."""

    case_id: str
    image: Path
    labels: Path


def find_cases(data_dir: str) -> list[CaseFiles]:
    """Returns the labeled cases of a folder in KiTS19's layout, ordered by number.

    The challenge's test cases, 00210 to 00299, are passed over where they have no segmentation.

    Raises:
        InputError: the folder is missing or holds no case; an image is missing; a segmentation is missing.
    """
    root = Path(data_dir)
    if not root.is_dir():
        raise InputError(f"{root}: expected a folder of case_00000, case_00001, ..., found no such folder")
    folders = sorted(p for p in root.iterdir() if p.is_dir() and re.fullmatch(r"case_\d{5}", p.name))
    cases = [CaseFiles(p.name, p / IMAGE_NAME, p / LABELS_NAME) for p in folders]
    for case in cases:
        if not case.image.is_file():
            raise InputError(f"{case.image}: expected the scan of {case.case_id}, found no such file")
    labeled = [c for c in cases if c.labels.is_file() or case_number(c.case_id) not in _UNLABELED]
    for case in labeled:
        if not case.labels.is_file():
            raise InputError(f"{case.labels}: expected the segmentation of {case.case_id}, found no such file")
    if not labeled:
        raise InputError(f"{root}: expected folders case_XXXXX with {IMAGE_NAME} and {LABELS_NAME}, found none")
    return labeled


def case_number(case_id: str) -> int:
    """Returns 12 for "case_00012"."""
    return int(case_id.removeprefix("case_"))


def parse_case_numbers(text: str) -> set[int]:
    """Returns {10, 11, 12, 15} for "10-12,15"; the empty set for "".

    Raises:
        InputError: the text reads otherwise.
    """
    numbers: set[int] = set()
    for part in filter(None, text.split(",")):
        match = re.fullmatch(r"\s*(\d+)(?:-(\d+))?\s*", part)
        if match is None:
            raise InputError(f"expected case numbers like 10-12,15, got {text!r}")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise InputError(f"expected case numbers in rising order, got {part!r}")
        numbers.update(range(first, last + 1))
    return numbers
