from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage

from kits_tf.config import AppearanceSettings
from kits_tf.pipeline import appearance
from kits_tf.pipeline.appearance import Appearance, gaussian_weights

SIZE = (8, 12, 15)
IMAGE = np.random.default_rng(0).normal(0.3, 1, SIZE).astype(np.float32)
CHANCES = [name for name in vars(AppearanceSettings()) if name.endswith("probability")]
OFF = AppearanceSettings(**dict.fromkeys(CHANCES, 0.0))
NEUTRAL = Appearance(*map(tf.constant, (0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0, [1, 2])), gaussian_weights(0.0, 1.0))
NEUTRAL_VALUES = {name: part.numpy() for name, part in NEUTRAL._asdict().items()}
FIELDS = dict(
    zip(
        ("noise", "blur", "brightness", "contrast", "low_resolution", "inverted_gamma", "gamma", "random_convolution"),
        Appearance._fields,
        strict=False,
    )
)


def draw(count: int, settings: AppearanceSettings) -> Appearance:
    """Returns the appearances of many seeds, as NumPy arrays."""

    @tf.function
    def run() -> Appearance:
        seeds = tf.stack([tf.range(count), tf.zeros([count], tf.int32)], axis=1)
        types = tf.nest.map_structure(tf.type_spec_from_value, appearance.sample_appearance(seeds[0], settings))
        return tf.map_fn(lambda s: appearance.sample_appearance(s, settings), seeds, fn_output_signature=types)

    return Appearance(*[part.numpy() for part in run()])


@pytest.mark.parametrize(
    ("name", "bounds", "neutral"),
    [
        ("noise", (0.0, np.sqrt(0.1)), 0),
        ("blur", (0.5, 1.0), 0),
        ("brightness", (0.75, 1.25), 1),
        ("contrast", (0.75, 1.25), 1),
        ("low_resolution", (0.5, 1.0), 1),
        ("inverted_gamma", (0.7, 1.5), 1),
        ("gamma", (0.7, 1.5), 1),
        ("random_convolution", (0.0, 1.0), 0),
    ],
)
def test_each_change_has_its_own_chance_and_range(name: str, bounds: tuple, neutral: float) -> None:
    drawn = draw(600, AppearanceSettings(**{**vars(OFF), f"{name}_probability": 0.4}))
    for field in FIELDS.values():
        values = getattr(drawn, field)
        changed = values != NEUTRAL_VALUES[field]
        assert (0.33 < changed.mean() < 0.47) if field == FIELDS[name] else not changed.any()
    values = getattr(drawn, FIELDS[name])
    values = values[values != neutral]
    width = bounds[1] - bounds[0]
    assert bounds[0] <= values.min() < bounds[0] + 0.1 * width and bounds[1] - 0.1 * width < values.max() <= bounds[1]


def test_the_defaults_are_nnunets() -> None:
    drawn = draw(2000, AppearanceSettings())
    shares = [(getattr(drawn, field) != NEUTRAL_VALUES[field]).mean() for field in FIELDS.values()]
    np.testing.assert_allclose(shares, (0.1, 0.2, 0.15, 0.15, 0.25, 0.1, 0.3, 0), atol=0.03)


def test_a_seed_repeats() -> None:
    one, again, other = (
        appearance.sample_appearance(tf.constant(s), AppearanceSettings(brightness_probability=1))
        for s in ((1, 2), (1, 2), (1, 3))
    )
    assert one.brightness == again.brightness != other.brightness
    np.testing.assert_array_equal(one.seed, again.seed)


def test_nothing_to_do_changes_nothing() -> None:
    np.testing.assert_array_equal(appearance.change_appearance(tf.constant(IMAGE), NEUTRAL), IMAGE)


@pytest.mark.parametrize("field", FIELDS.values())
def test_every_parameter_changes_the_output(field: str) -> None:
    changed = NEUTRAL._replace(**{field: tf.constant(0.6)}, blur_weights=gaussian_weights(0.6, 1.0))
    assert (appearance.change_appearance(tf.constant(IMAGE), changed).numpy() != IMAGE).mean() > 0.9


def test_noise_has_its_deviation_and_follows_its_seed() -> None:
    flat = tf.zeros([40, 40, 40])
    noise = appearance.add_noise(flat, tf.constant(0.3), tf.constant([1, 2])).numpy()
    assert noise.std() == pytest.approx(0.3, rel=0.02) and abs(noise.mean()) < 0.005
    np.testing.assert_array_equal(noise, appearance.add_noise(flat, tf.constant(0.3), tf.constant([1, 2])))
    assert (noise != appearance.add_noise(flat, tf.constant(0.3), tf.constant([1, 3])).numpy()).mean() > 0.99


@pytest.mark.parametrize("sigma", [0.5, 0.73, 1.0, 2.5])
def test_blur_is_scipys(sigma: float) -> None:
    expected = ndimage.gaussian_filter(IMAGE.astype(float), sigma, mode="nearest")
    np.testing.assert_allclose(appearance.blur(tf.constant(IMAGE), gaussian_weights(sigma, sigma)), expected, atol=1e-5)
    np.testing.assert_allclose(appearance.blur(tf.constant(IMAGE), gaussian_weights(sigma, 4.0)), expected, atol=1e-5)


def test_weights_by_hand() -> None:
    np.testing.assert_array_equal(gaussian_weights(0.0, 0.5), [0, 0, 1, 0, 0])
    near, far = np.exp(-1 / 0.72), np.exp(-4 / 0.72)
    expected = np.array([0, far, near, 1, near, far, 0]) / (1 + 2 * near + 2 * far)
    np.testing.assert_allclose(gaussian_weights(0.6, 0.7), expected, atol=1e-7)


def test_a_drawn_blur_has_its_weights() -> None:
    drawn = draw(20, AppearanceSettings(blur_probability=1, blur_sigma_range=(0.5, 1.5)))
    for sigma, weights in zip(drawn.blur_sigma, drawn.blur_weights, strict=True):
        np.testing.assert_allclose(weights, gaussian_weights(sigma, 1.5), atol=1e-7)


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
    found = appearance.change_appearance(tf.constant(IMAGE), NEUTRAL._replace(inverted_gamma=tf.constant(1.3)))
    np.testing.assert_allclose(found, -appearance.change_gamma(tf.constant(-IMAGE), tf.constant(1.3)).numpy())
    # Where gamma above 1 brightens the bright, that of the negative darkens the dark: skewness falls.
    assert ((found - IMAGE.mean()) ** 3).numpy().mean() < ((IMAGE - IMAGE.mean()) ** 3).mean()


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
    weights = [appearance.random_layer(tf.constant([seed, 1]), 2, 2)[0].numpy() for seed in range(300)]
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
        lambda flat: appearance.blur(flat, gaussian_weights(0.8, 1.0)),
    ],
)
def test_a_flat_patch_stays_as_it_is(change: Callable) -> None:
    flat = tf.fill(SIZE, 0.25)
    np.testing.assert_allclose(change(flat), flat, atol=1e-6)
