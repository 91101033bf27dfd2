"""How many voxels of each class the training patches have."""

import functools
import logging
from collections.abc import Mapping

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from kits_tf.base.words import count_text
from kits_tf.config import PatchSettings
from kits_tf.pipeline.dataset import as_written, whole_cases
from kits_tf.pipeline.patches import cut_box, draw_place, patch_seed

logger = logging.getLogger(__name__)


def count_patch_voxels(shards: Mapping[str, int], patches: PatchSettings, classes: int, seed: int) -> NDArray[np.int64]:
    """Returns the voxels of each class in the patches of the first epoch, before they are augmented, (classes,).

    Patches are drawn around kidneys and tumors, so that these are several times as frequent in what a network is
    trained on as in whole scans. All records are read once.

    Args:
        shards: paths, and the number of cases that each holds.
        patches: settings of the patches.
        classes: number of classes, background included.
        seed: random seed of the run.
    """
    logger.info("counting the classes in the patches of %s", count_text(sum(shards.values()), "case"))
    count = as_written(functools.partial(_count_of_case, patches, classes, seed))
    return whole_cases(shards).map(count).reduce(tf.zeros(classes, tf.int64), tf.add).numpy()


def _count_of_case(patches: PatchSettings, classes: int, seed: int, case: dict[str, tf.Tensor]) -> tf.Tensor:
    """Returns the voxels of each class over a case's patches, (classes,) int64."""
    size = tf.constant(patches.patch_size_zyx)

    def of_patch(index: tf.Tensor) -> tf.Tensor:
        drawn = patch_seed(seed, tf.constant(0, tf.int64), case["case_id"], index)
        labels = cut_box(case["labels"], draw_place(case, drawn, patches) - size // 2, size, 0)
        return tf.math.bincount(tf.cast(labels, tf.int32), minlength=classes, maxlength=classes, dtype=tf.int64)

    return tf.reduce_sum(tf.map_fn(of_patch, tf.range(patches.patches_per_case), fn_output_signature=tf.int64), axis=0)
