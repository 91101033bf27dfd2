from dataclasses import replace

import numpy as np
import pytest
from conftest import ALL_AXIS_CODES, affine_of

from kits_tf.ct.case_facts import CaseFacts, LabelFacts, case_facts
from kits_tf.ct.geometry import orientation, undo_reorient
from kits_tf.ct.volume import Volume

IPL = affine_of("IPL", (3.0, 2.0, 1.0))
VOXEL_ML = 3 * 2 * 1 / 1000


def volume(array: np.ndarray) -> Volume:
    return Volume.from_stored(array, IPL)


def scan_and_mask() -> tuple[np.ndarray, np.ndarray]:
    """Two kidneys of 1000 voxels, tumors of 100 and 80 in one of them, one of 8 in the other, and a speck."""
    hu = np.random.default_rng(1).integers(-1000, 1000, (20, 30, 40), dtype=np.int16)
    mask = np.zeros(hu.shape, np.uint8)
    mask[5:15, 10:20, 5:15] = 1
    mask[5:15, 10:20, 25:35] = 1
    mask[5:15, 10:20, 5:6] = 2
    mask[5:13, 10:20, 14:15] = 2
    mask[5:7, 10:12, 33:35] = 2
    mask[17, 20, 20] = 1
    return hu, mask


def test_facts_of_a_case_by_hand() -> None:
    hu, mask = scan_and_mask()
    facts = case_facts(volume(hu), volume(mask))
    assert facts.shape_zyx == (20, 30, 40) and facts.spacing_zyx_mm == pytest.approx((3, 2, 1))
    assert (facts.axes, facts.dtype, facts.hu_range) == ("IPL", "int16", (int(hu.min()), int(hu.max())))
    labels = facts.labels
    assert labels.volumes_ml == pytest.approx({"kidney": 1813 * VOXEL_ML, "tumor": 188 * VOXEL_ML})
    # 100 and 80 voxels are 0.6 and 0.48 mL: one tumor above half a mL.
    assert (labels.dtype, labels.parts, labels.specks, labels.tumors, labels.scan_ends) == ("uint8", 2, 1, 1, ())
    assert labels.hu_mean == pytest.approx(hu[mask > 0].mean())


def test_a_scan_that_is_no_ct_says_why() -> None:
    hu, _ = scan_and_mask()
    assert case_facts(volume(np.maximum(hu, 0)), None).hounsfield_problem.endswith("was an offset lost?")


def test_no_mask_and_an_empty_one() -> None:
    hu, mask = scan_and_mask()
    assert case_facts(volume(hu), None).labels is None
    empty = LabelFacts(dtype="uint8", volumes_ml={}, parts=0, specks=0, tumors=0, scan_ends=(), hu_mean=None)
    assert case_facts(volume(hu), volume(mask * 0)).labels == empty


@pytest.mark.parametrize(
    ("index", "end"),
    [
        ((0, 5, 5), "superior"),
        ((-1, 5, 5), "inferior"),
        ((5, 0, 5), "anterior"),
        ((5, -1, 5), "posterior"),
        ((5, 5, 0), "right"),
        ((5, 5, -1), "left"),
    ],
)
def test_ends_of_the_scan_that_labels_reach(index: tuple, end: str) -> None:
    hu, mask = scan_and_mask()
    mask[index] = 2
    assert case_facts(volume(hu), volume(mask)).labels.scan_ends == (end,)


@pytest.mark.parametrize("codes", ALL_AXIS_CODES[::5])
def test_the_same_scan_in_another_axis_order_has_the_same_facts(codes: str) -> None:
    hu, mask = scan_and_mask()
    sizes = np.empty(3)
    sizes[list(orientation(affine_of(codes)).permutation)] = (3.0, 2.0, 1.0)
    affine = affine_of(codes, tuple(sizes))
    way = orientation(affine)
    stored = [Volume.from_stored(undo_reorient(array, way), affine) for array in (hu, mask)]
    expected: CaseFacts = case_facts(volume(hu), volume(mask))
    assert case_facts(*stored) == replace(expected, axes=codes, spacing_zyx_mm=stored[0].grid.spacing_mm)
    assert case_facts(volume(hu + 1), volume(mask)).scan_crc32 != expected.scan_crc32
