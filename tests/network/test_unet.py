import itertools

import keras
import numpy as np
import pytest

from kits_tf.config import NetworkSettings
from kits_tf.errors import InputError
from kits_tf.network.unet import build_unet, check_patch_size, stride

SETTINGS = NetworkSettings(filters=(4, 8, 16), dropout=0.3)


def count_by_hand(filters: tuple[int, ...], classes: int) -> int:
    def block(inputs: int, outputs: int) -> int:
        return 27 * inputs * outputs + 27 * outputs * outputs + 2 * 4 * outputs  # two convolutions, two batch norms

    down = sum(block(i, o) for i, o in itertools.pairwise((1, *filters)))
    up = sum(8 * deep * f + f + block(2 * f, f) for f, deep in itertools.pairwise(filters))
    return down + up + filters[0] * classes + classes


@pytest.mark.parametrize("filters", [(4, 8, 16), (5,), (32, 64, 128, 256, 320)])
def test_parameters_by_hand(filters: tuple[int, ...]) -> None:
    network = build_unet(NetworkSettings(filters=filters), 4)
    assert network.count_params() == count_by_hand(filters, 4)


@pytest.mark.parametrize("size", [(4, 4, 4), (8, 12, 4)])
def test_any_size_that_the_stride_divides(size: tuple[int, int, int]) -> None:
    logits = build_unet(SETTINGS, 4)(np.zeros((2, *size, 1), np.float32))
    assert logits.shape == (2, *size, 4) and logits.dtype == "float32"
    assert stride(SETTINGS) == 4
    check_patch_size(size, SETTINGS)


def test_other_sizes_are_refused() -> None:
    with pytest.raises(
        InputError, match="--patch_size_zyx: expected multiples of 4 for 3 levels of --filters, got 8,9,8"
    ):
        check_patch_size((8, 9, 8), SETTINGS)


def test_the_skip_connections_reach_the_output() -> None:
    network = build_unet(SETTINGS, 4)
    image = np.random.default_rng(0).normal(size=(1, 8, 8, 8, 1)).astype(np.float32)
    before = network(image).numpy()
    network.get_layer("bottom_conv1").kernel.assign(np.zeros((3, 3, 3, 8, 16)))
    after = network(image).numpy()
    assert (before != after).any()  # the bottom matters
    assert after.std() > 1e-3  # and without it the skips still carry the image


def test_dropout_acts_in_training_only() -> None:
    network = build_unet(SETTINGS, 4)
    image = np.ones((1, 8, 8, 8, 1), np.float32)
    np.testing.assert_array_equal(network(image), network(image))
    plain = build_unet(NetworkSettings(filters=(4, 8, 16), dropout=0.0), 4)
    assert [layer.rate for layer in network.layers if "dropout" in layer.name] == [0.3] * 5
    np.testing.assert_array_equal(plain(image, training=True), plain(image, training=True))


def test_norm_momentum_is_used() -> None:
    for momentum in (0.5, 0.9):
        network = build_unet(NetworkSettings(filters=(4,), norm_momentum=momentum), 2)
        network(np.full((1, 4, 4, 4, 1), 3.0, np.float32), training=True)
        moved = network.get_layer("bottom_norm1").moving_variance.numpy()
        assert (moved < 1).any() and (moved >= momentum - 1e-6).all()


def test_keras_round_trip(tmp_path) -> None:
    network = build_unet(SETTINGS, 3)
    network.save(tmp_path / "network.keras")
    again = keras.models.load_model(tmp_path / "network.keras")
    image = np.random.default_rng(0).normal(size=(1, 4, 4, 4, 1)).astype(np.float32)
    np.testing.assert_array_equal(network(image), again(image))
