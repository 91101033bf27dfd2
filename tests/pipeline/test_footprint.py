import dataclasses

from kits_tf.config import InputSettings, PatchSettings, WarpSettings
from kits_tf.pipeline.footprint import estimate_footprint
from kits_tf.pipeline.recipe import PatchRecipe

PATCHES = PatchSettings(patch_size_zyx=(10, 10, 10), shuffle_patches=8)
OFF = WarpSettings(rotation_probability=0, scale_probability=0)
STILL = PatchRecipe(patches=PATCHES, warp=OFF)


def test_unwarped_patches_by_hand() -> None:
    found = estimate_footprint([100, 900], STILL, (1.0, 1.0, 1.0), 2, InputSettings(cases_at_once=3))
    assert (found.patches, found.patch_mean, found.patch_most) == (8 + 3 * 2, 3000, 3000)
    assert (found.cases, found.cache) == (900 * (1 + 3 * 3), 0)
    cached = estimate_footprint([100, 900], STILL, (1.0, 1.0, 1.0), 2, InputSettings(cache="memory"))
    assert cached.cache == 1000 and "cached" in str(cached)


def test_warps_need_more_and_the_line_says_so() -> None:
    turned = dataclasses.replace(OFF, rotation_probability=0.5, rotation_zyx_degrees=(45.0, 0.0, 0.0))
    found = estimate_footprint(
        [100_000_000], dataclasses.replace(STILL, warp=turned), (1.0, 1.0, 1.0), 2, InputSettings()
    )
    assert 3000 < found.patch_mean < found.patch_most <= 3000 * 4
    assert str(found).startswith("input: 14 patches, 0.0 MB each on average and at most 0.0 MB, + 700 MB of cases")
