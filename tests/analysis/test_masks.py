from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from conftest import affine_of

from kits_tf.analysis.mask_files import open_mask
from kits_tf.analysis.masks import read_to_measure
from kits_tf.config import MaskSchemeSettings
from kits_tf.config.shared import CYST_CHOICES
from kits_tf.ct.labels import find_scheme, from_challenge


@pytest.mark.parametrize("cyst_as", CYST_CHOICES)
def test_sides_of_a_mask_come_from_geometry_and_cysts_stay_what_they_are(tmp_path: Path, cyst_as: str) -> None:
    hu = np.full((20, 40, 100), -1024, np.int16)
    official = np.zeros(hu.shape, np.uint8)
    official[5:15, 15:25, 10:20] = official[5:15, 15:25, 70:80] = 1
    official[5:8, 15:18, 10:13], official[5:8, 15:18, 70:73] = 2, 3
    sided = find_scheme("laterality", cyst_as)
    settings = MaskSchemeSettings(label_scheme="kits19", cyst_as=cyst_as)
    nib.save(nib.Nifti1Image(official, affine_of("IPL", (2.0, 2.0, 2.0))), tmp_path / "a.nii")
    mask, scheme = read_to_measure(open_mask(tmp_path / "a.nii", settings), None)
    assert scheme == sided
    np.testing.assert_array_equal(mask.array, from_challenge(official, sided, hu, (2.0, 2.0, 2.0))[0])
    cyst = {"kidney": 2, "background": 0, "class": 4}[cyst_as]
    assert mask.array[6, 16, 71] == cyst and mask.array[10, 20, 15] == 1 and mask.array[10, 20, 75] == 2
