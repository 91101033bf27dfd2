from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from kits_tf.config import PatchSettings
from kits_tf.pipeline import dataset
from kits_tf.pipeline.manifest import Manifest

SIZE = (5, 6, 7)


def settings(**changes: object) -> PatchSettings:
    return PatchSettings(**{"patch_size_zyx": SIZE, "patches_per_case": 3, "shuffle_patches": 4, **changes})


@pytest.fixture(scope="module")
def shards(records_dir: Path) -> list[str]:
    return Manifest.read(records_dir).shard_paths("train", records_dir)


def all_patches(batches: tf.data.Dataset) -> np.ndarray:
    return np.concatenate([hu for hu, _ in batches.as_numpy_iterator()])


@pytest.mark.parametrize("center", [(0, 0, 0), (4, 5, 6), (9, 9, 9), (2, 9, 0)])
@pytest.mark.parametrize("size", [(3, 3, 3), (4, 5, 6), (25, 25, 25)])
def test_cut_patch_equals_padding_first(center: tuple, size: tuple) -> None:
    volume = np.random.default_rng(0).integers(-1000, 1000, (10, 10, 10)).astype(np.int16)
    padded = np.pad(volume, 30, constant_values=-7)
    start = [c + 30 - n // 2 for c, n in zip(center, size, strict=True)]
    expected = padded[tuple(slice(s, s + n) for s, n in zip(start, size, strict=True))]
    np.testing.assert_array_equal(dataset.cut_patch(volume, tf.constant(center), size, -7), expected)


def test_centers_fall_on_the_classes_equally_often() -> None:
    voxels = np.array([[1, 0, 0, 0]] * 90 + [[3, 2, 2, 2]] * 10, np.int32)
    drawn = [tuple(dataset.draw_center(voxels, (5, 5, 5), 1.0, (seed, 0)).numpy()) for seed in range(200)]
    assert set(drawn) == {(0, 0, 0), (2, 2, 2)}
    assert 75 < drawn.count((2, 2, 2)) < 125


def test_foreground_fraction_is_kept_and_an_empty_mask_gives_any_voxel() -> None:
    voxels = np.array([[1, 0, 0, 0]], np.int32)
    shape = tf.constant((50, 60, 70))
    drawn = np.array([dataset.draw_center(voxels, shape, 0.3, (seed, 0)) for seed in range(300)])
    assert 0.2 < (drawn == 0).all(axis=1).mean() < 0.4
    anywhere = np.array([dataset.draw_center(voxels[:0], shape, 1.0, (seed, 0)) for seed in range(300)])
    assert (anywhere >= 0).all() and (anywhere < shape.numpy()).all()
    np.testing.assert_allclose(anywhere.mean(axis=0), shape.numpy() / 2, rtol=0.12)


def test_patches_are_cut_from_the_records(shards: list[str], records_dir: Path) -> None:
    batches = dataset.training_patches(shards, len(shards), settings(), SIZE, batch_size=2, seed=1)
    assert batches.cardinality() == len(shards) * 3 // 2
    for hu, labels in batches:
        assert hu.dtype == tf.int16 and labels.dtype == tf.uint8
        assert hu.shape == labels.shape == (2, *SIZE)
        assert (labels.numpy() == 0)[hu.numpy() < -300].all()  # image and label are aligned: no kidney in air


def test_a_seed_gives_the_same_epochs_and_epochs_differ(shards: list[str]) -> None:
    def epochs(seed: int) -> tuple[np.ndarray, np.ndarray]:
        batches = dataset.training_patches(shards, len(shards), settings(), SIZE, batch_size=1, seed=seed)
        return all_patches(batches), all_patches(batches)

    first, second = epochs(1)
    again_first, again_second = epochs(1)
    np.testing.assert_array_equal(first, again_first)
    np.testing.assert_array_equal(second, again_second)
    assert (first != second).any()
    assert (first != epochs(2)[0]).any()


def test_every_training_case_is_seen_in_an_epoch(shards: list[str]) -> None:
    per_case = {}
    for shard in shards:
        one = dataset.validation_patches([shard], 1, settings(foreground_fraction=0.0), 40, 1, seed=0)
        per_case[shard] = {patch.tobytes() for patch in all_patches(one)}
    assert len(per_case) == len(shards) > 1
    seen = dataset.training_patches(shards, len(shards), settings(patch_size_zyx=(1, 1, 1)), (60, 80, 80), 1, seed=3)
    # A patch larger than the case holds all of it, so its multiset of values tells the case.
    volumes = {int(np.abs(hu.astype(np.int64) + 1024).sum()) for hu in all_patches(seen)}
    assert len(volumes) >= len(shards)


def test_validation_patches_never_change(shards: list[str]) -> None:
    batches = dataset.validation_patches(shards, len(shards), settings(), 2, batch_size=3, seed=1)
    assert batches.cardinality() == -(-len(shards) * 2 // 3)
    first = all_patches(batches)
    assert len(first) == len(shards) * 2
    np.testing.assert_array_equal(first, all_patches(batches))
