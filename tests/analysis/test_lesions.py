from dataclasses import astuple

import numpy as np
import pytest

from kits_tf.analysis.lesions import Lesion, count_lesions, find_lesions


def test_by_hand() -> None:
    """Of three true tumors one is found, one touched too little, one missed; one is made up, and a speck is nothing."""
    truth, predicted = np.zeros((2, 10, 10, 40), bool)
    truth[2:6, 2:6, 2:6] = True  # 64 voxels
    predicted[2:6, 2:6, 3:8] = True  # 80, of which 48 in common
    truth[2:6, 2:6, 12:16] = predicted[5:6, 5:6, 15:18] = True  # 1 voxel of 64 + 3 - 1
    truth[2:6, 2:6, 24:28] = True
    predicted[2:6, 2:6, 32:36] = True
    predicted[9, 9, 39] = True
    found = sorted(
        find_lesions(truth, predicted, voxel_ml=0.05), key=lambda lesion: (lesion.is_true, lesion.volume_ml, lesion.iou)
    )[::-1]
    assert [(lesion.is_true, round(lesion.volume_ml, 6), lesion.matched) for lesion in found] == [
        (True, 3.2, True), (True, 3.2, False), (True, 3.2, False),
        (False, 4.0, True), (False, 3.2, False), (False, 0.15, False),
    ]  # fmt: skip
    assert [lesion.iou for lesion in found] == pytest.approx([48 / 96, 1 / 66, 0, 48 / 96, 0, 1 / 66])
    table = count_lesions(found)
    assert [astuple(row) for row in table] == [
        ("0 to 20", 3, 1, 2), ("20 to 40", 0, 0, 0), ("40 to 70", 0, 0, 0), ("above 70", 0, 0, 0)
    ]  # fmt: skip


def test_one_component_over_two_lesions_counts_for_each_by_its_share() -> None:
    truth, predicted = np.zeros((2, 4, 4, 12), bool)
    truth[:, :, 0:4] = truth[:, :, 8:12] = True
    predicted[...] = True
    assert [lesion.iou for lesion in find_lesions(truth, predicted, 1.0)] == pytest.approx([1 / 3, 1 / 3, 2 / 3])


def test_diameter_is_that_of_a_ball() -> None:
    assert Lesion(True, 4 / 3 * np.pi * 2**3, 1.0).diameter_mm == pytest.approx(40)
    assert count_lesions([Lesion(True, 4 / 3 * np.pi * 2**3 * 1.01, 0.5)])[2].detected == 1


def test_nothing_has_no_lesions() -> None:
    empty = np.zeros((2, 3, 4), bool)
    assert find_lesions(empty, empty, 1.0) == []
    assert sum(row.true for row in count_lesions([])) == 0
