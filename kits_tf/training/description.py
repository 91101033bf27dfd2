"""What a network consists of and what it costs to train, without training it."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import keras
import tensorflow as tf
from keras import layers

from kits_tf.base import devices
from kits_tf.base.progress import track
from kits_tf.config import OptimizationSettings, PatchSettings
from kits_tf.ct.geometry import Triple
from kits_tf.ct.labels import Scheme
from kits_tf.network.architecture import Architecture
from kits_tf.network.cost import Cost, trace_cost, variable_bytes
from kits_tf.network.receptive_field import receptive_field
from kits_tf.network.weighting import ClassBalance
from kits_tf.pipeline.recipe import PatchRecipe
from kits_tf.training.trainer import Trainer, TrainerSettings, build_trainer

# Keras' names; bfloat16 takes what float16 takes.
PRECISIONS = ("float32", "mixed_float16")


@dataclass(frozen=True, kw_only=True)
class LayerDescription:
    """A layer and what it makes of one patch.

    Attributes:
        name: name of the layer in the network.
        part: part of the network that it belongs to, as the architecture divides it.
        kind: Keras' name of its class.
        inputs: names of the layers whose outputs it is given.
        shape: shape of its output, (z, y, x, channels).
        parameters: number of its parameters, trained or not.
        flops: multiplications and additions in inference, if it is a convolution.
    """

    name: str
    part: str
    kind: str
    inputs: tuple[str, ...]
    shape: tuple[int, int, int, int]
    parameters: int
    flops: int


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Bytes for a batch in one precision.

    Attributes:
        variables: bytes of the network's weights and the optimizer's moments.
        inference: most bytes of tensors alive at once in inference.
        training: most bytes of tensors alive at once in a training step: activations and gradients.
    """

    variables: int
    inference: int
    training: int


@dataclass(frozen=True, kw_only=True)
class NetworkDescription:
    """A network, for a batch of patches.

    Attributes:
        source: origin of its numbers, in words.
        layers: layers in the order in which they compute.
        receptive_field: voxels (z, y, x) that one voxel of the result depends on.
        inference_flops: operations of one patch in inference.
        training_flops: operations of one patch in a training step.
        memory: bytes by precision.
    """

    source: str
    layers: list[LayerDescription]
    receptive_field: Triple
    inference_flops: float
    training_flops: float
    memory: dict[str, Memory]

    @property
    def parameters(self) -> int:
        """Number of parameters of all layers."""
        return sum(layer.parameters for layer in self.layers)


def describe(
    architecture: Architecture, scheme: Scheme, patch_size: Triple, batch_size: int, rematerialize: bool
) -> NetworkDescription:
    """Returns what a network consists of, and what it costs.

    Args:
        architecture: architecture of the network.
        scheme: scheme of the labels.
        patch_size: voxels (z, y, x) of a patch.
        batch_size: patches in a batch.
        rematerialize: whether parts are computed again for gradients.

    Raises:
        InputError: the network cannot take the patch, or cannot be rematerialized.
    """
    architecture.check_training(patch_size, rematerialize)
    settings = TrainerSettings(
        optimization=OptimizationSettings(batch_size=batch_size, rematerialize=rematerialize),
        recipe=PatchRecipe(patches=PatchSettings(patch_size_zyx=patch_size)),
    )
    balance = ClassBalance(weights=(1.0,) * len(scheme.classes))
    memory = {}
    for precision in track(PRECISIONS, "tracing", len(PRECISIONS)):
        with devices.layers_in(precision):
            trainer = build_trainer(architecture, settings, scheme, balance)
        inference, training = trace_trainer(trainer, batch_size, patch_size)
        num_bytes = variable_bytes([*trainer.supervised.variables, *trainer.optimizer.variables])
        memory[precision] = Memory(variables=num_bytes, inference=inference.peak_bytes, training=training.peak_bytes)
    return NetworkDescription(
        source=architecture.source,
        layers=describe_layers(trainer.network, patch_size, architecture.part_of),
        receptive_field=receptive_field(trainer.network, architecture.total_stride()),
        inference_flops=inference.flops / batch_size,  # the same in any precision
        training_flops=training.flops / batch_size,
        memory=memory,
    )


def trace_trainer(trainer: Trainer, batch_size: int, patch_size: Triple) -> tuple[Cost, Cost]:
    """Returns the costs of inference and of a training step."""
    image = tf.TensorSpec((batch_size, *patch_size), tf.float32)
    labels = tf.TensorSpec((batch_size, *patch_size), tf.uint8)

    def infer(patch: tf.Tensor) -> tf.Tensor:
        return trainer.network(patch[..., None], training=False)

    return trace_cost(infer, image), trace_cost(trainer.learn, image, labels)


def describe_layers(network: keras.Model, patch_size: Triple, part_of: Callable[[str], str]) -> list[LayerDescription]:
    """Returns the layers of a functional network, each with what it makes of one patch.

    Args:
        network: functional model of images.
        patch_size: voxels (z, y, x) of the patch.
        part_of: function from the name of a layer to the part of the network that it belongs to.
    """
    every = keras.Model(network.input, [layer.output for layer in network.layers])
    shapes = every.compute_output_shape((1, *patch_size, network.input.shape[-1]))
    makers = {id(layer.output): layer.name for layer in network.layers}
    return [
        LayerDescription(
            name=layer.name,
            part=part_of(layer.name),
            kind=type(layer).__name__,
            inputs=tuple(
                makers[id(tensor)]
                for tensor in keras.tree.flatten(layer.input)
                if not isinstance(layer, layers.InputLayer)
            ),
            shape=shape[1:],
            parameters=layer.count_params(),
            flops=_flops(layer, shape),
        )
        for layer, shape in zip(network.layers, shapes, strict=True)
    ]


def _flops(layer: layers.Layer, shape: tuple) -> int:
    """Returns two for each product of a voxel and a weight."""
    if isinstance(layer, layers.Conv3DTranspose):  # it multiplies the voxels of its input
        return 2 * math.prod(shape[:-1]) // math.prod(layer.strides) * math.prod(layer.kernel.shape)
    if isinstance(layer, layers.Conv3D):
        return 2 * math.prod(shape[:-1]) * math.prod(layer.kernel.shape)
    return 0
