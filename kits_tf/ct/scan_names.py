"""Names of scans: a file's own, and as much of its path before it as makes it another than all others.

A name depends on the path as it is written from the root down: neither on the working directory nor on what a link in
it leads to.
"""

import os
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from kits_tf.ct.layouts import IMAGE_NAME, LABELS_NAME
from kits_tf.ct.volume import has_nifti_suffix, strip_suffix

_ZIP = ".zip"


def is_zip(path: Path) -> bool:
    """Returns whether a file is called a zip file, in whatever case."""
    return path.name.lower().endswith(_ZIP)


def name_parts(path: Path) -> tuple[str, ...]:
    """Returns the parts of a scan's or a mask's full path, the last of which is its own name, without a suffix.

    A file of a case has the name of the case's folder.
    """
    *folders, name = Path(os.path.abspath(path)).parts[1:] or ("scan",)
    if name in (IMAGE_NAME, LABELS_NAME) and folders:
        return tuple(folders)
    if not path.is_dir():
        if has_nifti_suffix(path):
            name = strip_suffix(path)
        elif is_zip(path):
            name = name[: -len(_ZIP)]
    return (*folders, name)


def distinct_names(paths: Sequence[tuple[str, ...]]) -> list[str | None]:
    """Returns the last part of each path, with as many of those before it, by "_", as make it another than all others.

    Names count as the same if they differ in case, or in the way an accent is written, as some file systems have it.

    Args:
        paths: parts of each path.

    Returns:
        A name for each path; None for those that no part makes different.
    """
    counts, same = [1] * len(paths), _same_paths(paths)
    while True:
        names = ["_".join(parts[-count:]) for parts, count in zip(paths, counts, strict=True)]
        groups: dict[str, list[int]] = {}
        for index, name in enumerate(names):
            groups.setdefault(_folded(name), []).append(index)
        clashing = [index for group in groups.values() if len(group) > 1 for index in group]
        longer = [index for index in clashing if counts[index] < len(paths[index]) and index not in same]
        if not longer:
            return [None if index in clashing else name for index, name in enumerate(names)]
        for index in longer:
            counts[index] += 1


def _same_paths(paths: Sequence[tuple[str, ...]]) -> set[int]:
    """Returns the indices of paths that no part makes another, as of a.nii and a.nii.gz in one folder."""
    groups: dict[str, list[int]] = {}
    for index, parts in enumerate(paths):
        groups.setdefault(_folded("/".join(parts)), []).append(index)
    return {index for group in groups.values() if len(group) > 1 for index in group}


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
