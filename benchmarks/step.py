"""kits_tf's side of benchmarks/train.py: it answers matmul, step, inference, facts, agreement and profile."""

import math
import resource
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from absl import app, flags
from side_by_side import answer, timed

from kits_tf.base.memory import keep_freed_memory
from kits_tf.base.startup import start_tensorflow

SIZE = flags.DEFINE_integer("size", 64, "Voxels of a patch along each axis.")
BATCH_SIZE = flags.DEFINE_integer("batch_size", 2, "Patches in a batch.")
PRECISION = flags.DEFINE_enum("precision", "float32", ("float32", "bfloat16"), "Of convolutions.")


def main(_: list[str]) -> None:
    keep_freed_memory()
    start_tensorflow()
    import keras
    import tensorflow as tf

    from kits_tf.network.cost import trace_cost
    from kits_tf.network.unet.architecture import UNet

    square = tf.cast(tf.random.normal([4096, 4096]), PRECISION.value)
    product = tf.function(lambda: tf.reduce_sum(square @ square))
    if PRECISION.value == "bfloat16":
        keras.config.set_dtype_policy("mixed_bfloat16")
    unet = UNet(filters=(16, 32, 64, 128), dropout=0.0)
    network = unet.build(4)
    shape = [BATCH_SIZE.value, *[SIZE.value] * 3]
    image, labels = tf.random.normal([*shape, 1]), tf.random.uniform(shape, 0, 4, tf.int32)
    optimizer = keras.optimizers.Adam(1e-3)
    optimizer.build(network.trainable_variables)

    @tf.function
    def step() -> tf.Tensor:
        with tf.GradientTape() as tape:
            logits = network(image, training=True)
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
        variables = network.trainable_variables
        optimizer.apply(tape.gradient(loss, variables), variables)
        return loss

    folded = unet.folded(network)
    inference = tf.function(lambda: folded(image, training=False))

    def facts() -> dict:
        return {
            "parameters": sum(math.prod(v.shape) for v in network.trainable_variables),
            "matmul_flops": 2 * 4096**3,
            "step_flops": trace_cost(step.python_function).flops,
            "inference_flops": trace_cost(inference.python_function).flops,
            "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000,
        }

    def agreement() -> dict:
        """Dice, over all classes the share of voxels that agree, of the trained network's labels with float32's."""
        found = tf.argmax(unet.folded(network)(image, training=False), axis=-1)
        keras.config.set_dtype_policy("float32")
        plain = unet.build(4)
        plain.set_weights(network.get_weights())
        truth = tf.argmax(plain(image, training=False), axis=-1)
        return {"dice": float(tf.reduce_mean(tf.cast(truth == found, tf.float32)))}

    answer(
        {
            "matmul": timed(lambda: product().numpy()),
            "step": timed(lambda: step().numpy()),
            "inference": timed(lambda: inference().numpy()),
            "facts": facts,
            "agreement": agreement,
            "profile": lambda: shares(lambda: step().numpy()),
        }
    )


def shares(run: Callable) -> dict[str, float]:
    """Returns how the time of a run divides among kinds of operations, some of which run side by side."""
    import tensorflow as tf
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    with tempfile.TemporaryDirectory() as folder:
        tf.profiler.experimental.start(folder)
        run()
        tf.profiler.experimental.stop()
        (found,) = Path(folder).rglob("*.xplane.pb")
        planes = xplane_pb2.XSpace.FromString(found.read_bytes()).planes
    times: Counter[str] = Counter()
    for plane in planes:
        for event in (event for line in plane.lines for event in line.events):
            # Operations are events that have their kind for a second name.
            if kind := plane.event_metadata[event.metadata_id].display_name:
                times[kind.removeprefix("_MklNative")] += event.duration_ps
    return {kind: time / times.total() for kind, time in times.most_common(8)}


if __name__ == "__main__":
    app.run(main)
