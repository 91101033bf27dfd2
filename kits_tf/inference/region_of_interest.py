"""The part of a scan that goes through the network: the body, or what a coarse network has labeled.

A box is (3, 2) float64: its begin and end along z, y and x, as shares of the scan's extent, so that it means the same
on every grid over the scan. All of an empty box is 0.
"""

from typing import NamedTuple

import tensorflow as tf

from kits_tf.ct.geometry import Triple
from kits_tf.ct.sides import BODY_HU

# Distance between the voxels that are sampled to find the body.
_STEP_MM = 3.0
# A plane with less of the body than this holds no kidney.
_SMALLEST_BODY_MM2 = 400.0
_BODY_MARGIN_MM = 10.0
# A plane with less labeled area than this is taken for a speck: a kidney of 5 cm is above it from the first millimeter
# on.
_SMALLEST_LABELED_MM2 = 100.0


def body_box(hu: tf.Tensor, spacing_mm: tf.Tensor) -> tf.Tensor:
    """Returns the box of all planes that cut 4 cm^2 of body or table, and a margin; the whole scan if none does."""
    steps = tf.maximum(1, tf.cast(_STEP_MM / spacing_mm, tf.int32))
    body = hu[:: steps[0], :: steps[1], :: steps[2]] > BODY_HU
    step_mm, extent_mm = spacing_mm * tf.cast(steps, tf.float64), spacing_mm * tf.cast(tf.shape(hu), tf.float64)
    whole = tf.constant([[0.0, 1.0]] * 3, tf.float64)
    planes = _PlaneRule(_SMALLEST_BODY_MM2, _BODY_MARGIN_MM, whole)
    return _box_around(body, step_mm, extent_mm, planes)


def box_of_labels(labels: tf.Tensor, spacing_mm: tf.Tensor, margin_mm: float) -> tf.Tensor:
    """Returns the box of all planes that cut 1 cm^2 of labels but 0, and a margin; an empty box if none does.

    Args:
        labels: (z, y, x) uint8.
        spacing_mm: (3,) float64, voxel sizes along z, y and x.
        margin_mm: margin on each side.
    """
    extent_mm = spacing_mm * tf.cast(tf.shape(labels), tf.float64)
    planes = _PlaneRule(_SMALLEST_LABELED_MM2, margin_mm, otherwise=tf.zeros([3, 2], tf.float64))
    return _box_around(labels > 0, spacing_mm, extent_mm, planes)


def is_empty(box: tf.Tensor) -> tf.Tensor:
    """Returns whether a box is empty, bool."""
    return tf.reduce_all(box == 0)


def box_on_grid(box: tf.Tensor, shape: tf.Tensor, smallest: Triple) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the first voxels and the sizes of a box on a grid, both (3,) int32.

    Args:
        box: (3, 2) float64, see above.
        shape: (3,) int32, shape of the grid.
        smallest: least sizes, to which the box is widened as far as the grid reaches; an empty one too.
    """
    edges = box * tf.cast(shape, tf.float64)[:, None]
    start = tf.maximum(0, tf.cast(tf.floor(edges[:, 0]), tf.int32))
    stop = tf.minimum(shape, tf.cast(tf.math.ceil(edges[:, 1]), tf.int32))
    size = tf.minimum(shape, tf.maximum(stop - start, smallest))
    return tf.clip_by_value((start + stop - size) // 2, 0, shape - size), size


class _PlaneRule(NamedTuple):
    """Which planes a box is to hold.

    Attributes:
        smallest_mm2: area that a plane has to cut of the mask, or more.
        margin_mm: margin on each side of these planes.
        otherwise: box where no plane along some axis cuts as much.
    """

    smallest_mm2: float
    margin_mm: float
    otherwise: tf.Tensor


def _box_around(mask: tf.Tensor, step_mm: tf.Tensor, extent_mm: tf.Tensor, rule: _PlaneRule) -> tf.Tensor:
    """Returns the box of the planes of a mask that cut more than an area of it, and a margin.

    Args:
        mask: (z, y, x) bool.
        step_mm: (3,) float64, distance of neighboring voxels of the mask.
        extent_mm: (3,) float64, extent of the scan.
        rule: area and margin.
    """
    edges, is_any = [], tf.constant(True)
    margin = tf.constant([-rule.margin_mm, rule.margin_mm], tf.float64)
    for axis in range(3):
        others = [a for a in range(3) if a != axis]
        count = tf.cast(tf.math.count_nonzero(mask, axis=others, dtype=tf.int32), tf.float64)
        planes = tf.where(count * step_mm[others[0]] * step_mm[others[1]] > rule.smallest_mm2)[:, 0]
        ends_mm = tf.cast(tf.stack([tf.reduce_min(planes), tf.reduce_max(planes) + 1]), tf.float64) * step_mm[axis]
        edges.append(tf.clip_by_value((ends_mm + margin) / extent_mm[axis], 0.0, 1.0))
        is_any &= tf.size(planes) > 0
    return tf.where(is_any, tf.stack(edges), rule.otherwise)
