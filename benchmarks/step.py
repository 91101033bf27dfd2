"""kits_tf's side of benchmarks/train.py: one line of JSON."""

import json
import math
import resource
import time
from collections.abc import Callable
from statistics import median

from absl import app, flags

from kits_tf import runtime

SIZE = flags.DEFINE_integer("size", 64, "Voxels of a patch along each axis.")
BATCH_SIZE = flags.DEFINE_integer("batch_size", 2, "Patches in a batch.")
REPEATS = flags.DEFINE_integer("repeats", 5, "Steps to time, after one that is not.")
PRECISION = flags.DEFINE_enum("precision", "float32", ("float32", "bfloat16"), "Of convolutions.")


def main(_: list[str]) -> None:
    runtime.keep_freed_memory()
    runtime.start_tensorflow()
    import keras
    import tensorflow as tf

    from kits_tf.network.architecture import Architecture
    from kits_tf.network.cost import trace_cost
    from kits_tf.network.folding import fold_batch_norm
    from kits_tf.network.unet import build_unet

    square = tf.cast(tf.random.normal([4096, 4096]), PRECISION.value)
    product = tf.function(lambda: tf.reduce_sum(square @ square))
    if PRECISION.value == "bfloat16":
        keras.config.set_dtype_policy("mixed_bfloat16")
    made_of = Architecture(filters=(16, 32, 64, 128), dropout=0.0)
    network = build_unet(made_of, 4)
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

    found = {
        "matmul": 2 * 4096**3 / seconds(lambda: product().numpy()),
        "parameters": sum(math.prod(v.shape) for v in network.trainable_variables),
        "step_flops": trace_cost(step.python_function).flops,
        "step": seconds(lambda: step().numpy()),
    }
    folded = fold_batch_norm(network, made_of)
    inference = tf.function(lambda: folded(image, training=False))
    found |= {
        "inference_flops": trace_cost(inference.python_function).flops,
        "inference": seconds(lambda: inference().numpy()),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000,
    }
    keras.config.set_dtype_policy("float32")
    plain = build_unet(made_of, 4)
    plain.set_weights(network.get_weights())
    truth, labels = (tf.argmax(logits, axis=-1) for logits in (plain(image, training=False), inference()))
    # Dice of label maps over all classes: the share of voxels that agree.
    found["dice"] = float(tf.reduce_mean(tf.cast(truth == labels, tf.float32)))
    print(json.dumps(found))


def seconds(run: Callable) -> float:
    """Returns the median of the repeats."""
    run()
    times = []
    for _ in range(REPEATS.value):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return median(times)


if __name__ == "__main__":
    app.run(main)
