"""Doubts about masks that are drawn by hand."""

import numpy as np
import pytest

from kits_tf.ct.mask_doubts import doubts

SIDED = ("background", "right_kidney", "left_kidney", "tumor")
PLAIN = ("background", "kidney", "tumor")


def mask(*boxes: tuple[int, tuple[slice, slice, slice]]) -> np.ndarray:
    labels = np.zeros((9, 10, 11), np.uint8)
    for label, box in boxes:
        labels[box] = label
    return labels


RIGHT = (1, np.s_[2:5, 2:5, 1:4])
LEFT = (2, np.s_[2:5, 2:5, 6:9])


@pytest.mark.parametrize(
    ("labels", "classes", "expected"),
    [
        (mask(RIGHT, LEFT), SIDED, ()),
        (mask(), SIDED, ("nothing is marked",)),
        (mask(RIGHT), SIDED, ("no left kidney",)),
        (mask((1, np.s_[2:5, 2:5, 0:4]), LEFT), SIDED, ("right kidney cut off by the scan",)),
        (mask(RIGHT, (2, np.s_[2:5, 2:10, 6:9])), SIDED, ("left kidney cut off by the scan",)),
        (mask(RIGHT, (2, np.s_[5:7, 5:7, 4:7])), SIDED, ("the kidneys are fused",)),  # by a corner
        (mask(RIGHT, (2, np.s_[6:8, 5:7, 4:7])), SIDED, ()),  # a voxel between
        (mask(RIGHT, LEFT, (3, np.s_[8:9, 2:3, 2:3])), SIDED, ("tumor cut off by the scan",)),
        (mask((1, np.s_[0:5, 2:5, 2:5])), PLAIN, ("kidney cut off by the scan",)),
        (mask((2, np.s_[2:5, 2:5, 2:5])), PLAIN, ("no kidney",)),
        (mask((3, np.s_[2:5, 2:5, 2:5])), SIDED, ("no right kidney", "no left kidney")),
    ],
)
def test_each_doubt_has_its_phrase_in_any_axis_order(labels: np.ndarray, classes: tuple, expected: tuple) -> None:
    for axes in ((0, 1, 2), (2, 0, 1), (1, 2, 0)):
        assert doubts(labels.transpose(axes), classes) == expected
        assert doubts(labels.transpose(axes)[::-1], classes) == expected
