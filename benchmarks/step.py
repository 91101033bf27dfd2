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


def main(_: list[str]) -> None:
    runtime.keep_freed_memory()
    runtime.start_tensorflow()
    import keras
    import tensorflow as tf

    from kits_tf.network.architecture import Architecture
    from kits_tf.network.unet import build_unet

    square = tf.random.normal([4096, 4096])
    product = tf.function(lambda: tf.reduce_sum(square @ square))
    network = build_unet(Architecture(filters=(16, 32, 64, 128), dropout=0.0), 4)
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

    inference = tf.function(lambda: network(image, training=False))
    found = {
        "matmul": 2 * 4096**3 / seconds(lambda: product().numpy()),
        "parameters": sum(math.prod(v.shape) for v in network.trainable_variables),
        "step": seconds(lambda: step().numpy()),
        "inference": seconds(lambda: inference().numpy()),
        "flops": flops(network, (*shape, 1)),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000,
    }
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


def flops(network, shape: tuple[int, ...]) -> dict[str, float]:
    """Returns the multiplications and additions of the convolutions, in inference and in a step.

    A step has those of inference for the gradient of the weights and of each input again, but for the image's.
    """
    import keras

    inner = keras.Model(network.input, [layer.output for layer in network.layers])
    each = []
    for layer, found in zip(network.layers, inner.compute_output_shape(shape), strict=True):
        if isinstance(layer, (keras.layers.Conv3D, keras.layers.Conv3DTranspose)):
            # A transposed convolution multiplies each voxel of its input with the kernel.
            joined = math.prod(layer.strides) if isinstance(layer, keras.layers.Conv3DTranspose) else 1
            each.append(2.0 * math.prod(found[:-1]) / joined * math.prod(layer.kernel.shape))
    return {"inference": sum(each), "step": 3 * sum(each) - each[0]}


if __name__ == "__main__":
    app.run(main)
