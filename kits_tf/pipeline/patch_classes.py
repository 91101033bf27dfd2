"""How many voxels of each class the training patches have."""

import functools
import os

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from kits_tf.base.progress import still_working
from kits_tf.base.words import count_text
from kits_tf.config import PatchSettings
from kits_tf.pipeline.dataset import as_written, whole_cases
from kits_tf.pipeline.manifest import Manifest
from kits_tf.pipeline.patches import cut_box, draw_place, patch_seed


def count_patch_voxels(
    manifest: Manifest, records_dir: str | os.PathLike, patches: PatchSettings, seed: int
) -> NDArray[np.float64]:
    """Returns the voxels of each class in the training patches of the first epoch, before they are augmented.

    Patches are drawn around kidneys and tumors, so that these are several times as frequent in what a network is
    trained on as in whole scans. All training records are read once.

    Args:
        manifest: manifest of the records.
        records_dir: folder of the records.
        patches: settings of the patches.
        seed: random seed of the run.

    Returns:
        (classes,). A class that no patch of the first epoch shows is as frequent here as in the cases.
    """
    shards, in_cases = manifest.shard_paths("train", records_dir), np.array(manifest.class_voxels("train"))
    classes = len(in_cases)
    count = as_written(functools.partial(_count_of_case, patches, classes, seed))
    with still_working(f"counting the classes in the patches of {count_text(sum(shards.values()), 'case')}"):
        in_patches = whole_cases(shards).map(count).reduce(tf.zeros(classes, tf.int64), tf.add).numpy()
    return np.where(in_patches > 0, in_patches, in_cases * (in_patches.sum() / in_cases.sum()))


def _count_of_case(patches: PatchSettings, classes: int, seed: int, case: dict[str, tf.Tensor]) -> tf.Tensor:
    """Returns the voxels of each class over a case's patches, (classes,) int64."""
    size = tf.constant(patches.patch_size_zyx)

    def of_patch(index: tf.Tensor) -> tf.Tensor:
        drawn = patch_seed(seed, tf.constant(0, tf.int64), case["case_id"], index)
        labels = cut_box(case["labels"], draw_place(case, drawn, patches) - size // 2, size, 0)
        return tf.math.bincount(tf.cast(labels, tf.int32), minlength=classes, maxlength=classes, dtype=tf.int64)

    return tf.reduce_sum(tf.map_fn(of_patch, tf.range(patches.patches_per_case), fn_output_signature=tf.int64), axis=0)
