import numpy as np
import pytest
import tensorflow as tf

from kits_tf.config import PatchSettings, WarpSettings
from kits_tf.pipeline import patches
from kits_tf.pipeline.recipe import PatchRecipe

SIZE = (5, 6, 7)


@pytest.mark.parametrize("start", [(-2, -2, -2), (3, 4, 5), (8, 8, 8), (2, -9, 0), (20, 0, 0), (0, -40, 0)])
@pytest.mark.parametrize("size", [(3, 3, 3), (4, 5, 6), (25, 25, 25)])
def test_cut_box_equals_padding_first(start: tuple, size: tuple) -> None:
    volume = np.random.default_rng(0).integers(-1000, 1000, (10, 10, 10)).astype(np.int16)
    padded = np.pad(volume, 50, constant_values=-7)
    expected = padded[tuple(slice(s + 50, s + 50 + n) for s, n in zip(start, size, strict=True))]
    np.testing.assert_array_equal(patches.cut_box(volume, tf.constant(start), tf.constant(size), -7), expected)


def test_centers_fall_on_the_classes_equally_often() -> None:
    voxels = np.array([[1, 0, 0, 0]] * 90 + [[3, 2, 2, 2]] * 10, np.int32)
    drawn = [tuple(patches.draw_center(voxels, (5, 5, 5), 1.0, (seed, 0)).numpy()) for seed in range(200)]
    assert set(drawn) == {(0, 0, 0), (2, 2, 2)}
    assert 75 < drawn.count((2, 2, 2)) < 125


def test_foreground_fraction_is_kept_and_an_empty_mask_gives_any_voxel() -> None:
    voxels = np.array([[1, 0, 0, 0]], np.int32)
    shape = tf.constant((50, 60, 70))
    drawn = np.array([patches.draw_center(voxels, shape, 0.3, (seed, 0)) for seed in range(300)])
    assert 0.2 < (drawn == 0).all(axis=1).mean() < 0.4
    anywhere = np.array([patches.draw_center(voxels[:0], shape, 1.0, (seed, 0)) for seed in range(300)])
    assert (anywhere >= 0).all() and (anywhere < shape.numpy()).all()
    np.testing.assert_allclose(anywhere.mean(axis=0), shape.numpy() / 2, rtol=0.12)


@pytest.mark.parametrize(
    ("voxels", "expected"), [(1, 210), (210, 210), (211, 315), (316, 420), (421, 630), (631, 840), (10**9, None)]
)
def test_lengths_come_in_steps(voxels: int, expected: int | None) -> None:
    found = int(patches.capacity(tf.constant(voxels), SIZE))
    assert found == expected if expected else found >= voxels


def test_a_length_beyond_all_steps_is_kept() -> None:
    assert patches.capacity(tf.constant(2**31 - 1), SIZE) == 2**31 - 1


def draw_sources(case: dict, settings: PatchSettings, count: int) -> list[np.ndarray]:
    """Returns the HU of the boxes that patches without a warp are cut from, one a seed."""
    still = WarpSettings(rotation_probability=0, scale_probability=0, flip_zyx_probability=(0, 0, 0))
    recipe = PatchRecipe(patches=settings, warp=still)
    draw = tf.function(
        lambda seed: patches.draw_patch(case, seed, recipe, (1.0, 1.0, 1.0)).source.hu,
        input_signature=[tf.TensorSpec([2], tf.int32)],
        autograph=False,
    )
    return [draw(tf.constant([seed, 0])).numpy() for seed in range(count)]


def test_shifts_fill_their_range() -> None:
    """A case whose HU tell the place, so that a patch tells where it was cut."""
    z, y, x = np.meshgrid(*[np.arange(30)] * 3, indexing="ij")
    case = {
        "case_id": tf.constant("case_00000"),
        "hu": tf.constant((z * 900 + y * 30 + x).astype(np.int16)),
        "labels": tf.zeros([30, 30, 30], tf.uint8),
        "class_voxels": tf.constant([[1, 15, 15, 15]]),
    }
    settings = PatchSettings(patch_size_zyx=(10, 10, 10), foreground_fraction=1.0, crop_shift_fraction=0.3)
    sources = draw_sources(case, settings, 150)
    found = np.array([np.unravel_index(hu[0], (30, 30, 30)) for hu in sources]) - 10
    assert (found.min(axis=0) == -3).all() and (found.max(axis=0) == 3).all()
    assert np.abs(np.corrcoef(found.T) - np.eye(3)).max() < 0.3


@pytest.mark.parametrize(
    ("center", "start"),
    [
        ((2, 3, 10), (0, 0, -2)),  # first places along z and y; x is smaller than the patch by 5
        ((3, 12, 0), (1, 9, -2)),
        ((39, 29, 5), (35, 24, -2)),
    ],
)
def test_patches_are_moved_inside_by_hand(center: tuple, start: tuple) -> None:
    """Of 5 x 6 x 10 voxels in 40 x 30 x 5."""
    moved = patches.move_inside(tf.constant(center), tf.constant((40, 30, 5)), (5, 6, 10))
    np.testing.assert_array_equal(moved - tf.constant((2, 3, 5)), start)


def test_no_patch_that_fits_shows_what_is_beyond_the_scan() -> None:
    case = {
        "case_id": tf.constant("case_00000"),
        "hu": tf.zeros([12, 9, 14], tf.int16),
        "labels": tf.zeros([12, 9, 14], tf.uint8),
        "class_voxels": tf.constant([[1, 0, 0, 0], [2, 11, 8, 13]]),
    }
    settings = PatchSettings(patch_size_zyx=(8, 9, 10), foreground_fraction=0.5, crop_shift_fraction=1.0)
    for hu in draw_sources(case, settings, 50):
        assert len(hu) == 720 and (hu == 0).all()


def test_patch_seeds_tell_cases_epochs_and_indices_apart() -> None:
    def seed(run: int, epoch: int, case: str, patch_index: int) -> tuple:
        found = patches.patch_seed(run, tf.constant(epoch, tf.int64), tf.constant(case), tf.constant(patch_index))
        return tuple(found.numpy())

    assert seed(1, 2, "a", 3) == seed(1, 2, "a", 3)
    assert (
        len({seed(1, 2, "a", 3), seed(2, 2, "a", 3), seed(1, 3, "a", 3), seed(1, 2, "b", 3), seed(1, 2, "a", 4)}) == 5
    )


def test_a_patch_tells_its_case() -> None:
    names = ["case_00123", "Fälle/7", "x" * 40]
    case = {"hu": tf.zeros([4, 4, 4], tf.int16), "labels": tf.zeros([4, 4, 4], tf.uint8)}
    recipe = PatchRecipe(patches=PatchSettings(patch_size_zyx=(2, 2, 2)))
    rows = [
        patches.draw_patch(
            case | {"case_id": tf.constant(name), "class_voxels": tf.zeros([0, 4], tf.int32)},
            tf.constant([0, 1]),
            recipe,
            (1.0, 1.0, 1.0),
        )
        for name in names
    ]
    batch = rows[0]._replace(case_id=tf.stack([row.case_id for row in rows]))
    assert patches.case_ids(batch) == ["case_00123", "Fälle/7", "x" * 32]
