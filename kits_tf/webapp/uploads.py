"""Files that a browser sends: harmless names, a bounded number of bytes, written whole or not at all."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

from kits_tf.base.errors import InputError
from kits_tf.base.files import written_whole
from kits_tf.ct.scan_paths import problem_with_file
from kits_tf.ct.volume import SUFFIXES
from kits_tf.webapp.studies import UNNAMED, RefusedError, State, Study

# Endings of scans, the longest first. A slice of a DICOM series may have any name.
_KNOWN = (*SUFFIXES, ".zip")
_SLICE = ".dcm"
_LONGEST_NAME = 80


def display_name(name: str) -> str:
    """Returns the name of a user's file on the page and in downloads: its own, without folders and suffix.

    Only letters, digits, spaces, and _ - . remain; "" if nothing does.
    """
    own = _own_name(name)
    if own.lower().endswith(_suffix(own)):
        own = own[: -len(_suffix(own))]
    return re.sub(r"[^\w .-]+", "_", own).strip(" ._")[:_LONGEST_NAME].strip(" ._")


def slice_path(study: Study, name: str, number: int) -> Path:
    """Returns where to write a file of a scan, under its number, and notes the user's name of it for messages."""
    path = study.uploads / f"{number:06d}{_suffix(name)}"
    study.file_names[path.name] = _own_name(name)[:_LONGEST_NAME]
    return path


def reference_path(study: Study, name: str) -> Path:
    """Returns where to write a mask that comes beside a scan.

    Raises:
        RefusedError: its name is no NIfTI file's.
    """
    suffix = _suffix(name)
    if suffix not in SUFFIXES:
        raise RefusedError(400, "expected a mask in NIfTI beside the scan")
    return study.reference_uploads / f"mask{suffix}"


async def receive(study: Study, path: Path, parts: AsyncIterator[bytes], max_bytes: int) -> None:
    """Writes a file of a study.

    Args:
        study: study that the file belongs to.
        path: place of the file, from `slice_path` or `reference_path`.
        parts: its content.
        max_bytes: largest number of bytes of all files of the study.

    Raises:
        RefusedError: the study takes no files any more, or there would be too many bytes.
    """
    if study.state is not State.UPLOADING:
        raise RefusedError(409, "the scan is complete already; drop it once more")
    with written_whole(path) as partial, open(partial, "wb") as file:
        async for part in parts:
            study.num_bytes += len(part)
            if study.num_bytes > max_bytes:
                raise RefusedError(413, f"expected a scan of {max_bytes / 1e6:.0f} MB at most, compressed as it comes")
            file.write(part)


def source_of(study: Study) -> Path:
    """Returns the path for `find_scans`: the only NIfTI or zip file, or the folder of DICOM files.

    Raises:
        RefusedError: there is no file, there are several scans, or the only file cannot be one.
    """
    files = sorted(study.uploads.iterdir())
    known = [file for file in files if not file.name.endswith(_SLICE)]
    if not files:
        raise RefusedError(400, "expected a scan: a NIfTI file, or a zip file or folder of DICOM files; got none")
    if len(known) > 1 or (known and len(files) > 1):
        raise RefusedError(400, "expected one scan at a time: one NIfTI file, one zip file, or the files of one series")
    if len(files) == 1 and (problem := problem_with_file(files[0], study.file_names[files[0].name])):
        raise RefusedError(400, problem)
    return known[0] if known else study.uploads


def in_words_of_user(study: Study, error: InputError) -> str:
    """Returns the reason of an error for the user of a study: without flags, and with the user's names of the files."""

    def user_name(match: re.Match) -> str:
        return study.file_names.get(match[1], match[0])

    named = re.sub(rf"(?:{re.escape(str(study.uploads))}/)?(\d{{6}}(?:\.\w+)+)", user_name, error.reason)
    return named.replace(str(study.uploads), study.name or UNNAMED)


def _own_name(name: str) -> str:
    """Returns a user's name of a file without its folders."""
    return name.replace("\\", "/").rpartition("/")[2]


def _suffix(name: str) -> str:
    lower = name.lower()
    return next((suffix for suffix in _KNOWN if lower.endswith(suffix)), _SLICE)
