import itertools
from dataclasses import replace
from pathlib import Path
from typing import get_args

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage

from kits_tf.base.errors import InputError
from kits_tf.config import NetworkSettings
from kits_tf.config.choices import PRESETS
from kits_tf.network.architecture import make_architecture
from kits_tf.network.unet.architecture import UNet
from kits_tf.network.unet.building import ACTIVATIONS

TINY = UNet(filters=(4, 8, 16), dropout=0.3)
IMAGE = np.random.default_rng(0).normal(size=(1, 8, 8, 8, 1)).astype(np.float32)
# docs/network.md has them too.
PARAMETERS = {
    "record": 16_549_316,
    "small": 351_540,
    "mlperf": 31_190_276,
    "winner": 61_586_068,
    "resenc_m": 102_335_236,
}


@pytest.fixture(autouse=True)
def _seed() -> None:
    keras.utils.set_random_seed(0)


def count_by_hand(filters: tuple[int, ...], classes: int, norm_numbers: int = 4) -> int:
    """Returns the parameters of a plain network of two convolutions a level; a batch norm has 4 numbers a filter."""

    def block(inputs: int, outputs: int) -> int:
        return 27 * inputs * outputs + 27 * outputs * outputs + 2 * norm_numbers * outputs

    down = sum(block(i, o) for i, o in itertools.pairwise((1, *filters)))
    up = sum(8 * deep * f + f + block(2 * f, f) for f, deep in itertools.pairwise(filters))
    return down + up + filters[0] * classes + classes


@pytest.mark.parametrize("filters", [(4, 8, 16), (5,)])
def test_parameters_by_hand(filters: tuple[int, ...]) -> None:
    assert UNet(filters=filters).build(4).count_params() == count_by_hand(filters, 4)


def test_presets_have_the_parameters_that_docs_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    # 10^8 random numbers take seconds.
    monkeypatch.setattr(keras.initializers.GlorotUniform, "__call__", lambda _, shape, dtype: tf.zeros(shape, dtype))
    assert set(PRESETS) == set(PARAMETERS)
    for name, parameters in PARAMETERS.items():
        assert PRESETS[name].build(4).count_params() == parameters, name
        assert PRESETS[name].source


def test_presets_have_the_parameters_of_their_sources() -> None:
    assert PARAMETERS["record"] == count_by_hand((32, 64, 128, 256, 320), 4)
    assert PARAMETERS["small"] == count_by_hand((8, 16, 32, 64), 4)
    # MLPerf's layers: two convolutions a level, the first of them strided, instance norm with two numbers a filter.
    assert PARAMETERS["mlperf"] == count_by_hand((32, 64, 128, 256, 320, 320), 4, norm_numbers=2)
    # What dynamic_network_architectures 0.4.4 counts for ResidualEncoderUNet with these numbers.
    check_residual("winner", 61_596_884)
    check_residual("resenc_m", 102_351_380)


def check_residual(name: str, counted: int) -> None:
    """The network counted has a bias in each convolution before a norm, and heads for deep supervision at four more
    levels.
    """
    unet = PRESETS[name]
    blocks = zip(unet.blocks, unet.filters, strict=True)
    biases = unet.filters[0] + sum(2 * n * f for n, f in blocks) + sum(unet.filters[:-1])
    heads = sum(4 * f + 4 for f in unet.filters[1:-1])
    assert PARAMETERS[name] == counted - biases - heads


def test_the_winner_takes_its_patch() -> None:
    unet = PRESETS["winner"]
    unet.check_patch_size((80, 160, 160))
    assert unet.total_stride() == (16, 32, 32)  # down to 5 voxels along each axis


def test_flags_choose_a_preset_and_change_it() -> None:
    assert make_architecture(NetworkSettings()) == PRESETS["record"]
    changed = make_architecture(NetworkSettings(preset="resenc_m", dropout=0.2, norm="none"))
    assert changed == replace(PRESETS["resenc_m"], dropout=0.2, norm="none")
    names = {f.name for f in NetworkSettings.__dataclass_fields__.values()} - {"preset"}
    assert names == set(UNet.__dataclass_fields__) - {"source"}  # whatever a U-Net has is a flag
    assert all(type(None) in get_args(NetworkSettings.__annotations__[name]) for name in names)
    assert NetworkSettings.__dataclass_fields__["activation"].metadata["choices"] == tuple(ACTIVATIONS)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"blocks": (1, 1, 0, 1, 1)}, "--blocks: expected 1 or more of each level but the finest, got 1,1,0,1,1"),
        ({"blocks": (1, 2)}, "--blocks: expected one number, or 5 for the levels of --filters, got 2"),
        (
            {"decoder_convolutions": (1, 2)},
            "--decoder_convolutions: expected one number, or 4 for the levels of --filters but the last, got 2",
        ),
        ({"kernels_z": (1, 3)}, "--kernels_z: expected one number, or 5 for the levels of --filters, got 2"),
        (
            {"strides_z": (1,) * 5},
            "--strides_z: expected one number, or 4 for the levels of --filters but the last, got 5",
        ),
    ],
)
def test_numbers_must_fit_the_levels(changes: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_architecture(NetworkSettings(**changes))


def test_a_level_without_blocks_hands_on_the_image_or_the_stem() -> None:
    for residual, name in ((False, "image"), (True, "stem_relu")):
        network = UNet(filters=(2, 3), blocks=(0, 1), residual=residual).build(2)
        skip = network.get_layer("decoder0_skip").input[0]
        model = keras.Model(network.input, [network.get_layer(name).output, skip])
        np.testing.assert_array_equal(*model(IMAGE))
        assert not [layer.name for layer in network.layers if layer.name.startswith("encoder0") and layer.weights]


def test_levels_of_the_decoder_have_their_own_convolutions() -> None:
    network = UNet(filters=(2, 3, 4), decoder_convolutions=(1, 2)).build(2)
    names = {layer.name for layer in network.layers if layer.name.startswith("decoder") and "_conv" in layer.name}
    assert names == {"decoder0_1_conv", "decoder1_1_conv", "decoder1_2_conv"}


@pytest.mark.parametrize("size", [(4, 4, 4), (8, 12, 4)])
def test_any_size_that_the_stride_divides(size: tuple[int, int, int]) -> None:
    logits = TINY.build(4)(np.zeros((2, *size, 1), np.float32))
    assert logits.shape == (2, *size, 4) and logits.dtype == "float32"
    assert TINY.total_stride() == (4, 4, 4)
    TINY.check_patch_size(size)


def test_other_sizes_are_refused() -> None:
    message = "--patch_size_zyx: expected multiples of 4,4,4, the network's strides, got 8,9,8"
    with pytest.raises(InputError, match=message):
        TINY.check_patch_size((8, 9, 8))
    with pytest.raises(InputError, match="expected multiples of 2,4,4"):
        replace(TINY, strides_z=(1, 2)).check_patch_size((3, 8, 8))


def test_thick_slices_are_neither_mixed_nor_joined_at_first() -> None:
    thick = replace(TINY, kernels_z=(1, 1, 3), strides_z=(1, 2), dropout=0.0)
    network = thick.build(2)
    assert network(np.zeros((1, 6, 8, 12, 1), np.float32)).shape == (1, 6, 8, 12, 2)
    assert network.get_layer("encoder0_1_conv").kernel.shape == (1, 3, 3, 1, 4)
    assert network.get_layer("bottom_1_conv").kernel.shape == (3, 3, 3, 8, 16)
    fine = keras.Model(network.input, network.get_layer("encoder1_dropout").output)
    other = IMAGE.copy()
    other[:, 3] += 1
    changed = (fine(IMAGE) != fine(other)).numpy().any(axis=(0, 2, 3, 4))
    np.testing.assert_array_equal(changed, np.arange(8) == 3)  # so far each slice is for itself


@pytest.mark.parametrize(
    "changes",
    [
        {"norm": "batch", "activation": "relu", "downsampling": "pool"},
        {"norm": "instance", "activation": "leaky_relu", "downsampling": "stride"},
        {"norm": "none", "attention": True, "blocks": (0, 1)},
        {"residual": True, "blocks": (1, 2), "downsampling": "pool"},
        {"residual": True, "blocks": (0, 1), "downsampling": "stride", "attention": True},
    ],
)
def test_every_choice_builds_trains_and_is_saved(changes: dict, tmp_path: Path) -> None:
    network = UNet(filters=(4, 8), dropout=0.0, **changes).build(3)
    check_trains_and_is_saved(network, tmp_path / "network.keras")


def check_trains_and_is_saved(network: keras.Model, path: Path) -> None:
    variables = network.trainable_variables
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(network(IMAGE, training=True)[..., 0] * IMAGE[..., 0])
    for variable, gradient in zip(variables, tape.gradient(loss, variables), strict=True):
        assert np.isfinite(gradient).all(), variable.path
        if "logits" not in variable.path:  # of which the loss looks at one class only
            assert np.abs(gradient).max() > 0, variable.path
    network.save(path)
    np.testing.assert_array_equal(network(IMAGE), keras.models.load_model(path)(IMAGE))


def test_instance_norm_is_each_filters_own() -> None:
    network = UNet(filters=(4,), norm="instance", blocks=(1,)).build(2)
    values = keras.Model(network.input, [network.get_layer(f"bottom_1_{n}").output for n in ("conv", "norm")])
    before, after = (v.numpy()[0].reshape(-1, 4) for v in values(IMAGE))
    np.testing.assert_allclose(after, (before - before.mean(axis=0)) / np.sqrt(before.var(axis=0) + 1e-5), atol=1e-4)


def test_a_residual_block_by_hand() -> None:
    network = UNet(filters=(2, 2), blocks=(1,), residual=True, norm="none", downsampling="stride", dropout=0.0).build(2)
    parts = ("encoder0_dropout", "bottom_1a_relu", "bottom_1_relu")
    model = keras.Model(network.input, [network.get_layer(name).output for name in parts])
    given, inner, found = (value.numpy()[0] for value in model(IMAGE))
    kernel = network.get_layer("bottom_1b_conv").kernel.numpy()
    convolved = sum(
        ndimage.correlate(inner[..., i], kernel[..., i, o], mode="constant")[..., None] * np.eye(2)[o]
        for i in range(2)
        for o in range(2)
    )
    averaged = given.reshape(4, 2, 4, 2, 4, 2, 2).mean(axis=(1, 3, 5))
    np.testing.assert_allclose(found, np.maximum(convolved + averaged, 0), atol=1e-5)


def test_a_gate_lets_a_share_of_the_skip_connection_pass() -> None:
    network = replace(TINY, attention=True, dropout=0.0).build(2)
    names = ("encoder0_dropout", "decoder0_gate_share", "decoder0_gate_times")
    model = keras.Model(network.input, [network.get_layer(name).output for name in names])
    skip, share, gated = (value.numpy() for value in model(IMAGE))
    assert share.shape[-1] == 1 and 0 < share.min() < share.max() < 1
    np.testing.assert_allclose(gated, skip * share, atol=1e-6)


def test_the_skip_connections_reach_the_output() -> None:
    network = TINY.build(4)
    before = network(IMAGE).numpy()
    network.get_layer("bottom_1_conv").kernel.assign(np.zeros((3, 3, 3, 8, 16)))
    after = network(IMAGE).numpy()
    assert (before != after).any()  # the bottom matters
    assert after.std() > 1e-3  # and without it the skips still carry the image


def test_dropout_acts_in_training_only() -> None:
    network = TINY.build(4)
    image = np.ones((1, 8, 8, 8, 1), np.float32)
    np.testing.assert_array_equal(network(image), network(image))
    plain = replace(TINY, dropout=0.0).build(4)
    rates = {layer.name: layer.rate for layer in network.layers if "dropout" in layer.name}
    assert rates.pop("bottom_dropout") == 0.3 and len(rates) == 4 and not any(rates.values())
    np.testing.assert_array_equal(plain(image, training=True), plain(image, training=True))


def test_norm_momentum_is_used() -> None:
    for momentum in (0.5, 0.9):
        network = UNet(filters=(4,), norm_momentum=momentum).build(2)
        network(np.full((1, 4, 4, 4, 1), 3.0, np.float32), training=True)
        moved = network.get_layer("bottom_1_norm").moving_variance.numpy()
        assert (moved < 1).any() and (moved >= momentum - 1e-6).all()


def test_an_untrained_network_finds_each_class_as_often_as_told() -> None:
    network = TINY.build(3, class_shares=(90, 10, 0))
    head = network.get_layer("logits")
    head.kernel.assign(np.zeros(head.kernel.shape))
    found = keras.ops.softmax(network(IMAGE)).numpy()
    np.testing.assert_allclose(found, np.broadcast_to((0.9, 0.1, 1e-6), found.shape), atol=1e-6)
    np.testing.assert_array_equal(TINY.build(3).get_layer("logits").bias, [0, 0, 0])


def test_weights_are_the_same_in_half_precision(tmp_path: Path) -> None:
    network = replace(TINY, norm="instance").build(3)
    network.save_weights(tmp_path / "network.weights.h5")
    keras.mixed_precision.set_dtype_policy("mixed_bfloat16")
    try:
        half = replace(TINY, norm="instance").build(3)
        half.load_weights(tmp_path / "network.weights.h5")
        logits = half(IMAGE)
    finally:
        keras.mixed_precision.set_dtype_policy("float32")
    assert logits.dtype == "float32"
    for ours, theirs in zip(network.get_weights(), half.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    exact = network(IMAGE).numpy()
    assert 0 < np.abs(logits - exact).mean() < 0.05 * exact.std()


def test_heads_look_at_the_decoder_and_are_not_in_the_network() -> None:
    deep = UNet(filters=(2, 4, 6, 8), strides_z=(1, 2, 2), deep_supervision=True)
    assert list(deep.supervised_levels()) == [0, 1] and deep.supervised_strides() == [(1, 1, 1), (1, 2, 2)]
    assert list(PRESETS["resenc_m"].supervised_levels()) == [0, 1, 2, 3]
    assert list(replace(deep, filters=(2, 4), strides_z=(1,)).supervised_levels()) == [0]
    network = deep.build(3)
    before = network.count_params()
    supervised = deep.with_heads(network)
    fine, coarse = supervised(IMAGE)
    np.testing.assert_array_equal(fine, network(IMAGE))
    assert coarse.shape == (1, 8, 4, 4, 3) and coarse.dtype == "float32"
    assert network.count_params() == before and supervised.count_params() == before + 4 * 3 + 3
    without = replace(deep, deep_supervision=False)
    np.testing.assert_array_equal(without.with_heads(network)(IMAGE), fine)
