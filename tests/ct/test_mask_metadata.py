"""What a mask says of itself, through a file and beside the comments of other programs."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from kits_tf.ct.mask_metadata import NO_METADATA, MaskMetadata
from kits_tf.ct.volume import Volume, read_labels, write_stored

ALL = MaskMetadata(classes=("background", "kidney"), scan="ab" * 32, model="kits@1", warnings=("units unchecked",))


def _with_comments(path: Path, *comments: bytes) -> Path:
    image = nib.Nifti1Image(np.zeros((2, 2, 2), np.uint8), np.eye(4))
    for comment in comments:
        image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", comment))
    nib.save(image, path)
    return path


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_what_was_written_is_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"mask{suffix}"
    write_stored(path, np.ones((2, 3, 4), np.uint8), np.diag([1, 2, 3, 1]), metadata=ALL)
    assert read_labels(path).metadata == ALL
    content = json.loads(nib.load(path).header.extensions[0].get_content())
    assert content["labels"] == {"0": "background", "1": "kidney"} and content["scan"] == "ab" * 32


def test_a_file_without_metadata_has_no_extension(tmp_path: Path) -> None:
    write_stored(tmp_path / "a.nii", np.ones((2, 3, 4), np.uint8), np.eye(4))
    assert read_labels(tmp_path / "a.nii").metadata == NO_METADATA
    assert len(nib.load(tmp_path / "a.nii").header.extensions) == 0


@pytest.mark.parametrize(
    "comment",
    [
        b"made by hand",
        b"\xff\xfe",
        b"[1, 2]",
        b"null",
        b'"labels"',
        b'{"labels": ["kidney"]}',
        b'{"labels": {"kidney": 1}}',
        b'{"labels": {"1": "tumor", "2": "kidney"}}',
        b'{"labels": {"0": 1}}',
        b'{"labels": {"0": "background", "1": "liver"}, "software": "another"}',
        b'{"program": "kits_tf", "labels": {}, "scan": 3}',
    ],
)
def test_comments_of_other_programs_are_passed_over(tmp_path: Path, comment: bytes) -> None:
    assert read_labels(_with_comments(tmp_path / "a.nii", comment)).metadata == NO_METADATA
    ours = b'{"labels": {"0": "background", "1": "kidney"}}'  # as our first masks have it
    assert read_labels(_with_comments(tmp_path / "b.nii", comment, ours)).metadata.classes == ("background", "kidney")


def test_a_digest_is_that_of_voxels_and_places_in_any_axis_order() -> None:
    array = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    affine = np.array([[0, 0, 2.0, 5], [0, 3.0, 0, 6], [1.5, 0, 0, 7], [0, 0, 0, 1]])
    scan = Volume.from_stored(array, affine)
    turned = Volume.from_stored(array.transpose(2, 1, 0), affine[:, [2, 1, 0, 3]])
    assert scan.digest() == turned.digest() and len(scan.digest()) == 64
    moved, other = affine.copy(), array.copy()
    moved[0, 3] += 0.01
    other[0, 0, 0] += 1
    assert (
        len({scan.digest(), Volume.from_stored(array, moved).digest(), Volume.from_stored(other, affine).digest()}) == 3
    )
