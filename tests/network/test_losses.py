from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage

from kits_tf.base.errors import InputError
from kits_tf.base.registry import import_plugins
from kits_tf.config import LossSettings
from kits_tf.config.choices import LOSSES
from kits_tf.network.deep_supervision import DeepSupervision
from kits_tf.network.losses.boundary_cross_entropy import Boundary
from kits_tf.network.losses.cross_entropy import WeightedCrossEntropy
from kits_tf.network.losses.tversky import Tversky

RNG = np.random.default_rng(0)
GOLDEN = Path(__file__).parent.parent / "golden" / "monai_losses.npz"
NAMES = list(LOSSES)
WEIGHTS = (0.5, 2.0, 3.0)
# Of three classes; the second example has no class 2.
LABELS = RNG.integers(0, 3, (2, 2, 3, 2))
LABELS[1] = np.minimum(LABELS[1], 1)
LOGITS = RNG.normal(size=(*LABELS.shape, 3)).astype(np.float32)


def make_loss(settings: LossSettings, class_weights: tuple[float, ...]) -> keras.losses.Loss:
    return LOSSES[settings.loss](settings, class_weights)


def one_row(truth: list[int], probabilities: list[list[float]]) -> tuple[np.ndarray, np.ndarray]:
    """Returns labels and logits of one example, a row of voxels."""
    return np.array(truth)[None, None, None], np.log(np.array(probabilities, np.float32))[None, None, None]


@pytest.fixture(scope="module")
def monai() -> dict[str, np.ndarray]:
    with np.load(GOLDEN) as found:
        return dict(found)


def of_monai(monai: dict[str, np.ndarray]) -> dict[str, keras.losses.Loss]:
    dice_cross_entropy = LossSettings(loss="dice_cross_entropy", overlap_background=False)
    return {
        "cross_entropy": WeightedCrossEntropy(monai["class_weights"]),
        "smoothed_cross_entropy": WeightedCrossEntropy((1,) * 4, label_smoothing=0.1),
        "focal": WeightedCrossEntropy((0.25,) * 4, focal_gamma=2.0),  # MONAI's is a mean over classes too
        "dice_example": Tversky(over="example", background=False),
        "dice_batch": Tversky(over="batch", background=True),
        "dice_squared": Tversky(over="example", background=True, squared=True),
        "absent": Tversky(over="example", background=True, absent=True),
        "dice_cross_entropy": make_loss(dice_cross_entropy, (1,) * 4),
        "tversky_example": Tversky(0.3, 0.7, over="example", background=True),
        "tversky_batch": Tversky(0.3, 0.7, over="batch", background=False),
    }


def test_values_and_gradients_are_monais(monai: dict[str, np.ndarray]) -> None:
    for name, loss in of_monai(monai).items():
        logits = tf.Variable(monai["logits"])
        with tf.GradientTape() as tape:
            value = loss(monai["absent_labels" if name == "absent" else "labels"], logits)
        assert float(value) == pytest.approx(float(monai[name]), rel=1e-5), name
        np.testing.assert_allclose(tape.gradient(value, logits), monai[f"{name}_gradient"], atol=1e-6, err_msg=name)


def test_cross_entropy_by_hand() -> None:
    labels, logits = one_row([0, 2], [[0.5, 0.25, 0.25], [0.1, 0.8, 0.1]])
    loss = WeightedCrossEntropy((1.0, 5.0, 3.0))(labels, logits)
    assert float(loss) == pytest.approx((1.0 * -np.log(0.5) + 3.0 * -np.log(0.1)) / 2, rel=1e-6)


def test_equal_weights_are_keras_cross_entropy() -> None:
    logits = 20 * LOGITS
    keras_loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    assert float(WeightedCrossEntropy((1, 1, 1))(LABELS, logits)) == pytest.approx(
        float(keras_loss(LABELS, logits)), rel=1e-5
    )


def test_focal_loss_by_hand() -> None:
    loss = WeightedCrossEntropy((1.0, 3.0), focal_gamma=2.0)(*one_row([0, 1], [[0.5, 0.5], [0.9, 0.1]]))
    expected = (0.5**2 * -np.log(0.5) + 3.0 * 0.9**2 * -np.log(0.1)) / 2
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_label_smoothing_by_hand() -> None:
    loss = WeightedCrossEntropy((1.0, 3.0), label_smoothing=0.2)(*one_row([1], [[0.25, 0.75]]))
    assert float(loss) == pytest.approx(1.0 * 0.1 * -np.log(0.25) + 3.0 * 0.9 * -np.log(0.75), rel=1e-5)


def test_adjusted_logits_by_hand() -> None:
    """Of the probabilities 0.25 and 0.75, weighted by 1 and 9 to the power of one half: 0.1 and 0.9."""
    row = one_row([0], [[0.25, 0.75]])
    assert float(WeightedCrossEntropy((1.0, 9.0), logit_adjustment=0.5)(*row)) == pytest.approx(-np.log(0.1), rel=1e-5)
    without = WeightedCrossEntropy((1.0, 0.0), logit_adjustment=1.0)(*row)
    assert float(without) == pytest.approx(-np.log(0.25), rel=1e-5), "a class of weight 0 has no logarithm"


@pytest.mark.parametrize("adjustment", [0.0, 0.5, 1.0])
def test_the_least_adjusted_loss_is_at_shares_times_weights(adjustment: float) -> None:
    """Voxels that look alike, 9 of 10 background: w to the power of what is not adjusted is left in the answer."""
    labels = np.array([0] * 9 + [1]).reshape(1, 1, 1, 10)
    loss = WeightedCrossEntropy((0.5, 6.0), logit_adjustment=adjustment)
    one_for_all = tf.Variable([0.0, 0.0])
    for _ in range(400):
        with tf.GradientTape() as tape:
            value = loss(labels, tf.broadcast_to(one_for_all, [1, 1, 1, 10, 2]))
        one_for_all.assign_sub(0.5 * tape.gradient(value, one_for_all))
    shares = np.array([0.9 * 0.5 ** (1 - adjustment), 0.1 * 6.0 ** (1 - adjustment)])
    np.testing.assert_allclose(tf.nn.softmax(one_for_all), shares / shares.sum(), atol=1e-4)


def test_tversky_by_hand() -> None:
    row = one_row([1, 1, 0], [[0.4, 0.6], [0.1, 0.9], [0.8, 0.2]])
    # TP = 1.5, FP = 0.2, FN = 0.5
    assert float(Tversky()(*row)) == pytest.approx(1 - 3.0 / 3.7, rel=1e-5)
    assert float(Tversky(0.3, 0.7)(*row)) == pytest.approx(1 - 1.5 / (1.5 + 0.06 + 0.35), rel=1e-5)
    squares = Tversky(squared=True)(*row)
    assert float(squares) == pytest.approx(1 - 3.0 / (0.6**2 + 0.9**2 + 0.2**2 + 2), rel=1e-5)
    # The background: TP = 0.8, FP = 0.5, FN = 0.2.
    both = (1 - 3.0 / 3.7 + 1 - 1.6 / 2.3) / 2
    assert float(Tversky(background=True)(*row)) == pytest.approx(both, rel=1e-5)


def test_over_the_batch_and_over_examples() -> None:
    softmax = np.exp(LOGITS) / np.exp(LOGITS).sum(-1, keepdims=True)

    def dice(examples: list[int], c: int) -> float:
        found, truth = softmax[examples, ..., c], LABELS[examples] == c
        return 2 * (found * truth).sum() / (found.sum() + truth.sum())

    by_batch = 1 - (dice([0, 1], 1) + dice([0, 1], 2)) / 2
    by_example = (1 - (dice([0], 1) + dice([0], 2)) / 2 + 1 - dice([1], 1)) / 2  # without the class that is absent
    assert float(Tversky(over="batch")(LABELS, LOGITS)) == pytest.approx(by_batch, rel=1e-5)
    assert float(Tversky(over="example")(LABELS, LOGITS)) == pytest.approx(by_example, rel=1e-5)


def test_an_absent_class_counts_by_hand_where_it_is_told_to() -> None:
    # Of class 2 there is nothing, and little is found of it.
    row = one_row([1, 0], [[0.2, 0.8, 4e-6], [0.7, 0.3, 6e-6]])
    present = 0.5 * (0.2 + 0.3) / (0.8 + 0.5 * (0.2 + 0.3))
    false = 0.5 * (4e-6 + 6e-6)
    assert float(Tversky()(*row)) == pytest.approx(present, rel=1e-4)
    expected = (present + false / (false + 5e-6)) / 2
    assert float(Tversky(absent=True)(*row)) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("over", ["batch", "example"])
def test_without_foreground_a_loss_of_sums_is_zero_and_so_is_its_gradient(over: str) -> None:
    logits = tf.Variable(LOGITS)
    with tf.GradientTape() as tape:
        value = Tversky(over=over, background=False)(np.zeros_like(LABELS), logits)
    assert float(value) == 0
    np.testing.assert_array_equal(tape.gradient(value, logits), np.zeros_like(LOGITS))


def test_distances_are_scipys() -> None:
    labels = np.zeros((1, 9, 10, 11), np.uint8)
    labels[0, 2:6, 3:9, 4:9] = 1
    labels[0, 7, 1, 1] = 2
    found = Boundary(reach=4).distance(labels, 4).numpy()[0]
    for c in (1, 2):
        inside = labels[0] == c
        outward = ndimage.distance_transform_cdt(~inside, "chessboard")
        inward = ndimage.distance_transform_cdt(np.pad(inside, 9, mode="edge"), "chessboard")[9:-9, 9:-9, 9:-9]
        expected = np.minimum(outward, 4) - np.maximum(np.minimum(inward, 4) - 1, 0)
        np.testing.assert_array_equal(found[..., c - 1], expected)
    np.testing.assert_array_equal(found[..., 2], 0)  # an absent class


def test_boundary_by_hand() -> None:
    labels, logits = one_row([1, 0, 0], [[0.2, 0.8], [0.7, 0.3], [0.9, 0.1]])
    assert float(Boundary(reach=2)(labels, logits)) == pytest.approx((0 * 0.8 + 0.5 * 0.3 + 1 * 0.1) / 3, rel=1e-5)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("over", ["batch", "example"])
def test_gradients_are_the_numerical_ones(name: str, over: str) -> None:
    settings = LossSettings(loss=name, overlap_over=over, overlap_squared=over == "example", focal_gamma=0.5)
    loss = make_loss(settings, WEIGHTS)
    logits = tf.Variable(LOGITS)
    with tf.GradientTape() as tape:
        value = loss(LABELS, logits)
    gradient = tape.gradient(value, logits).numpy()
    assert np.abs(gradient).max() > 1e-4
    for index in list(np.ndindex(LOGITS.shape))[::5]:
        step = np.zeros_like(LOGITS)
        step[index] = 2e-2
        numerical = (float(loss(LABELS, LOGITS + step)) - float(loss(LABELS, LOGITS - step))) / 4e-2
        assert gradient[index] == pytest.approx(numerical, abs=2e-5, rel=5e-3)


@pytest.mark.parametrize("name", NAMES)
def test_losses_fall_to_nothing_for_the_truth_and_stay_finite(name: str) -> None:
    loss = make_loss(LossSettings(loss=name), WEIGHTS)
    right = 2e4 * np.eye(3, dtype=np.float32)[LABELS] - 1e4
    if name != "boundary_cross_entropy":  # it falls below
        assert float(loss(LABELS, right)) == pytest.approx(0, abs=1e-4)
    for logits in (right.astype(np.float16), -right.astype(np.float16), 0 * right):
        variable = tf.Variable(logits)
        with tf.GradientTape() as tape:
            value = loss(LABELS, variable)
        assert np.isfinite(float(value)) and np.isfinite(tape.gradient(value, variable).numpy()).all()
        assert float(value) >= float(loss(LABELS, right)) - 1e-6


@pytest.mark.parametrize("name", NAMES)
def test_half_precision_is_summed_in_float32(name: str) -> None:
    labels = np.zeros((1, 32, 32, 32), np.uint8)
    labels[:, :2] = 1
    logits = tf.constant(RNG.normal(size=(*labels.shape, 3)), tf.bfloat16)
    loss = make_loss(LossSettings(loss=name), WEIGHTS)
    assert float(loss(labels, logits)) == pytest.approx(float(loss(labels, tf.cast(logits, tf.float32))), rel=1e-6)


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith("boundary")])
def test_the_order_of_voxels_does_not_matter(name: str) -> None:
    loss = make_loss(LossSettings(loss=name, overlap_over="example"), WEIGHTS)
    order = RNG.permutation(LABELS[0].size)
    labels = LABELS.reshape(2, -1)[:, order].reshape(LABELS.shape)
    logits = LOGITS.reshape(2, -1, 3)[:, order].reshape(LOGITS.shape)
    assert float(loss(labels, logits)) == pytest.approx(float(loss(LABELS, LOGITS)), rel=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_serializes(name: str) -> None:
    settings = LossSettings(
        loss=name,
        focal_gamma=1.5,
        label_smoothing=0.1,
        overlap_over="example",
        overlap_squared=True,
        tversky_alpha=0.2,
    )
    loss = make_loss(settings, WEIGHTS)
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert again.get_config() == loss.get_config()
    assert float(again(LABELS, LOGITS)) == float(loss(LABELS, LOGITS))


def test_a_module_of_ones_own_adds_a_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a_loss_of_this_test.py").write_text(
        "import keras\n"
        "from kits_tf.config.choices import LOSSES\n"
        "@LOSSES.register('constant')\n"
        "def make(settings, class_weights):\n"
        "    return Constant(class_weights)\n"
        "class Constant(keras.losses.Loss):\n"
        "    def __init__(self, class_weights):\n"
        "        super().__init__()\n"
        "        self.class_weights = class_weights\n"
        "    def call(self, y_true, y_pred):\n"
        "        return 0 * y_pred[..., 0] + sum(self.class_weights)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("KITS_TF_PLUGINS", "")
    with pytest.raises(InputError, match="--loss: expected one of .*, got constant"):
        LossSettings(loss="constant")
    import_plugins(("a_loss_of_this_test",))
    assert float(make_loss(LossSettings(loss="constant"), WEIGHTS)(LABELS, LOGITS)) == pytest.approx(sum(WEIGHTS))
    LOSSES._things.pop("constant")


def test_an_unknown_way_to_sum_is_an_error() -> None:
    with pytest.raises(ValueError, match="over: expected example or batch, got voxel"):
        Tversky(over="voxel")


@pytest.mark.parametrize("over", ["batch", "example"])
@pytest.mark.parametrize("name", NAMES)
def test_replicas_that_share_a_batch_have_its_gradient(
    two_replicas: tf.distribute.Strategy, name: str, over: str
) -> None:
    settings = LossSettings(loss=name, overlap_over=over)

    def gradient(labels: tf.Tensor, logits: tf.Tensor, kernel: tf.Variable) -> tf.Tensor:
        with tf.GradientTape() as tape:
            value = make_loss(settings, WEIGHTS)(labels, logits @ kernel)
        return tape.gradient(value, kernel)

    expected = gradient(LABELS, LOGITS, tf.Variable(np.eye(3, dtype=np.float32)))
    with two_replicas.scope():
        kernel = tf.Variable(np.eye(3, dtype=np.float32))
    parts = [
        two_replicas.experimental_distribute_values_from_function(
            lambda replica, v=values: tf.constant(v[replica.replica_id_in_sync_group :][:1])
        )
        for values in (LABELS, LOGITS)
    ]
    found = two_replicas.run(tf.function(lambda *part: gradient(*part, kernel)), parts)
    found = two_replicas.reduce(tf.distribute.ReduceOp.SUM, found, axis=None)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_deep_supervision_by_hand() -> None:
    labels = RNG.integers(0, 3, (2, 4, 4, 6))
    logits = [RNG.normal(size=(2, *size, 3)).astype(np.float32) for size in ((4, 4, 6), (4, 2, 3), (2, 1, 1))]
    single = WeightedCrossEntropy(WEIGHTS)
    strides = [(1, 1, 1), (1, 2, 2), (2, 4, 6)]
    loss = DeepSupervision(single, strides)
    near = [labels, labels[:, :, 1::2, 1::2], labels[:, 1::2, 2::4, 3::6]]
    parts = [float(single(truth, found)) for truth, found in zip(near, logits, strict=True)]
    assert float(loss(labels, logits)) == pytest.approx((4 * parts[0] + 2 * parts[1] + parts[2]) / 7, rel=1e-6)
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert float(again(labels, logits)) == float(loss(labels, logits))
    alone = DeepSupervision(single, strides[:1])
    assert float(alone(labels, logits[:1])) == pytest.approx(parts[0], rel=1e-6)
