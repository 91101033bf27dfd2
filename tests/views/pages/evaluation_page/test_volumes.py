import gzip
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
from conftest import affine_of

from kits_tf.analysis.case_masks import CaseMasks
from kits_tf.ct.geometry import Grid
from kits_tf.ct.labels import KITS19, LATERALITY
from kits_tf.views.pages.evaluation_page.volumes import SIZES_MM, viewer_volumes

SPACING = (3.0, 1.0, 1.0)
GRID = Grid((30, 100, 120), affine_of("IPL", SPACING))


def cases() -> list[CaseMasks]:
    rng = np.random.default_rng(0)
    hu = rng.normal(0, 30, GRID.shape).astype(np.int16)
    truth = np.zeros(GRID.shape, np.uint8)
    truth[10:20, 40:60, 50:70] = 2
    truth[12:15, 45:55, 60:75] = 3
    hu[truth == 3] = 240
    predicted, official = np.roll(truth, 3, axis=2), LATERALITY.to_challenge(truth)
    case = CaseMasks(case_id="x", hu=hu, truth=truth, predicted=predicted, scheme=LATERALITY, spacing_mm=SPACING)
    return [case, replace(case, truth=official, predicted=official, scheme=KITS19)]


def read(content: bytes) -> nib.Nifti1Image:
    return nib.Nifti1Image.from_bytes(gzip.decompress(content))


def test_they_lie_where_the_case_lies() -> None:
    found = viewer_volumes(cases(), GRID, 10**9)
    assert found.voxel_mm == SIZES_MM[0] and len(found.masks) == 3
    scan, first, second, truth = (read(content) for content in (found.scan, *found.masks))
    assert {image.shape for image in (truth, first, second)} == {scan.shape}
    assert scan.get_data_dtype() == np.uint8 and nib.aff2axcodes(scan.affine) == ("I", "P", "L")
    spacing = nib.affines.voxel_sizes(scan.affine)
    assert spacing[0] == pytest.approx(3) and spacing[1:] == pytest.approx((1.5, 1.5), rel=0.03)
    tumor = np.argwhere(truth.get_fdata() == 3)
    middle = (tumor.min(axis=0) + tumor.max(axis=0)) / 2
    center = nib.affines.apply_affine(truth.affine, middle)
    expected = nib.affines.apply_affine(GRID.affine, (13, 49.5, 67))
    np.testing.assert_allclose(center, expected, atol=0.6)
    np.testing.assert_allclose(found.focus_mm, expected, atol=0.6)
    shifted = nib.affines.apply_affine(first.affine, np.argwhere(first.get_fdata() == 3).mean(axis=0))
    np.testing.assert_allclose(shifted - center, (-3, 0, 0), atol=0.6)  # three voxels to the left: x falls in RAS
    assert set(np.unique(second.get_fdata())) == {0, 1, 2}
    filled = first.get_fdata() == 3
    # The truth is the same, three voxels (two of 1.5 mm) away, but empty inside.
    assert (tumor.max(axis=0) - tumor.min(axis=0)).tolist() == np.ptp(np.argwhere(filled), axis=0).tolist()
    inside = tuple(slice(low + 1, high) for low, high in zip(tumor.min(axis=0), tumor.max(axis=0), strict=True))
    assert not (truth.get_fdata()[inside] == 3).any() and filled.sum() == len(tumor) + truth.get_fdata()[inside].size
    assert np.median(scan.get_fdata()[truth.get_fdata() == 3]) == 252  # the brightest of 64 levels, 4 apart
    # 25 mm around the labels.
    assert scan.shape[0] == 10 + 2 * 8 and scan.shape[1] == round((20 + 50) / 1.5)


def test_less_room_means_larger_voxels() -> None:
    sizes = [viewer_volumes(cases(), GRID, most) for most in (10**9, 30_000, 6_000, 10)]
    assert sorted({each.voxel_mm for each in sizes}) == [each.voxel_mm for each in sizes]
    for each, most in zip(sizes[:3], (10**9, 30_000, 6_000), strict=True):
        assert len(each.scan) + sum(map(len, each.masks)) <= most
    assert sizes[3].voxel_mm == SIZES_MM[-1]  # what cannot fit is as small as it gets
