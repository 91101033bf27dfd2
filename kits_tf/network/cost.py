"""What a computation costs before anyone runs it: operations and memory, read off its traced graph.

Nothing is computed and no tensor is made, so that a computation that needs 80 GB can be examined on a laptop.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import keras
import tensorflow as tf

# Operations whose results have the memory of their inputs, one for one.
_ALIASES = {"Reshape", "Identity", "IdentityN", "StopGradient", "PreventGradient", "Squeeze", "ExpandDims"}
# Operations that write their result into an input which nothing else needs.
_IN_PLACE = {"AddN", "AddV2", "BiasAdd", "Mul", "RealDiv", "SelectV2", "SquaredDifference", "Sub"}
_IN_PLACE |= {"LeakyRelu", "LeakyReluGrad", "Relu", "ReluGrad", "Sigmoid", "SigmoidGrad"}
# Operations whose results are there before and after: not activations.
_STANDING = {"Placeholder", "Const", "ReadVariableOp"}


@dataclass(frozen=True)
class Cost:
    """What one call of a function costs.

    Attributes:
        flops: multiplications and additions of convolutions, in their gradients too; the rest is a few percent.
        peak_bytes: tensors alive at once, at most; without arguments and variables, and without what kernels and the
            allocator need beside them.
    """

    flops: int
    peak_bytes: int


def trace_cost(function: Callable, *arguments: tf.TensorSpec) -> Cost:
    """Returns the cost of a call with arguments of these shapes, all of which must be known.

    Operations are taken to run in the order in which they were traced, and a tensor to be freed after its last use.

    Args:
        function: function of tensors, which tf.function can trace.
        *arguments: shapes and types of a call.
    """
    graph = tf.function(function).get_concrete_function(*arguments).graph
    operations = _needed(graph)
    return Cost(sum(map(_flops, operations)), _peak_bytes(operations, graph.outputs))


def variable_bytes(variables: Iterable[keras.Variable]) -> int:
    """Returns the memory of variables on one device."""
    return sum(math.prod(variable.shape) * tf.as_dtype(variable.dtype).size for variable in variables)


def _needed(graph: tf.Graph) -> list[tf.Operation]:
    """Returns the operations that results or changed variables depend on, in order; the others are never run."""
    needed: set[tf.Operation] = set()
    left = [*(tensor.op for tensor in graph.outputs), *graph.control_outputs]
    while left:
        operation = left.pop()
        if operation not in needed:
            needed.add(operation)
            left += [*(tensor.op for tensor in operation.inputs), *operation.control_inputs]
    return [operation for operation in graph.get_operations() if operation in needed]


def _flops(operation: tf.Operation) -> int:
    """Returns two for each product of a voxel and a weight; kernels are (z, y, x, in, out)."""
    if operation.type == "Conv3D":
        voxels, kernel = operation.outputs[0].shape, operation.inputs[1].shape
    elif operation.type == "Conv3DBackpropInputV2":  # a transposed convolution is one too
        voxels, kernel = operation.inputs[2].shape, operation.inputs[1].shape
    elif operation.type == "Conv3DBackpropFilterV2":
        voxels, kernel = operation.inputs[2].shape, operation.outputs[0].shape
    else:
        return 0
    return 2 * math.prod(voxels[:-1]) * math.prod(kernel)


def _peak_bytes(operations: list[tf.Operation], outputs: list[tf.Tensor]) -> int:
    """Returns the most bytes that tensors hold at once."""
    uses = Counter(id(tensor) for operation in operations for tensor in operation.inputs)
    uses.update(id(tensor) for tensor in outputs)
    buffers: dict[int, int] = {}  # tensor -> the one whose memory it has; arguments and variables have none
    sizes: dict[int, int] = {}
    users: Counter[int] = Counter()
    alive = peak = 0
    for operation in (operation for operation in operations if operation.type not in _STANDING):
        sources = [buffers.get(id(tensor)) for tensor in operation.inputs]
        for i, tensor in enumerate(operation.outputs):
            if not uses[id(tensor)]:
                continue
            num_bytes = _num_bytes(tensor)
            buffer = None
            if operation.type in _ALIASES:
                if (buffer := sources[i]) is None:
                    continue
            elif operation.type in _IN_PLACE:
                free = (s for s in sources if s and users[s] == sources.count(s) and sizes[s] == num_bytes)
                buffer = next(free, None)
            if buffer is None:
                buffer, sizes[id(tensor)] = id(tensor), num_bytes
                alive += num_bytes
            buffers[id(tensor)] = buffer
            users[buffer] += uses[id(tensor)]
        peak = max(peak, alive)
        for buffer in filter(None, sources):
            users[buffer] -= 1
            if not users[buffer]:
                alive -= sizes[buffer]
    return peak


def _num_bytes(tensor: tf.Tensor) -> int:
    """Returns the size of a tensor; none for handles of variables, and for batch norm's reserve, which no CPU fills."""
    return math.prod(tensor.shape) * tensor.dtype.size if tensor.shape.is_fully_defined() else 0
