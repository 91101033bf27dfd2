"""Masks on a disk, from any program: which files they are, and what their labels mean. The one rule for both.

A mask that names its labels has the labels that it names. A mask that does not has the challenge's labels, as nearly
every program of this field writes them, unless --label_scheme says otherwise. Flags that no mask has a use for, as all
name other labels, are refused: whoever gives them expects something else of the masks.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kits_tf.base.errors import GridMismatchError, InputError
from kits_tf.base.paths import AnyPath
from kits_tf.base.words import count_text, listed, structure_text
from kits_tf.config import MaskSchemeSettings
from kits_tf.ct.geometry import grid_mismatch
from kits_tf.ct.labels import (
    CHALLENGE_CLASSES,
    CHALLENGE_CYST,
    KITS19,
    Scheme,
    challenge_lookup,
    challenge_to,
    find_scheme,
    scheme_with_classes,
)
from kits_tf.ct.scans import mask_paths
from kits_tf.ct.volume import Volume, read_labels, read_metadata, strip_suffix
from kits_tf.inference.identity import is_corrected

# The largest label of any scheme.
_MOST_LABELS = 4
# Folders in an error.
_MOST_NAMES = 3


@dataclass(frozen=True, kw_only=True)
class MaskFile:
    """A mask on a disk and the meaning of its labels.

    Attributes:
        name: name of the file without its suffix, that of its case.
        path: file of the mask.
        scheme: scheme of the labels that `read` returns.
        is_named: whether the file names its labels.
        has_cysts: whether a label 3 of the file is the challenge's cyst, which the scheme says what becomes of.
        warnings: sentences in the file that a reader of the mask must know.
        scan: digest of the scan that it was made from, if the file says so.
        is_corrected: whether it says that a person has corrected it on the page.
    """

    name: str
    path: Path
    scheme: Scheme
    is_named: bool
    has_cysts: bool = False
    warnings: tuple[str, ...] = ()
    scan: str = ""
    is_corrected: bool = False

    def check_made_from(self, scan: Volume, source: str) -> None:
        """Raises InputError if the mask says that it was made from another scan than this one, of a path."""
        if self.scan and self.scan != scan.digest():
            raise InputError(f"{self.path}: expected the mask of {source}, found that it was made from another scan")

    def read(self) -> Volume:
        """Returns the mask, with labels of its scheme.

        Raises:
            InputError: it cannot be read, or has a label that is not of the scheme.
        """
        mask = read_labels(self.path)
        expected = CHALLENGE_CLASSES if self.has_cysts else self.scheme.classes
        if mask.array.max(initial=0) >= len(expected):
            raise InputError(self._foreign_labels(expected, mask.array))
        return replace(mask, array=challenge_to(self.scheme)[mask.array]) if self.has_cysts else mask

    def read_on_grid_of(self, other: Volume, whose: str) -> NDArray[np.uint8]:
        """Returns the labels (z, y, x) of a mask that has the grid of another volume.

        Args:
            other: volume whose grid the mask must have.
            whose: word for that volume in errors, as "scan".

        Raises:
            GridMismatchError: the mask lies on another grid.
            InputError: it cannot be read, or has a label that is not of the scheme.
        """
        mask = self.read()
        if mismatch := grid_mismatch(other.grid, mask.grid, whose):
            raise GridMismatchError(f"{self.path}: {mismatch}")
        return mask.array

    def _foreign_labels(self, classes: tuple[str, ...], labels: NDArray[np.uint8]) -> str:
        values = ", ".join(map(str, np.unique(labels).tolist()))
        expected = f"labels 0..{len(classes) - 1}, {', '.join(classes)}"
        if self.is_named:
            return f"{self.path}: expected {expected}, as the mask names them, found {values}"
        message = f"{self.path}: expected {expected}, as the mask names none, found {values}"
        if labels.max() > 3 and np.array_equal(np.unique(labels), [0, labels.max()]):
            write = f"write {self._labels_to_write()} where it has {labels.max()}"
            return f"{message}: the mask has one structure and does not say which: {write}"
        if self.scheme.name != KITS19.name or labels.max() > 3:
            return message
        return (
            f"{message}; --cyst_as=kidney, background or class reads 3 as a cyst of KiTS21 and KiTS23, "
            "--label_scheme=laterality reads 1, 2 and 3 as right kidney, left kidney and tumor"
        )

    def _labels_to_write(self) -> str:
        """Returns the labels of the scheme with their names, as in "1 (kidney) or 2 (tumor)"."""
        *first, last = (f"{label} ({structure_text(name)})" for label, name in enumerate(self.scheme.classes) if label)
        return f"{', '.join(first)} or {last}"


def open_mask(path: Path, settings: MaskSchemeSettings) -> MaskFile:
    """Returns a mask with the scheme of its labels, of which only the header is read.

    Args:
        path: file of the mask.
        settings: scheme of masks that do not name their labels; without a class for cysts a mask cannot say what
            becomes of those of the truth, and `cyst_as` does.

    Raises:
        InputError: the header cannot be read, or names labels that are of no scheme.
    """
    metadata = read_metadata(path)
    if metadata.classes:
        try:
            scheme = scheme_with_classes(tuple("_".join(each.lower().split()) for each in metadata.classes))
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
        if scheme.cyst_as != "class" and settings.cyst_as not in (None, "class"):
            scheme = replace(scheme, cyst_as=settings.cyst_as)
    else:
        scheme = find_scheme(settings.label_scheme or KITS19.name, settings.cyst_as or KITS19.cyst_as)
    return MaskFile(
        name=strip_suffix(path),
        path=path,
        scheme=scheme,
        is_named=bool(metadata.classes),
        has_cysts=not metadata.classes and scheme.name == KITS19.name and settings.cyst_as is not None,
        warnings=metadata.warnings,
        scan=metadata.scan,
        is_corrected=is_corrected(metadata.model),
    )


@dataclass(frozen=True, kw_only=True)
class MaskFolder:
    """The masks of a folder.

    Attributes:
        folder: the folder.
        masks: its masks by name.
        scheme: scheme that all of them can be given in: that of all masks, or the challenge's where they differ.
        problems: errors of the masks whose header cannot be used, by name.
    """

    folder: Path
    masks: Mapping[str, MaskFile]
    scheme: Scheme
    problems: Mapping[str, InputError]

    @property
    def names(self) -> list[str]:
        """Names of all masks, those whose header cannot be used among them."""
        return [*self.masks, *self.problems]

    def with_cysts_of(self, true_masks: Iterable[AnyPath]) -> "MaskFolder":
        """Returns the masks with label 3 as a cyst, counted as kidney, if true masks that name no labels have one.

        Such a data set is KiTS21's or KiTS23's, and masks of its cases that do not name their labels have its labels.

        Args:
            true_masks: files of the data's masks; they are read until one has a cyst, if there is a mask to decide on.
        """
        undecided = {
            name: mask
            for name, mask in self.masks.items()
            if not mask.is_named and not mask.has_cysts and mask.scheme.classes == KITS19.classes
        }
        if not undecided or not any(_has_cyst(path) for path in true_masks):
            return self
        decided = {name: replace(mask, has_cysts=True) for name, mask in undecided.items()}
        return replace(self, masks={**self.masks, **decided})

    def name_for(self, scan: Volume, name: str, source: str) -> str:
        """Returns the name of the mask of a scan: one that was made from it, whatever its name, or that of its name.

        Args:
            scan: the scan.
            name: the scan's name, which decides among several masks, and where a mask does not name its scan.
            source: path of the scan, for errors.

        Raises:
            InputError: there is none, several others were made from the scan, or that of its name from another one.
        """
        digest = scan.digest()
        made_from = [other for other, mask in self.masks.items() if mask.scan == digest]
        if name in made_from or name in self.problems:
            return name
        if len(made_from) > 1:
            raise InputError(f"{self.folder}: expected one mask of {source}, found {', '.join(made_from)}")
        if made_from:
            return made_from[0]
        if name not in self.masks:
            raise InputError(f"{self.folder}: expected a mask named {name}, or one made from {source}, found none")
        self.masks[name].check_made_from(scan, source)
        return name

    def find(self, name: str) -> MaskFile:
        """Returns a mask by its name.

        Raises:
            InputError: there is no such mask, or its header cannot be used.
        """
        if name in self.problems:
            raise self.problems[name]
        if name not in self.masks:
            raise InputError(f"{self.folder}: expected a mask named {name}, found none")
        return self.masks[name]

    def read_on_grid_of(self, image: Volume, name: str) -> NDArray[np.uint8]:
        """Returns the labels (z, y, x) of a mask, in the scheme of all, on the grid of its scan.

        Raises:
            GridMismatchError: it lies on another grid.
            InputError: there is no such mask, it cannot be read, or has a label that is not of its scheme.
        """
        mask = self.find(name)
        return in_scheme(mask.read_on_grid_of(image, "scan"), mask.scheme, self.scheme)


def open_masks(folder: Path, settings: MaskSchemeSettings) -> MaskFolder:
    """Returns the masks of a folder, each with the scheme of its labels.

    Args:
        folder: folder of masks of any program.
        settings: scheme of masks that do not name their labels.

    Raises:
        InputError: there is no such folder, no mask in it, two masks have the same name, or none can be used.
    """
    paths = mask_paths(folder)
    if not paths:
        below = [str(path) for path in _folders_below(folder) if mask_paths(path)]
        instead = f"; there are such files in {listed(below, _MOST_NAMES)}" if below else ""
        raise InputError(f"{folder}: expected masks case_00000.nii.gz, ..., found none in it{instead}")
    return masks_at(paths, folder, settings)


def _folders_below(folder: Path) -> list[Path]:
    """Returns the folders in a folder and in those, in order; hidden ones are none."""
    return sorted(path for pattern in ("[!.]*", "[!.]*/[!.]*") for path in folder.glob(pattern) if path.is_dir())


def masks_at(paths: Mapping[str, Path], folder: Path, settings: MaskSchemeSettings) -> MaskFolder:
    """Returns masks, each with the scheme of its labels.

    Args:
        paths: files of the masks, by name, one at least.
        folder: folder to name in errors.
        settings: scheme of masks that do not name their labels.

    Raises:
        InputError: none can be used.
    """
    masks, problems = {}, {}
    for name, path in paths.items():
        try:
            masks[name] = open_mask(path, settings)
        except InputError as error:
            problems[name] = error
    if not masks:
        raise next(iter(problems.values()))
    return MaskFolder(folder=folder, masks=masks, scheme=common_scheme(masks.values()), problems=problems)


def is_mask(path: Path) -> bool:
    """Returns whether a file is a mask and no scan: it names labels, or has only whole numbers from 0 to 4."""
    try:
        return bool(read_metadata(path).classes) or int(read_labels(path).array.max(initial=0)) <= _MOST_LABELS
    except InputError:
        return False


def check_flags(masks: Iterable[MaskFile], settings: MaskSchemeSettings) -> None:
    """Raises InputError if a flag has no effect, as all masks name their labels, and some name other ones.

    Args:
        masks: masks that a command was given, opened with `settings`.
        settings: scheme of masks that do not name their labels.
    """
    masks = list(masks)
    if not all(mask.is_named for mask in masks):
        return
    for flag, given, attribute in (
        ("label_scheme", settings.label_scheme, "name"),
        ("cyst_as", settings.cyst_as, "cyst_as"),
    ):
        others = [mask for mask in masks if given not in (None, getattr(mask.scheme, attribute))]
        if others:
            count, names = len(others), ", ".join(others[0].scheme.classes[1:])
            noun = "mask that names" if count == 1 else "masks that name"
            raise InputError(
                f"--{flag}={given}: expected masks that do not name their labels, found {count} {noun} {names}, the "
                f"first: {others[0].path}"
            )


def _has_cyst(path: AnyPath) -> bool:
    """Returns whether a true mask has the challenge's label 3; one that cannot be read has none."""
    try:
        mask = read_labels(path)
    except InputError:
        return False
    return not mask.metadata.classes and int(mask.array.max(initial=0)) == CHALLENGE_CYST


def common_scheme(masks: Iterable[MaskFile]) -> Scheme:
    """Returns the scheme that all masks can be given in: that of all, or the challenge's where they differ.

    Cysts become there what they become in the masks that have no class for them, if that is the same in all.
    """
    schemes = {(mask.scheme.classes, mask.scheme.cyst_as): mask.scheme for mask in masks}
    if len(schemes) == 1:
        return next(iter(schemes.values()))
    cysts = {scheme.cyst_as for scheme in schemes.values()} - {"class"}
    return replace(KITS19, cyst_as=cysts.pop()) if len(cysts) == 1 else KITS19


def in_scheme(labels: NDArray[np.uint8], scheme: Scheme, target: Scheme) -> NDArray[np.uint8]:
    """Returns labels of a scheme in the same scheme, or in the challenge's."""
    if scheme.classes == target.classes:
        return labels
    return challenge_to(target)[challenge_lookup(scheme.classes)[labels]]


def labels_read(masks: Iterable[MaskFile]) -> str:
    """Returns in a line what the labels of masks were read as; "" of none.

    As in "labels: kidney, tumor in 3 masks, named in the files".
    """
    counts = Counter((mask.is_named, mask.scheme.classes, mask.has_cysts) for mask in masks)
    parts = []
    for (is_named, classes, has_cysts), count in sorted(counts.items(), reverse=True):
        cysts = " (3 is a cyst)" if has_cysts else ""
        how = "named in the files" if is_named else "not named in the files (--label_scheme)"
        parts.append(f"{', '.join(classes[1:])}{cysts} in {count_text(count, 'mask')}, {how}")
    return f"labels: {'; '.join(parts)}" if parts else ""


def mask_warnings(masks: Iterable[MaskFile]) -> tuple[str, ...]:
    """Returns what the files of masks warn of, each sentence once, as in "in 2 masks: not for measuring"."""
    warnings = Counter(text for mask in masks for text in mask.warnings)
    return tuple(f"in {count_text(count, 'mask')}: {text}" for text, count in sorted(warnings.items()))


def label_note(masks: Iterable[MaskFile]) -> str:
    """Returns in a line what the labels of masks were read as, and what the masks warn of; "" of none.

    As in "labels: kidney, tumor in 3 masks, named in the files; WARNING in 2 masks: not for measuring".
    """
    masks = list(masks)
    warnings = [f"WARNING {text}" for text in mask_warnings(masks)]
    return "; ".join(filter(None, [labels_read(masks), *warnings]))
