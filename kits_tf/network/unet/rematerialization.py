"""Less memory for more work: levels that are computed again for gradients instead of being kept.

Chen et al. 2016, "Training deep nets with sublinear memory cost", arXiv 1604.06174.
"""

import keras
import tensorflow as tf
from keras import layers

from kits_tf.network.unet.structure import UNetStructure


class _Recomputed(layers.Layer):
    """A part of a model that keeps its inputs and no more in training.

    keras.RematScope would wrap each layer by itself, which saves nothing: a layer's input is another's output.

    Args:
        part: model from a list of inputs to one output.
        name: name of the layer.
    """

    def __init__(self, part: keras.Model, name: str) -> None:
        super().__init__(name=name, dtype=part.dtype_policy)
        self.part = part

    def call(self, inputs: list[tf.Tensor], training: bool = False) -> tf.Tensor:
        """Returns the part's output of its list of inputs."""
        if not training:
            return self.part(inputs)
        return keras.remat(lambda *tensors: self.part(list(tensors), training=True))(*inputs)

    def compute_output_shape(self, input_shape: list[tuple]) -> tuple:
        """Returns the part's."""
        return self.part.compute_output_shape(input_shape)


def rematerialized(model: keras.Model, structure: UNetStructure) -> keras.Model:
    """Returns a model of the same layers and results, to be trained in less memory.

    Each level keeps its inputs and computes the rest again. Dropout, which must not draw twice, stands between the
    levels.

    Args:
        model: result of `add_heads`.
        structure: numbers of its network, which has no batch norm.
    """
    image = keras.Input(model.input.shape[1:], name="image")
    ends: dict[str, keras.KerasTensor] = {}
    for name, sources in _levels(structure):
        dropout = model.get_layer(f"{name}_dropout")
        before = [model.get_layer(f"{source}_dropout").output for source in sources] or [model.input]
        part = _Recomputed(keras.Model(before, dropout.input), f"{name}_recomputed")
        ends[name] = dropout(part([ends[source] for source in sources] or [image]))
    heads = {"logits": list(ends)[-1]}
    heads |= {f"head{level}": f"decoder{level}" for level in structure.supervised_levels()[1:]}
    outputs = [model.get_layer(head)(ends[name]) for head, name in heads.items()]
    return keras.Model(image, outputs, name="rematerialized")


def _levels(structure: UNetStructure) -> list[tuple[str, list[str]]]:
    """Returns the names of the levels in order, each with the levels whose ends are its inputs."""
    down = [level.name for level in structure.encoder_levels()]
    levels = [(name, down[max(i - 1, 0) : i]) for i, name in enumerate(down)]
    below = down[-1]
    for level, beside in zip(structure.decoder_levels(), down[-2::-1], strict=True):
        levels.append((level.name, [beside, below]))
        below = level.name
    return levels
