"""Masks of a model without sides, in every scheme that --labels names, in the axis order of the file."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from conftest import as_codes

from kits_tf.config import DicomSettings
from kits_tf.ct.labels import KITS19, LATERALITY
from kits_tf.ct.scans import find_scans
from kits_tf.inference.batch_prediction import segment_scans
from kits_tf.inference.model import Model


@pytest.fixture
def scan(data_dir: Path, tmp_path: Path) -> Path:
    """A phantom turned to (A, R, S)."""
    image = as_codes(nib.load(data_dir / "case_00000" / "imaging.nii.gz"), "ARS")
    nib.save(image, tmp_path / "scan.nii.gz")
    return tmp_path / "scan.nii.gz"


@pytest.mark.parametrize("wanted", ["model", "challenge", "laterality"])
def test_labels_are_those_that_were_asked_for(wanted: str, scan: Path, data_dir: Path, tmp_path: Path) -> None:
    truth = nib.load(data_dir / "case_00000" / "segmentation.nii.gz")
    official = np.asarray(as_codes(truth, "ARS").dataobj).astype(np.uint8)

    def segment(hu: np.ndarray, affine: np.ndarray) -> dict[str, np.ndarray]:
        return {"labels": official, "volumes_ml": np.ones(3, np.float32)}

    segment_scans(
        find_scans([str(scan)], DicomSettings()), tmp_path / "out", wanted, lambda: Model(segment, KITS19, ())
    )
    mask = nib.load(tmp_path / "out" / "scan.nii.gz")
    labels, names = np.asarray(mask.dataobj), json.loads(mask.header.extensions[0].get_content())["labels"]
    if wanted != "laterality":
        np.testing.assert_array_equal(labels, official)
        assert list(names.values()) == list(KITS19.classes)
        return
    assert list(names.values()) == list(LATERALITY.classes)
    np.testing.assert_array_equal(LATERALITY.to_challenge(labels), official)
    x_mm = {side: (mask.affine @ [*np.argwhere(labels == side).mean(axis=0), 1])[0] for side in (1, 2)}
    assert x_mm[1] > x_mm[2] + 50  # NIfTI's x grows to the patient's right
