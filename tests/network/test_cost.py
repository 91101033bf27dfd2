import glob
import os
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.tsl.profiler.protobuf import xplane_pb2

from kits_tf.config import NetworkSettings, OptimizationSettings, PatchSettings
from kits_tf.ct.labels import LATERALITY
from kits_tf.network.architecture import make_architecture
from kits_tf.network.cost import trace_cost
from kits_tf.network.weighting import ClassBalance
from kits_tf.pipeline.recipe import PatchRecipe
from kits_tf.training.description import describe_layers, trace_trainer
from kits_tf.training.trainer import Trainer, TrainerSettings, build_trainer

VOLUME = tf.TensorSpec((1, 4, 4, 4, 1))
SLOW = pytest.mark.slow


def trainer_of(rematerialize: bool = False, **network: object) -> Trainer:
    network = {"filters": (8, 16)} | network if "preset" not in network else network
    settings = TrainerSettings(
        optimization=OptimizationSettings(rematerialize=rematerialize),
        recipe=PatchRecipe(patches=PatchSettings(patch_size_zyx=(64, 64, 64))),
    )
    balance = ClassBalance(weights=(1.0,) * 4)
    return build_trainer(make_architecture(NetworkSettings(**network)), settings, LATERALITY, balance)


def test_operations_by_hand() -> None:
    kernel = tf.ones((3, 3, 3, 1, 2))

    def step(x: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch([x, kernel])
            y = tf.nn.conv3d(x, kernel, [1, 2, 2, 2, 1], "SAME")
        return tape.gradient(y, [x, kernel])

    assert trace_cost(lambda x: tf.nn.conv3d(x, kernel, [1, 1, 1, 1, 1], "SAME"), VOLUME).flops == 2 * 64 * 27 * 2
    assert trace_cost(lambda x: tf.nn.conv3d(x, kernel, [1, 2, 2, 2, 1], "SAME"), VOLUME).flops == 2 * 8 * 27 * 2
    assert trace_cost(step, VOLUME).flops == 2 * (2 * 8 * 27 * 2)  # whose result nobody wants is not computed
    transposed = tf.ones((2, 2, 2, 3, 1))
    shape = (1, 8, 8, 8, 3)
    found = trace_cost(lambda x: tf.nn.conv3d_transpose(x, transposed, shape, [1, 2, 2, 2, 1]), VOLUME)
    assert found.flops == 2 * 64 * 8 * 3


def test_memory_by_hand() -> None:
    size = 4 * 4 * 4 * 4  # bytes of a volume
    assert trace_cost(lambda x: x, VOLUME).peak_bytes == 0
    assert trace_cost(lambda x: tf.exp(x), VOLUME).peak_bytes == size
    assert trace_cost(lambda x: tf.exp(tf.sin(tf.exp(x))), VOLUME).peak_bytes == 2 * size
    assert trace_cost(lambda x: tf.reshape(tf.exp(x), [-1]), VOLUME).peak_bytes == size
    assert trace_cost(lambda x: tf.cast(tf.exp(x), tf.float16), VOLUME).peak_bytes == 1.5 * size

    def skip(x: tf.Tensor) -> tf.Tensor:
        kept = tf.exp(x)
        return kept + tf.sin(tf.cos(tf.sin(kept)))

    assert trace_cost(skip, VOLUME).peak_bytes == 3 * size


RESIDUAL = {"residual": True, "decoder_convolutions": (1,), "norm": "instance", "downsampling": "stride"}


@pytest.mark.parametrize(
    ("network", "inference", "training"),
    [
        (RESIDUAL | {"filters": (8, 16), "blocks": (1, 2), "strides_z": (1,)}, 7_008_681_984, 20_912_799_744),
        pytest.param({"preset": "resenc_m", "deep_supervision": False}, 179_384_352_768, 537_700_073_472, marks=SLOW),
    ],
)
def test_operations_are_those_that_torch_counts(network: dict, inference: int, training: int) -> None:
    # torch.utils.flop_counter of torch 2.14.1 on dynamic_network_architectures 0.4.4's ResidualEncoderUNet, 64^3.
    trainer = trainer_of(**network)
    found = trace_trainer(trainer, 1, (64, 64, 64))
    assert [cost.flops for cost in found] == [inference, training]
    assert sum(layer.flops for layer in describe_layers(trainer.network, (64, 64, 64), str)) == inference


@pytest.mark.parametrize("network", [{"attention": True}, {"kernels_z": (1, 3)}])
def test_the_operations_of_layers_add_up(network: dict) -> None:
    trainer = trainer_of(**network)
    inference, training = trace_trainer(trainer, 2, (16, 32, 32))
    layers = [layer.flops for layer in describe_layers(trainer.network, (16, 32, 32), str) if layer.flops]
    assert inference.flops == 2 * sum(layers)
    assert training.flops == 3 * inference.flops - 2 * layers[0]  # the image needs no gradient


def test_half_precision_takes_less_memory() -> None:
    filters = (16, 32)  # so many that the loss, which is in float32, hardly counts
    float32 = trace_trainer(trainer_of(filters=filters), 2, (32, 32, 32))
    keras.config.set_dtype_policy("mixed_float16")
    try:
        half = trace_trainer(trainer_of(filters=filters), 2, (32, 32, 32))
    finally:
        keras.config.set_dtype_policy("float32")
    for before, after in zip(float32, half, strict=True):
        assert before.flops == after.flops
        assert 0.45 < after.peak_bytes / before.peak_bytes < 0.65


@pytest.mark.parametrize(
    "network",
    [
        {},
        {"norm": "instance", "activation": "leaky_relu", "rematerialize": True},
        {"residual": True, "downsampling": "stride", "attention": True},
        pytest.param({"filters": (8, 16, 32, 64), "norm": "instance", "deep_supervision": True}, marks=SLOW),
    ],
)
def test_memory_is_what_the_allocator_gives_out(network: dict, tmp_path: Path) -> None:
    shape = (1, 64, 64, 64)
    trainer = trainer_of(**network)
    image, labels = tf.random.normal(shape), tf.zeros(shape, tf.uint8)
    inference, training = trace_trainer(trainer, 1, shape[1:])
    infer = tf.function(lambda x: trainer.network(x[..., None], training=False))
    learn = tf.function(trainer.learn)
    assert inference.peak_bytes == pytest.approx(allocated(lambda: infer(image), tmp_path / "infer"), rel=0.15)
    assert training.peak_bytes == pytest.approx(allocated(lambda: learn(image, labels), tmp_path / "learn"), rel=0.15)


def allocated(run: Callable, folder: Path) -> int:
    """Returns the most bytes that a run held at once, as TensorFlow's profiler recorded them."""
    run()  # what is kept from the first call on is not the call's
    tf.profiler.experimental.start(str(folder), tf.profiler.experimental.ProfilerOptions(host_tracer_level=3))
    found = run()
    tf.profiler.experimental.stop()
    assert np.isfinite(found).all()
    space = xplane_pb2.XSpace()
    space.ParseFromString(Path(glob.glob(f"{folder}/**/*.xplane.pb", recursive=True)[0]).read_bytes())
    events = []
    for plane in space.planes:
        names = {key: value.name for key, value in plane.stat_metadata.items()}
        for line in plane.lines:
            for event in line.events:
                kind = plane.event_metadata[event.metadata_id].name
                if kind in ("MemoryAllocation", "MemoryDeallocation"):
                    stats = {names[stat.metadata_id]: stat.int64_value or stat.uint64_value for stat in event.stats}
                    events.append((line.timestamp_ns * 1000 + event.offset_ps, kind, stats))
    if os.environ["TF_ENABLE_ONEDNN_OPTS"] == "0":
        pytest.skip("TensorFlow records allocations only where it runs with oneDNN")
    assert events
    sizes: dict[int, int] = {}
    peak = 0
    for _, kind, stats in sorted(events, key=lambda event: event[0]):
        if kind == "MemoryAllocation":
            sizes[stats["addr"]] = stats["requested_bytes"]
            peak = max(peak, sum(sizes.values()))
        else:
            sizes.pop(stats["addr"], None)
    return peak
