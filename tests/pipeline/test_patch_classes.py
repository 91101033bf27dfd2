from pathlib import Path

import numpy as np
import pytest

from kits_tf.config import AppearanceSettings, PatchSettings, WarpSettings
from kits_tf.pipeline.dataset import BatchPlan, training_patches
from kits_tf.pipeline.manifest import Manifest
from kits_tf.pipeline.patch_classes import count_patch_voxels
from kits_tf.pipeline.recipe import PatchRecipe

SPACING = (12.0, 10.0, 10.0)
STILL = WarpSettings(rotation_probability=0, scale_probability=0, flip_zyx_probability=(0.0, 0.0, 0.0))
PLAIN = AppearanceSettings(**{name: 0.0 for name in vars(AppearanceSettings()) if name.endswith("probability")})


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("foreground_fraction", [0.0, 1.0])
def test_counted_are_the_patches_of_the_first_epoch(records_dir: Path, seed: int, foreground_fraction: float) -> None:
    manifest = Manifest.read(records_dir)
    shards, classes = manifest.shard_paths("train", records_dir), len(manifest.scheme.classes)
    patches = PatchSettings(
        patch_size_zyx=(5, 6, 7), patches_per_case=4, shuffle_patches=4, foreground_fraction=foreground_fraction
    )
    recipe = PatchRecipe(patches=patches, warp=STILL, appearance=PLAIN)
    num_patches = 4 * sum(shards.values())
    batches = training_patches(shards, recipe, SPACING, BatchPlan(batch_size=num_patches, seed=seed))
    labels = next(iter(batches)).source.labels.numpy()[:, : 5 * 6 * 7]
    counted = count_patch_voxels(manifest, records_dir, patches, seed)
    shown = np.bincount(labels.ravel(), minlength=classes)
    assert shown.sum() == num_patches * 5 * 6 * 7 and shown[0] > 0
    np.testing.assert_array_equal(counted[shown > 0], shown[shown > 0])


def test_patches_around_kidneys_show_more_of_them_than_whole_cases(records_dir: Path) -> None:
    manifest = Manifest.read(records_dir)
    around = PatchSettings(patch_size_zyx=(5, 6, 7), patches_per_case=4, foreground_fraction=1.0)
    shares = [
        counts / counts.sum()
        for counts in (count_patch_voxels(manifest, records_dir, around, 1), np.array(manifest.class_voxels("train")))
    ]
    assert (shares[0][1:] > shares[1][1:]).all()


def test_a_class_that_no_patch_shows_is_as_frequent_as_in_the_cases(records_dir: Path) -> None:
    manifest = Manifest.read(records_dir)
    anywhere = PatchSettings(patch_size_zyx=(4, 4, 4), patches_per_case=1, foreground_fraction=0.0)
    in_cases = np.array(manifest.class_voxels("train"))
    counted = count_patch_voxels(manifest, records_dir, anywhere, 19)
    # Two patches of background alone.
    np.testing.assert_allclose(counted, [128, *(128 * in_cases[1:] / in_cases.sum())])
