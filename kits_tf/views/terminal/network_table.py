"""A network as a table for the terminal."""

from kits_tf.base.settings import format_value
from kits_tf.training.description import NetworkDescription
from kits_tf.views.terminal.table import aligned

_MEMORY = {
    "variables": "variables: weights and Adam's moments",
    "inference": "tensors alive in inference",
    "training": "tensors alive in a training step",
}
_MEMORY_NOTE = "at most; TensorFlow itself, kernels and gaps between tensors come on top (docs/network.md)"


def network_table(network: NetworkDescription, batch_size: int) -> str:
    """Returns the layers of a network, its receptive field, its operations and its memory."""
    rows = [["layer", "kind", "output z,y,x,channels", "parameters", "GFLOP"]]
    for layer in network.layers:
        numbers = [
            f"{layer.parameters:,}" if layer.parameters else "",
            f"{layer.flops / 1e9:.1f}" if layer.flops else "",
        ]
        rows.append([layer.name, layer.kind, ",".join(map(str, layer.shape)), *numbers])
    rows.append(["all", "", "", f"{network.parameters:,}", f"{network.inference_flops / 1e9:.1f}"])
    head, *body, last = aligned(rows)
    rule = "-" * len(head)
    memory = [["MB, batches of " + str(batch_size), *network.memory]]
    for name in ("variables", "inference", "training"):
        memory.append([_MEMORY[name], *(f"{getattr(part, name) / 1e6:.0f}" for part in network.memory.values())])
    total = [f"{(part.variables + part.training) / 1e6:.0f}" for part in network.memory.values()]
    memory.append(["variables and training", *total])
    facts = [
        f"source: {network.source}",
        f"receptive field: {format_value(network.receptive_field)} voxels z,y,x",
        f"operations of a patch: {network.inference_flops / 1e9:.1f} GFLOP in inference, "
        f"{network.training_flops / 1e9:.1f} in a training step",
    ]
    return "\n".join([head, rule, *body, rule, last, "", *facts, "", *aligned(memory), _MEMORY_NOTE])
