"""What a mask alone says against itself: kidneys that touch, that the scan cuts off, or that are not there."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kits_tf.base.words import structure_text
from kits_tf.ct.components import components_26
from kits_tf.ct.geometry import bounding_box

CUT_OFF = "cut off by the scan"
_SIDED = ("right_kidney", "left_kidney")


def doubts(labels: NDArray[np.uint8], classes: Sequence[str]) -> tuple[str, ...]:
    """Returns a phrase for each reason to look at a mask before it is used; () if there is none.

    Args:
        labels: labels of a whole scan, with axes in any order.
        classes: names of the labels 0, 1, ...
    """
    if not labels.any():
        return ("nothing is marked",)
    box, phrases = bounding_box(labels), []
    masks = {name: labels[box] == label for label, name in enumerate(classes) if label}
    for name, mask in masks.items():
        words = structure_text(name)
        if "kidney" in name and not mask.any():
            phrases.append(f"no {words}")
        elif touches_border(mask, box, labels.shape):
            phrases.append(f"{words} {CUT_OFF}")
    if set(_SIDED) <= masks.keys() and kidneys_touch(*(masks[name] for name in _SIDED)):
        phrases.append("the kidneys are fused")
    return tuple(phrases)


def touches_border(mask: NDArray[np.bool_], box: tuple[slice, ...], shape: Sequence[int]) -> bool:
    """Returns whether a mask lies in the first or last plane of a scan along an axis.

    Args:
        mask: mask within a box of the scan.
        box: the box.
        shape: shape of the scan.
    """
    for axis, (part, size) in enumerate(zip(box, shape, strict=True)):
        planes = np.moveaxis(mask, axis, 0)
        if (part.start == 0 and planes[0].any()) or (part.stop == size and planes[-1].any()):
            return True
    return False


def kidneys_touch(right: NDArray[np.bool_], left: NDArray[np.bool_]) -> bool:
    """Returns whether a voxel of one kidney is a neighbor, of 26, of one of the other."""
    if not right.any() or not left.any():
        return False
    near = bounding_box(right)
    grown = tuple(slice(max(0, part.start - 1), part.stop + 1) for part in near)
    both = components_26(right[grown] | left[grown])
    return bool(np.intersect1d(both[right[grown]], both[left[grown]]).size)
