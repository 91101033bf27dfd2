import numpy as np
import pytest
import tensorflow as tf

from kits_tf.analysis.mask_pair import confusion, region_dice
from kits_tf.ct.labels import KITS19, LATERALITY, Scheme
from kits_tf.network.metrics import StreamingDice

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("scheme", [LATERALITY, KITS19])
def test_equals_the_dice_of_all_batches_together(scheme: Scheme) -> None:
    size = len(scheme.classes)
    truth, predicted = (RNG.integers(0, size, (6, 3, 4, 5)).astype(np.uint8) for _ in range(2))
    metric = StreamingDice(scheme)
    for start in (0, 2, 5):
        part = slice(start, {0: 2, 2: 5, 5: 6}[start])
        metric.update_state(truth[part], np.eye(size)[predicted[part]])
    found = {name: float(value) for name, value in metric.result().items()}
    counts = confusion(truth, predicted, size)
    for label, name in list(enumerate(scheme.classes))[1:]:
        assert found[f"dice_{name}"] == pytest.approx(region_dice(counts, [label]))
    kidney = region_dice(counts, range(1, size))
    tumor = region_dice(counts, [scheme.challenge.index(2)])
    assert found["kidney_dice"] == pytest.approx(kidney) and found["tumor_dice"] == pytest.approx(tumor)
    assert found["composite"] == pytest.approx((kidney + tumor) / 2)


def test_replicas_that_share_an_epoch_unequally_count_as_one(two_replicas: tf.distribute.Strategy) -> None:
    truth, predicted = (RNG.integers(0, 4, (3, 3, 4, 5)).astype(np.uint8) for _ in range(2))
    one = StreamingDice(LATERALITY)
    one.update_state(truth, np.eye(4)[predicted])
    with two_replicas.scope():
        shared = StreamingDice(LATERALITY)
    parts = [slice(0, 2), slice(2, 2), slice(2, 3), slice(3, 3)]  # the second replica has nothing, twice
    for turn in (parts[:2], parts[2:]):
        batches = two_replicas.experimental_distribute_values_from_function(
            lambda context, turn=turn: [a[turn[context.replica_id_in_sync_group]] for a in (truth, predicted)]
        )
        two_replicas.run(lambda part: shared.update_state(part[0], tf.one_hot(part[1], 4)), [batches])
    assert {name: float(score) for name, score in shared.result().items()} == {
        name: float(score) for name, score in one.result().items()
    }


def test_empty_regions_are_decided_and_reset_forgets() -> None:
    metric = StreamingDice(KITS19)
    empty, kidney = np.zeros((1, 2, 2, 2), np.uint8), np.ones((1, 2, 2, 2), np.uint8)
    metric.update_state(empty, np.eye(3)[empty])
    assert [float(v) for v in metric.result().values()] == [1.0] * 5
    metric.update_state(empty, np.eye(3)[kidney])
    assert float(metric.result()["kidney_dice"]) == 0.0 and float(metric.result()["tumor_dice"]) == 1.0
    metric.reset_state()
    assert float(metric.result()["kidney_dice"]) == 1.0


def test_counts_beyond_float32() -> None:
    metric = StreamingDice(KITS19)
    metric.counts.assign(np.array([[0, 0, 0], [0, 2**40, 0], [0, 0, 0]]))
    metric.update_state(np.ones((1, 1, 1, 1), np.uint8), np.eye(3)[np.zeros((1, 1, 1, 1), int)])
    assert metric.counts.numpy()[1].tolist() == [1, 2**40, 0]


def test_counts_with_operations_that_a_gpu_has_deterministic_kernels_for() -> None:
    metric = StreamingDice(KITS19)
    specs = tf.TensorSpec([2, 4, 4, 4], tf.uint8), tf.TensorSpec([2, 4, 4, 4, 3], tf.float32)
    graph = tf.function(lambda labels, logits: metric.update_state(labels, logits)).get_concrete_function(*specs).graph
    # Seen on an H200: "Determinism is not yet supported in GPU implementation of DenseBincount".
    assert not {operation.type for operation in graph.get_operations()} & {"DenseBincount", "Bincount"}
