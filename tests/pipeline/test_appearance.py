import itertools
from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf
from conftest import no_warp
from scipy import ndimage, stats

from kits_tf.config import AppearanceSettings
from kits_tf.pipeline import appearance, preview
from kits_tf.pipeline.appearance import EFFECTS, Appearance, Effect, gaussian_kernel
from kits_tf.pipeline.augment import Augmentation

SIZE = (8, 12, 15)
IMAGE = np.random.default_rng(0).normal(0.3, 1, SIZE).astype(np.float32)
CHANCES = [name for name in vars(AppearanceSettings()) if name.endswith("probability")]
OFF = AppearanceSettings(**dict.fromkeys(CHANCES, 0.0))
ALL = AppearanceSettings(**dict.fromkeys(CHANCES, 1.0))
# By effect: its chance in DIFFERENT, its range, and what of its parameter is uniform.
EXPECTED: dict[str, tuple[float, tuple[float, float], Callable]] = {
    "convolved": (0.8, (0.0, 1.0), np.asarray),
    "noise_std": (0.1, (0.0, 0.1), np.square),
    "blur_sigma": (0.2, (0.5, 1.0), np.asarray),
    "brightness": (0.3, (0.75, 1.25), np.log),
    "contrast": (0.4, (0.75, 1.25), np.log),
    "resolution": (0.5, (0.5, 1.0), np.asarray),
    "inverted_gamma": (0.6, (0.7, 1.5), np.log),
    "gamma": (0.7, (0.7, 1.5), np.log),
}
DIFFERENT = AppearanceSettings(
    noise_probability=0.1,
    blur_probability=0.2,
    brightness_probability=0.3,
    contrast_probability=0.4,
    low_resolution_probability=0.5,
    inverted_gamma_probability=0.6,
    gamma_probability=0.7,
    random_convolution_probability=0.8,
)
PINNED = (0.317814, 0.312213, 0.523015, 0.963746, 1.12794, 0.584024, 1.02604, 0.967712)


def changes(**parameters: float) -> Appearance:
    """Returns an appearance with these parameters, and the neutral ones of all other effects."""
    values = {name: effect.neutral for name, effect in EFFECTS.items()} | parameters
    return Appearance(tf.constant(list(values.values()), tf.float32), tf.constant([1, 2]))


def change(image: np.ndarray, **parameters: float) -> np.ndarray:
    return appearance.change_appearance(tf.constant(image), changes(**parameters), ALL).numpy()


def draw(count: int, settings: AppearanceSettings) -> dict[str, np.ndarray]:
    """Returns the parameters of the seeds (0, 0), (1, 0), ... by effect."""

    @tf.function
    def run() -> tf.Tensor:
        seeds = tf.stack([tf.range(count), tf.zeros([count], tf.int32)], axis=1)
        return tf.map_fn(
            lambda s: appearance.sample_appearance(s, settings).parameters, seeds, fn_output_signature=tf.float32
        )

    return dict(zip(EFFECTS, run().numpy().T, strict=True))


@pytest.fixture(scope="module")
def drawn() -> dict[str, np.ndarray]:
    return draw(4000, DIFFERENT)


def test_effects_are_applied_in_this_order() -> None:
    assert list(EFFECTS) == list(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_each_change_has_its_own_chance_and_range(drawn: dict[str, np.ndarray], name: str) -> None:
    chance, bounds, uniform = EXPECTED[name]
    changed = drawn[name] != EFFECTS[name].neutral
    assert changed.mean() == pytest.approx(chance, abs=0.025)
    low, high = (0.0, 0.1) if name == "noise_std" else uniform(bounds)
    shares = (uniform(drawn[name][changed].astype(float)) - low) / (high - low)
    assert -1e-6 < shares.min() < 0.02 and 0.98 < shares.max() < 1 + 1e-6
    assert stats.kstest(shares, "uniform").pvalue > 0.01


def test_changes_are_independent(drawn: dict[str, np.ndarray]) -> None:
    changed = [values != EFFECTS[name].neutral for name, values in drawn.items()]
    assert np.abs(np.corrcoef(changed) - np.eye(len(changed))).max() < 0.06
    for first, second in itertools.combinations(range(len(changed)), 2):
        both = changed[first] & changed[second]
        values = [list(drawn.values())[i][both] for i in (first, second)]
        assert abs(np.corrcoef(*values)[0, 1]) < 4 / np.sqrt(both.sum())


def test_without_chances_nothing_changes() -> None:
    for name, values in draw(20, OFF).items():
        assert (values == EFFECTS[name].neutral).all()


def test_the_defaults_are_nnunets() -> None:
    shares = [(values != EFFECTS[name].neutral).mean() for name, values in draw(2000, AppearanceSettings()).items()]
    np.testing.assert_allclose(shares, (0, 0.1, 0.2, 0.15, 0.15, 0.25, 0.1, 0.3), atol=0.03)


def test_a_seed_repeats() -> None:
    one, again, other = (appearance.sample_appearance(tf.constant(s), ALL) for s in ((1, 2), (1, 2), (1, 3)))
    for part, same, different in zip(one, again, other, strict=True):
        np.testing.assert_array_equal(part, same)
        assert (part.numpy() != different.numpy()).any()
    # A run can be made again only while these stay as they are.
    np.testing.assert_allclose(one.parameters, PINNED, rtol=1e-5)


def test_another_effect_takes_one_entry_and_changes_no_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    before = appearance.sample_appearance(tf.constant([1, 2]), ALL)
    monkeypatch.setattr(EFFECTS, "_things", dict(EFFECTS))
    EFFECTS.register("offset")(
        Effect(
            neutral=0.0,
            chance=lambda settings: 1.0,
            draw=lambda seed, settings: appearance.uniform(seed, (2.0, 3.0)),
            apply=lambda image, offset, seed, settings: image + offset,
        )
    )
    after = appearance.sample_appearance(tf.constant([1, 2]), ALL)
    np.testing.assert_array_equal(after.parameters[:-1], before.parameters)
    assert 2 <= after.parameters[-1] <= 3
    np.testing.assert_allclose(change(IMAGE, offset=2.5), IMAGE + 2.5)
    augmentation = Augmentation(no_warp(), changes(offset=2.5))
    assert preview.describe(augmentation, (1.0, 1.0, 1.0)) == "offset 2.50"


def test_nothing_to_do_changes_nothing() -> None:
    np.testing.assert_array_equal(change(IMAGE), IMAGE)


@pytest.mark.parametrize("name", EXPECTED)
def test_every_parameter_changes_the_output(name: str) -> None:
    assert (change(IMAGE, **{name: 0.6}) != IMAGE).mean() > 0.9
    without = appearance.change_appearance(tf.constant(IMAGE), changes(**{name: 0.6}), OFF)
    np.testing.assert_array_equal(without, IMAGE)  # no chance, no effect


def test_brightness_is_a_factor() -> None:
    np.testing.assert_array_equal(change(IMAGE, brightness=0.8), IMAGE * np.float32(0.8))


def test_noise_has_its_deviation_and_follows_its_seed() -> None:
    flat = tf.zeros([40, 40, 40])
    noise = appearance.add_noise(flat, tf.constant(0.3), tf.constant([1, 2])).numpy()
    assert noise.std() == pytest.approx(0.3, rel=0.02) and abs(noise.mean()) < 0.005
    np.testing.assert_array_equal(noise, appearance.add_noise(flat, tf.constant(0.3), tf.constant([1, 2])))
    seeds = [changes(noise_std=0.3)._replace(seed=tf.constant([1, n])) for n in (2, 2, 3)]
    one, again, other = (appearance.change_appearance(flat, seed, ALL).numpy() for seed in seeds)
    assert (one == again).all() and (one != other).mean() > 0.99
    assert (noise != appearance.add_noise(flat, tf.constant(0.3), tf.constant([1, 3])).numpy()).mean() > 0.99


@pytest.mark.parametrize("sigma", [0.5, 0.73, 1.0, 2.5])
def test_blur_is_scipys(sigma: float) -> None:
    expected = ndimage.gaussian_filter(IMAGE.astype(float), sigma, mode="nearest")
    np.testing.assert_allclose(appearance.blur(tf.constant(IMAGE), gaussian_kernel(sigma, sigma)), expected, atol=1e-5)
    np.testing.assert_allclose(appearance.blur(tf.constant(IMAGE), gaussian_kernel(sigma, 4.0)), expected, atol=1e-5)


def test_weights_by_hand() -> None:
    np.testing.assert_array_equal(gaussian_kernel(0.0, 0.5), [0, 0, 1, 0, 0])
    near, far = np.exp(-1 / 0.72), np.exp(-4 / 0.72)
    expected = np.array([0, far, near, 1, near, far, 0]) / (1 + 2 * near + 2 * far)
    np.testing.assert_allclose(gaussian_kernel(0.6, 0.7), expected, atol=1e-7)


def test_a_drawn_blur_is_scipys_whatever_the_largest_one() -> None:
    for largest in (1.0, 2.5):
        settings = AppearanceSettings(blur_probability=1, blur_sigma_range=(0.5, largest))
        found = appearance.change_appearance(tf.constant(IMAGE), changes(blur_sigma=0.8), settings)
        np.testing.assert_allclose(found, ndimage.gaussian_filter(IMAGE, 0.8, mode="nearest"), atol=1e-5)


def test_contrast_by_hand() -> None:
    image = tf.constant([[[0.0, 1.0], [2.0, 5.0]]])
    np.testing.assert_allclose(appearance.change_contrast(image, 0.5), [[[1.0, 1.5], [2.0, 3.5]]])
    np.testing.assert_allclose(appearance.change_contrast(image, 2.0), [[[0.0, 0.0], [2.0, 5.0]]])  # range is kept


@pytest.mark.parametrize("share", [0.5, 0.61, 0.99])
def test_low_resolution_keeps_the_nearest_voxels_and_fills_in_by_cubic_convolution(share: float) -> None:
    found = appearance.lower_resolution(tf.constant(IMAGE), tf.constant(share)).numpy()
    small, kept = IMAGE, [round(n * share) for n in SIZE]
    for axis, (n, k) in enumerate(zip(SIZE, kept, strict=True)):
        small = np.take(small, ((np.arange(k) + 0.5) * n / k).astype(int), axis)
    rows = tf.image.resize(tf.reshape(small, [1, kept[0], -1, 1]), [SIZE[0], kept[1] * kept[2]], "bicubic")
    planes = tf.image.resize(tf.reshape(rows, [SIZE[0], kept[1], kept[2], 1]), SIZE[1:], "bicubic")[..., 0]
    inside = tuple(slice(-(-2 * n // k), -(-2 * n // k) * -1) for n, k in zip(SIZE, kept, strict=True))
    np.testing.assert_allclose(found[inside], planes.numpy()[inside], atol=2e-3)


def test_low_resolution_of_all_voxels_changes_nothing() -> None:
    np.testing.assert_allclose(appearance.lower_resolution(tf.constant(IMAGE), tf.constant(1.0)), IMAGE, atol=1e-6)


@pytest.mark.parametrize("exponent", [0.7, 1.5])
def test_gamma_by_numpy(exponent: float) -> None:
    found = appearance.change_gamma(tf.constant(IMAGE), tf.constant(exponent)).numpy()
    low, high = IMAGE.min(), IMAGE.max()
    curved = ((IMAGE.astype(float) - low) / (high - low)) ** exponent
    expected = (curved - curved.mean()) / curved.std() * IMAGE.std() + IMAGE.mean()
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert found.mean() == pytest.approx(IMAGE.mean(), abs=1e-5) and found.std() == pytest.approx(IMAGE.std(), abs=1e-5)


def test_inverted_gamma_is_gamma_of_the_negative() -> None:
    found = change(IMAGE, inverted_gamma=1.3)
    np.testing.assert_allclose(found, -appearance.change_gamma(tf.constant(-IMAGE), tf.constant(1.3)).numpy())
    # Where gamma above 1 brightens the bright, that of the negative darkens the dark: skewness falls.
    assert ((found - IMAGE.mean()) ** 3).mean() < ((IMAGE - IMAGE.mean()) ** 3).mean()


@pytest.mark.parametrize("share", [0.3, 1.0])
@pytest.mark.parametrize("seed", range(4))
def test_random_convolutions_are_scipys_correlations(seed: int, share: float) -> None:
    found = appearance.convolve_randomly(tf.constant(IMAGE), tf.constant(share), tf.constant([seed, 5])).numpy()
    features = [IMAGE.astype(float)]
    for layer, of_layer in enumerate(tf.random.experimental.stateless_split([seed, 5], 4)):
        weights, bias = map(np.asarray, appearance.random_layer(of_layer, len(features), 1 if layer == 3 else 2))
        features = [
            bias[out] + sum(ndimage.correlate(x, weights[out, i], mode="nearest") for i, x in enumerate(features))
            for out in range(len(weights))
        ]
        if layer < 3:
            features = [np.where(x > 0, x, 0.01 * x) for x in features]
    network = features[0]
    expected = (network - network.mean()) / network.std() * IMAGE.std() + IMAGE.mean()
    # Where the network's values hardly differ, float32 has few digits of how they do.
    np.testing.assert_allclose(found, share * expected + (1 - share) * IMAGE, atol=2e-3)


def test_half_of_the_random_layers_see_the_voxel_alone() -> None:
    draw_weights = tf.function(lambda seed: appearance.random_layer(tf.stack([seed, 1]), 2, 2)[0], autograph=False)
    weights = [draw_weights(tf.constant(seed)).numpy() for seed in range(300)]
    alone = [w for w in weights if not np.delete(w.reshape(4, 27), 13, axis=1).any()]
    assert 0.4 < len(alone) / len(weights) < 0.6 and all(w[..., 1, 1, 1].all() for w in alone)
    assert np.std([w for w in weights if w.all()]) == pytest.approx(1, rel=0.05)


@pytest.mark.parametrize(
    "change",
    [
        lambda flat: appearance.convolve_randomly(flat, 0.8, tf.constant([1, 2])),
        lambda flat: appearance.change_gamma(flat, 0.8),
        lambda flat: appearance.change_contrast(flat, 0.8),
        lambda flat: appearance.lower_resolution(flat, 0.8),
        lambda flat: appearance.blur(flat, gaussian_kernel(0.8, 1.0)),
    ],
)
def test_a_flat_patch_stays_as_it_is(change: Callable) -> None:
    flat = tf.fill(SIZE, 0.25)
    np.testing.assert_allclose(change(flat), flat, atol=1e-6)
