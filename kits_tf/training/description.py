"""What a network is made of and what it costs to train, without training it."""

import math
from dataclasses import dataclass

import keras
import tensorflow as tf
from keras import layers

from kits_tf.base import devices
from kits_tf.base.progress import track
from kits_tf.base.settings import select
from kits_tf.config import RunSettings, SummarySettings
from kits_tf.ct.geometry import Triple
from kits_tf.ct.labels import scheme_of
from kits_tf.network.architecture import PRESETS, architecture
from kits_tf.network.cost import Cost, trace_cost, variable_bytes
from kits_tf.network.receptive_field import receptive_field
from kits_tf.training.trainer import Trainer, build_trainer

# Keras' names; bfloat16 takes what float16 takes.
PRECISIONS = ("float32", "mixed_float16")


@dataclass(frozen=True)
class LayerDescription:
    """A layer and what it makes of one patch.

    Attributes:
        name: in the network.
        kind: Keras' name of its class.
        shape: of its output, (z, y, x, channels).
        parameters: trained or not.
        flops: multiplications and additions in inference, if it is a convolution.
    """

    name: str
    kind: str
    shape: tuple[int, int, int, int]
    parameters: int
    flops: int


@dataclass(frozen=True)
class Memory:
    """Bytes for a batch in one precision.

    Attributes:
        variables: the network's weights and the optimizer's moments.
        inference: tensors alive at once in inference, at most.
        training: tensors alive at once in a training step, at most: activations and gradients.
    """

    variables: int
    inference: int
    training: int


@dataclass(frozen=True)
class NetworkDescription:
    """A network, for a batch of patches.

    Attributes:
        source: of the preset.
        layers: in the order in which they compute.
        receptive_field: voxels (z, y, x) that one voxel of the result depends on.
        inference_flops: of one patch.
        training_flops: of one patch in a step.
        memory: by precision.
    """

    source: str
    layers: list[LayerDescription]
    receptive_field: Triple
    inference_flops: float
    training_flops: float
    memory: dict[str, Memory]

    @property
    def parameters(self) -> int:
        """Of all layers."""
        return sum(layer.parameters for layer in self.layers)


def describe(settings: SummarySettings) -> NetworkDescription:
    """Returns what the network of the settings is made of, and what it costs.

    Raises:
        InputError: the network cannot take the patch, or cannot be rematerialized.
    """
    made_of, scheme = architecture(settings.network), scheme_of(settings)
    made_of.check_training(settings.patch_size_zyx, settings.rematerialize)
    run = select(RunSettings, settings, records_dir="-", run_dir="-")
    memory = {}
    for precision in track(PRECISIONS, "tracing", len(PRECISIONS)):
        with devices.layers_in(precision):
            trainer = build_trainer(run, scheme, (1.0,) * len(scheme.classes))
        inference, training = trace_trainer(trainer, settings.batch_size, settings.patch_size_zyx)
        num_bytes = variable_bytes([*trainer.supervised.variables, *trainer.optimizer.variables])
        memory[precision] = Memory(num_bytes, inference.peak_bytes, training.peak_bytes)
    return NetworkDescription(
        PRESETS[settings.network.preset].source,
        describe_layers(trainer.network, settings.patch_size_zyx),
        receptive_field(trainer.network, made_of.total_stride()),
        inference.flops / settings.batch_size,  # of any precision
        training.flops / settings.batch_size,
        memory,
    )


def trace_trainer(trainer: Trainer, batch_size: int, patch_size: Triple) -> tuple[Cost, Cost]:
    """Returns what inference and a training step cost."""
    image = tf.TensorSpec((batch_size, *patch_size), tf.float32)
    labels = tf.TensorSpec((batch_size, *patch_size), tf.uint8)

    def infer(patch: tf.Tensor) -> tf.Tensor:
        return trainer.network(patch[..., None], training=False)

    return trace_cost(infer, image), trace_cost(trainer.learn, image, labels)


def describe_layers(network: keras.Model, patch_size: Triple) -> list[LayerDescription]:
    """Returns the layers of a functional network, each with what it makes of one patch."""
    every = keras.Model(network.input, [layer.output for layer in network.layers])
    shapes = every.compute_output_shape((1, *patch_size, network.input.shape[-1]))
    return [
        LayerDescription(layer.name, type(layer).__name__, shape[1:], layer.count_params(), _flops(layer, shape))
        for layer, shape in zip(network.layers, shapes, strict=True)
    ]


def _flops(layer: layers.Layer, shape: tuple) -> int:
    """Returns two for each product of a voxel and a weight."""
    if isinstance(layer, layers.Conv3DTranspose):  # which multiplies the voxels of its input
        return 2 * math.prod(shape[:-1]) // math.prod(layer.strides) * math.prod(layer.kernel.shape)
    if isinstance(layer, layers.Conv3D):
        return 2 * math.prod(shape[:-1]) * math.prod(layer.kernel.shape)
    return 0
