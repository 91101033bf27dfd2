"""How data sets lie on disk: where a case's image and segmentation are. The one place that finds cases.

A layout is one function, which `LAYOUTS.register` decorates: it returns the cases of a path, or None if the path is not
of its kind. They are asked in the order in which they were registered, those of a plugin last.
"""

import json
import logging
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kits_tf.base.errors import InputError
from kits_tf.base.files import read_table, read_text, write_text
from kits_tf.base.paths import AnyPath, as_path, joined
from kits_tf.base.registry import Registry
from kits_tf.base.words import count_text
from kits_tf.ct.labels import CHALLENGE_CLASSES
from kits_tf.ct.volume import SUFFIXES, strip_suffix

IMAGE_NAME = "imaging.nii.gz"
LABELS_NAME = "segmentation.nii.gz"
# KiTS21 has several readers: this is their majority.
KITS21_LABELS_NAME = "aggregated_MAJ_seg.nii.gz"
DATASET_JSON = "dataset.json"
# What a data set says of itself, as in "phantoms: not for real scans".
DATA_NOTE = "data_note.txt"
NNUNET_CHANNEL = "_0000"
# KiTS19 publishes no segmentation of these: they are the challenge's own test set.
_KITS19_UNLABELED = range(210, 300)
_NAMES_SHOWN = 5

logger = logging.getLogger(__name__)


def data_note(data_dir: str) -> str:
    """Returns what data_note.txt in a data set says, in one line; "" if there is none."""
    path = as_path(data_dir) / DATA_NOTE
    return " ".join(read_text(path).split()) if path.is_file() else ""


def write_data_note(folder: Path, note: str, *, overwrite: bool = False) -> None:
    """Makes a folder for a data set, and notes what it holds.

    Args:
        folder: folder of the data set.
        note: what it holds, in one line.
        overwrite: whether the note may stand beside files that had none, or another one.

    Raises:
        InputError: the folder holds files without this note, of which it would not be true.
    """
    has_files = folder.is_dir() and any(not path.name.startswith(".") for path in folder.iterdir())
    if has_files and data_note(str(folder)) != note and not overwrite:
        raise InputError(f"{folder}: expected a new folder, or one with the note {note!r}, found other files")
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / DATA_NOTE, f"{note}\n")


@dataclass(frozen=True)
class CaseFiles:
    """The files of one case.

    Attributes:
        case_id: name of the case, as "case_00012".
        image: file of the scan.
        labels: file of the mask; None for a case without one.
        problem: reason why the files cannot be used although they are there; "" for none.
    """

    case_id: str
    image: AnyPath
    labels: AnyPath | None
    problem: str = ""

    def check(self) -> None:
        """Checks that the files are there.

        Raises:
            InputError: one is missing, no file or out of reach, or it is not clear which one is meant.
        """
        if self.problem:
            raise InputError(self.problem)
        for path, kind in ((self.image, "scan"), (self.labels, "segmentation")):
            if path is not None and (obstacle := _obstacle(path)):
                raise InputError(f"{path}: expected the {kind} of {self.case_id}, found {obstacle}")


LAYOUTS: Registry[Callable[[AnyPath], list[CaseFiles] | None]] = Registry("data layout")


def require_data_set(data: str) -> AnyPath:
    """Returns the path of a data set, of which nothing is read.

    Raises:
        InputError: there is no such path.
    """
    root = as_path(data)
    if not root.exists():
        raise InputError(f"{root}: expected a data set, found no such file or folder")
    return root


def find_cases(data: str) -> list[CaseFiles]:
    """Returns the cases of a data set, ordered by id.

    A case whose files are missing is one of them, and fails when it is read (`CaseFiles.check`): splits are the same
    whether or not a file is there today.

    Args:
        data: folder of KiTS19, KiTS21 or KiTS23 cases, of nnU-Net raw data or of a Medical Segmentation Decathlon
            task, a CSV file with the columns image and label, or whatever the layout of a plugin reads.

    Raises:
        InputError: there is no such path or no case in it, two cases have one id, or dataset.json has other labels.
    """
    root = require_data_set(data)
    cases = next((cases for layout in LAYOUTS.values() if (cases := layout(root)) is not None), None)
    if cases is None and root.is_file():
        raise InputError(f"{root}: expected a folder or a CSV file")
    if not cases:
        raise InputError(
            f"{root}: expected folders case_XXXXX with {IMAGE_NAME} and {LABELS_NAME}, or imagesTr, labelsTr and "
            f"{DATASET_JSON}, or a CSV file with columns image and label; found no case{_nearby(root)}"
        )
    for case_id, count in Counter(case.case_id for case in cases).items():
        if not re.fullmatch(r"[\w.-]+", case_id):
            raise InputError(f"{root}: expected a case id of letters, digits, _, . and -, found {case_id!r}")
        if count > 1:
            raise InputError(f"{root}: expected every case once, found {case_id} {count} times")
    return sorted(cases, key=lambda case: case.case_id)


def _nearby(root: AnyPath) -> str:
    """Returns the end of an error about a folder without cases: where there are some, above it or in it."""
    if not root.is_dir():
        return ""
    if _exists(root / IMAGE_NAME):
        return f"; it is a case itself: give the folder above it, {root.parent}"
    for folder in sorted(child for child in root.iterdir() if child.is_dir()):
        if count := len(list(folder.glob("case_" + "[0-9]" * 5))):
            return f"; {folder.name}/ in it has {count_text(count, 'case')}: give {folder}"
        if _exists(folder / DATASET_JSON):
            return f"; {folder.name}/ in it has {DATASET_JSON}: give {folder}"
    return ""


def find_cases_named(data: str, case_ids: Sequence[str], whose: str) -> list[CaseFiles]:
    """Returns cases of a data set, in the order of the ids.

    Args:
        data: path of a data set, which `find_cases` knows.
        case_ids: ids of the cases.
        whose: origin of the ids, for errors.

    Raises:
        InputError: `find_cases` refuses the data, or a case is not in them.
    """
    cases = {case.case_id: case for case in find_cases(data)}
    for case_id in case_ids:
        if case_id not in cases:
            raise InputError(f"{data}: expected {case_id} of {whose}, found no such case")
    return [cases[case_id] for case_id in case_ids]


def case_number(case_id: str) -> int | None:
    """Returns 12 for "case_00012", the last number in the id; None if there is none."""
    numbers = re.findall(r"\d+", case_id)
    return int(numbers[-1]) if numbers else None


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


@LAYOUTS.register("table")
def _table(root: AnyPath) -> list[CaseFiles] | None:
    """A CSV file: columns image, label (may be empty), and case_id on request; relative to the file, or remote."""
    if not root.is_file() or root.suffix.lower() != ".csv":
        return None
    return [_row(root, number, row) for number, row in read_table(root, ("image", "label")).items()]


def _row(root: AnyPath, number: int, row: dict[str, str]) -> CaseFiles:
    if not row["image"]:
        raise InputError(f"{root}: expected a path in column image, found none in line {number}")
    image, label = joined(root.parent, row["image"]), row["label"]
    name = image.parent.name if image.name == IMAGE_NAME else strip_suffix(image)
    return CaseFiles(row.get("case_id") or name, image, joined(root.parent, label) if label else None)


@LAYOUTS.register("nnunet")
def _nnunet(root: AnyPath) -> list[CaseFiles] | None:
    """nnU-Net raw: the Decathlon's folders, but an image is NAME_0000, where 0000 is its only channel."""
    if not _has_dataset_json(root):
        return None
    images = _niftis(root / "imagesTr")
    if any((root / "labelsTr" / path.name).is_file() for path in images):
        return None  # the Decathlon, whose images may end in four digits as well
    for path in images:
        if not strip_suffix(path).endswith(NNUNET_CHANNEL):
            raise InputError(f"{path}: expected {NNUNET_CHANNEL} at the end of its name, or a label of the same name")
    return _training_and_test(root, channel=NNUNET_CHANNEL)


@LAYOUTS.register("decathlon")
def _decathlon(root: AnyPath) -> list[CaseFiles] | None:
    """Medical Segmentation Decathlon: imagesTr/NAME and labelsTr/NAME beside dataset.json; imagesTs has no labels."""
    return _training_and_test(root, channel="") if _has_dataset_json(root) else None


def _has_dataset_json(root: AnyPath) -> bool:
    return (root / "imagesTr").is_dir() and (root / DATASET_JSON).is_file()


def _training_and_test(root: AnyPath, channel: str) -> list[CaseFiles]:
    _check_label_names(root / DATASET_JSON)
    cases = []
    for folder, is_labeled in (("imagesTr", True), ("imagesTs", False)):
        for image in _niftis(root / folder):
            case_id = strip_suffix(image).removesuffix(channel)
            label = root / "labelsTr" / (case_id + image.name.removeprefix(strip_suffix(image)))
            cases.append(CaseFiles(case_id, image, label if is_labeled else None))
    ids = {case.case_id for case in cases}
    for label in _niftis(root / "labelsTr"):
        if (case_id := strip_suffix(label)) not in ids:
            suffix = label.name.removeprefix(case_id)
            cases.append(CaseFiles(case_id, root / "imagesTr" / f"{case_id}{channel}{suffix}", label))
    return cases


def _niftis(folder: AnyPath) -> list[AnyPath]:
    # A Decathlon archive has macOS's ._ files in it.
    visible: list[AnyPath] = sorted(folder.glob("[!.]*"))
    return [path for path in visible if path.name.endswith(SUFFIXES)]


def _check_label_names(path: AnyPath) -> None:
    """Checks that dataset.json gives labels the challenge's numbers.

    Decathlon and nnU-Net 1: {"1": "kidney"}; nnU-Net 2: {"kidney": 1}, or regions {"kidney": [1, 2, 3]}.
    """
    try:
        labels = json.loads(read_text(path))["labels"]
        items = list(labels.items())
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        reason = str(error) if isinstance(error, InputError) else f"{type(error).__name__} {error}"
        raise InputError(f"{path}: expected JSON with labels: {reason}") from None
    for key, value in items:
        is_numbered = _label_number(key) is not None
        name, number = (value, key) if is_numbered else (key, value)
        numbers = _label_numbers(number)
        if not isinstance(name, str) or not numbers:
            entry = json.dumps({key: value})
            raise InputError(f'{path}: expected labels as {{"kidney": 1}} or {{"1": "kidney"}}, found {entry:.100}')
        _check_meaning(path, name.strip().lower(), numbers)


def _check_meaning(path: AnyPath, name: str, numbers: list[int]) -> None:
    """Checks one label, or one region, which holds the label of its name and none of the labels outside of it."""
    is_region = len(numbers) > 1
    is_known = name in CHALLENGE_CLASSES
    right = set(numbers) <= set(range(len(CHALLENGE_CLASSES))) and (
        (not is_known or CHALLENGE_CLASSES.index(name) in numbers)
        if is_region
        else is_known and CHALLENGE_CLASSES.index(name) == numbers[0]
    )
    if not right:
        expected = ", ".join(f"{i} {n}" for i, n in enumerate(CHALLENGE_CLASSES))
        raise InputError(f"{path}: expected labels {expected}; found {', '.join(map(str, numbers))} {name}")


def _label_numbers(value: Any) -> list[int]:
    """Returns the numbers of a label or region, as numbers or as text; none for anything else."""
    if isinstance(value, str):
        value = value.strip().strip("[]()").split(",")
    numbers = [_label_number(item) for item in (value if isinstance(value, list) else [value])]
    return [] if None in numbers else [number for number in numbers if number is not None]


def _label_number(value: Any) -> int | None:
    """Returns 1 for 1, 1.0, "1" and " 1.0 "; None for what is no whole number."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return int(float(value)) if float(value).is_integer() else None
    except ValueError:
        return None


@LAYOUTS.register("kits")
def _kits(root: AnyPath) -> list[CaseFiles] | None:
    """KiTS19, KiTS21 and KiTS23: folders case_00000, case_00001, ..."""
    if not root.is_dir():
        return None
    try:
        paths: list[AnyPath] = sorted(root.iterdir())
    except OSError as error:
        raise InputError(f"{root}: expected a folder that can be read: {error.strerror}") from None
    folders = [path for path in paths if path.is_dir() and re.fullmatch(r"case_\d{5}", path.name)]
    if folders:
        _warn_of_others(root, [path for path in paths if path not in folders])
    cases = []
    for folder in folders:
        cases.append(_kits_case(folder))
    _warn_of_missing_masks(root, cases)
    return cases or None


def _kits_case(folder: AnyPath) -> CaseFiles:
    """Returns the files of a folder, whose names may also end in .nii where they are not compressed."""
    image, image_twice = _either(folder, IMAGE_NAME)
    majority, majority_twice = _either(folder, KITS21_LABELS_NAME)
    labels, labels_twice = _either(folder, LABELS_NAME)
    if _exists(majority):
        labels, labels_twice = majority, majority_twice
    is_unlabeled = not _exists(labels) and case_number(folder.name) in _KITS19_UNLABELED
    return CaseFiles(folder.name, image, None if is_unlabeled else labels, image_twice or labels_twice)


def _warn_of_missing_masks(root: AnyPath, cases: Sequence[CaseFiles]) -> None:
    """Says which cases count as KiTS19's own test set although the others are another year's, which has all masks."""
    unlabeled = [case.case_id for case in cases if case.labels is None]
    # KiTS19 has masks of the cases before its test set alone, and none of several readers.
    is_later = any(
        int(case.case_id[-5:]) >= _KITS19_UNLABELED.start
        or case.labels.name.startswith(KITS21_LABELS_NAME.removesuffix(".gz"))
        for case in cases
        if case.labels is not None and _exists(case.labels)
    )
    if unlabeled and is_later:
        logger.warning(
            "%s: %d cases without a segmentation are treated as unlabeled, as in KiTS19, but the others are not "
            "KiTS19's: are files missing? %s",
            root,
            len(unlabeled),
            _shown(unlabeled),
        )


def _shown(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMES_SHOWN]) + (", ..." if len(names) > _NAMES_SHOWN else "")


def _either(folder: AnyPath, name: str) -> tuple[AnyPath, str]:
    """Returns NAME.nii.gz, or NAME.nii where only that is there, and what is wrong if both are."""
    compressed, plain = folder / name, folder / name.removesuffix(".gz")
    if _obstacle(plain):  # some remote folders take the beginning of a file's name for a folder
        return compressed, ""
    if not _exists(compressed):
        return plain, ""
    return compressed, f"{folder}: expected {compressed.name} or {plain.name}, found both: remove the one not meant"


def _exists(path: AnyPath) -> bool:
    try:
        return path.exists()
    except OSError:  # a folder that may not be entered
        return False


def _obstacle(path: AnyPath) -> str:
    """Returns what stands in the place of a file; "" for the file."""
    try:
        if path.is_file():
            return ""
        return "a folder" if path.is_dir() else "no such file"
    except OSError as error:
        return str(error.strerror or error)


def _warn_of_others(root: AnyPath, others: list[AnyPath]) -> None:
    """Says which folders named much as cases are, and which NIfTI files, lie beside the cases and are no case."""
    passed = [
        path.name
        for path in others
        if not path.name.startswith(".")
        and ("case" in path.name.lower() if path.is_dir() else path.name.endswith(SUFFIXES))
    ]
    if passed:
        logger.warning(
            "%s: skipped %d beside the folders case_XXXXX of five digits: %s", root, len(passed), _shown(passed)
        )
