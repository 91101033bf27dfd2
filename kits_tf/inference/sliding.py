"""A network over a volume of any size: overlapping windows, merged and handed on slab by slab.

Only the planes that later windows still add to are held in memory, however many planes the volume has.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from kits_tf.ct.geometry import Triple
from kits_tf.ct.volume import AIR_HU
from kits_tf.inference.progress import WindowProgress

# As in nnU-Net and MONAI: the standard deviation is an eighth of the window; no weight below a thousandth.
SIGMA_FRACTION = 0.125
SMALLEST_WEIGHT = 1e-3

# A tensor, a TensorArray, or a (named) tuple of states: what tf.while_loop carries from one turn to the next.
State = TypeVar("State")


class Network(Protocol):
    """A function over windows.

    Attributes:
        channels: number of its output channels.
    """

    @property
    def channels(self) -> int: ...

    def __call__(self, windows: tf.Tensor, /) -> tf.Tensor:
        """Returns (n, z, y, x, channels) float32 of windows (n, z, y, x) of the volume's dtype."""


class PlaneReceiver(Protocol[State]):
    """What merged planes are handed to, slab by slab in their order. Its state is what it remembers between slabs."""

    def begin(self, channels: int) -> State:
        """Returns the state before the first planes, which will have `channels` channels."""

    def receive(self, planes: tf.Tensor, state: State) -> State:
        """Returns the state after the next planes (n, y, x, channels) float32, n > 0.

        Axes of the state's tensors may change their length, not their number.
        """

    def finish(self, state: State) -> dict[str, tf.Tensor]:
        """Returns results by name of the state after the last planes."""


@dataclass(frozen=True, kw_only=True)
class SlidingWindow:
    """How windows lie over a volume, and how they are merged.

    Attributes:
        size: (z, y, x) voxels of a window.
        overlap: share of a window that the next one covers again, 0 <= overlap < 1.
        weighting: "gaussian": the middle of a window counts most; "constant": all of it counts the same.
        batch_size: number of neighboring windows along x that the network takes at once, 1 or more.
        padding_value: value of the voxels around a volume that is smaller than a window.
    """

    size: Triple
    overlap: float = 0.5
    weighting: str = "gaussian"
    batch_size: int = 1
    padding_value: float = AIR_HU

    def importance(self) -> NDArray[np.float32]:
        """Returns the weight of each voxel of a window in the merge, (z, y, x) float32, 1 or less."""
        return gaussian_importance(self.size) if self.weighting == "gaussian" else np.ones(self.size, np.float32)


def gaussian_importance(size: Triple) -> NDArray[np.float32]:
    """Returns the (z, y, x) float32 weights of a window: near 1 in its middle, SMALLEST_WEIGHT or more elsewhere."""
    profiles = []
    for length in size:
        offset = np.arange(length) - (length - 1) / 2
        profiles.append(np.exp(-0.5 * (offset / (SIGMA_FRACTION * length)) ** 2))
    return np.maximum(np.einsum("z,y,x->zyx", *profiles), SMALLEST_WEIGHT).astype(np.float32)


def window_starts(length: tf.Tensor, window: int, overlap: float) -> tf.Tensor:
    """Returns the first index of each window along an axis, (n,) int32: evenly stepped, the last one at the end.

    Args:
        length: number of voxels along the axis, `window` or more.
        window: number of voxels of a window.
        overlap: share of a window that the next one covers again.
    """
    step = max(1, int(window * (1 - overlap)))
    count = (length - window + step - 1) // step + 1
    return tf.minimum(tf.range(count) * step, length - window)


def merge_windows(volume: tf.Tensor, network: Network, window: SlidingWindow) -> tf.Tensor:
    """Returns the network's outputs over a whole volume, (z, y, x, channels) float32; see `stream_windows`."""
    return stream_windows(volume, network, window, (_PlaneStack(),))["planes"]


def stream_windows(
    volume: tf.Tensor,
    network: Network,
    window: SlidingWindow,
    receivers: tuple[PlaneReceiver, ...],
    progress: WindowProgress | None = None,
) -> dict[str, tf.Tensor]:
    """Hands on the network's outputs over a volume, at each voxel the weighted mean of all windows.

    Works eagerly and in a graph.

    Args:
        volume: (z, y, x) of any dtype and size; a size below the window's is padded evenly.
        network: function over windows of the volume's dtype.
        window: size, overlap and merging of the windows.
        receivers: receivers of the merged planes, each with a state of its own.
        progress: counter of the windows; None: they are not counted.

    Returns:
        The results of all receivers by name.
    """
    size = tf.shape(volume)
    padded, before = _padded(volume, window)
    layout = _layout(tf.shape(padded), window)
    weighted = _WeightedNetwork(network, window)

    def add_layer(index: tf.Tensor, stream: _Stream) -> _Stream:
        """Adds the windows that start at one plane, and hands on the planes that no later window adds to."""
        start, done = layout.starts_z[index], layout.ends_z[index] - layout.starts_z[index]

        def count(batch: tf.Tensor) -> None:
            if progress:
                total = tf.size(layout.starts_z) * layout.batches_in_layer
                progress.count(index * layout.batches_in_layer + batch + 1, total)

        slab = padded[start : start + window.size[0]]
        sums = stream.open_planes + _sum_of_layer(slab, weighted, layout, count)
        inside = sums[tf.maximum(before[0] - start, 0) : tf.minimum(done, before[0] + size[0] - start)]
        inside = inside[:, before[1] : before[1] + size[1], before[2] : before[2] + size[2]]
        merged = inside[..., : network.channels] / inside[..., network.channels :]
        states = tuple(one.receive(merged, state) for one, state in zip(receivers, stream.states, strict=True))
        return _Stream(tf.pad(sums[done:], [[0, done], [0, 0], [0, 0], [0, 0]]), states)

    open_planes = tf.zeros([window.size[0], *tf.unstack(tf.shape(padded)[1:]), weighted.channels])
    states = tuple(receiver.begin(network.channels) for receiver in receivers)
    stream = _repeat(tf.size(layout.starts_z), add_layer, _Stream(open_planes, states))
    results: dict[str, tf.Tensor] = {}
    for receiver, state in zip(receivers, stream.states, strict=True):
        results |= receiver.finish(state)
    return results


def _padded(volume: tf.Tensor, window: SlidingWindow) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns a volume that is padded evenly to a window's size at least, and the voxels before it, (3,) int32."""
    missing = tf.maximum(tf.constant(window.size) - tf.shape(volume), 0)
    before = missing // 2
    padding, value = tf.stack([before, missing - before], axis=1), tf.cast(window.padding_value, volume.dtype)
    return tf.pad(volume, padding, constant_values=value), before


class _Stream(NamedTuple):
    """What is carried from one layer of windows to the next.

    Attributes:
        open_planes: (window z, y, x, channels + 1) float32, sums over windows that later ones add to, and of weights.
        states: state of each receiver.
    """

    open_planes: tf.Tensor
    states: tuple


class _Layout(NamedTuple):
    """Where windows start in a padded volume, all int32.

    Attributes:
        starts_z: (layers,), first plane of each layer of windows.
        ends_z: (layers,), first plane of the next layer: no later window adds to those before.
        starts_y: (rows,), first line of each row of windows in a layer.
        starts_x: (columns,), first column of each window in a row.
        batches_in_row: scalar, number of batches of windows in a row.
    """

    starts_z: tf.Tensor
    ends_z: tf.Tensor
    starts_y: tf.Tensor
    starts_x: tf.Tensor
    batches_in_row: tf.Tensor

    @property
    def batches_in_layer(self) -> tf.Tensor:
        """The number of batches of windows in a layer, a scalar."""
        return tf.size(self.starts_y) * self.batches_in_row


def _layout(size: tf.Tensor, window: SlidingWindow) -> _Layout:
    starts = [window_starts(size[axis], window.size[axis], window.overlap) for axis in range(3)]
    return _Layout(
        starts_z=starts[0],
        ends_z=tf.concat([starts[0][1:], size[:1]], axis=0),
        starts_y=starts[1],
        starts_x=starts[2],
        batches_in_row=(tf.size(starts[2]) + window.batch_size - 1) // window.batch_size,
    )


class _WeightedNetwork:
    """A network whose outputs are multiplied by the window's weights.

    The weights go along as one more channel, so that both are summed in the same order.
    """

    def __init__(self, network: Network, window: SlidingWindow) -> None:
        self.window, self.channels = window, network.channels + 1
        self._network, self._weight = network, window.importance()[..., None]

    def __call__(self, windows: tf.Tensor) -> tf.Tensor:
        """Returns (n, z, y, x, channels) float32 of n windows."""
        outputs = self._network(tf.ensure_shape(windows, [None, *self.window.size]))
        weights = tf.broadcast_to(self._weight, [tf.shape(windows)[0], *self._weight.shape])
        return tf.concat([outputs * self._weight, weights], axis=-1)


def _sum_of_layer(
    slab: tf.Tensor, network: _WeightedNetwork, layout: _Layout, count: Callable[[tf.Tensor], None]
) -> tf.Tensor:
    """Returns the sum of the network's outputs over all windows of a layer, (window z, y, x, channels) float32.

    Args:
        slab: (window z, y, x), the planes of the layer.
        network: function over windows.
        layout: starts of the windows.
        count: function called with the index of each batch of the layer once it is computed.
    """
    depth, height, width = network.window.size
    size_y, size_x = tf.unstack(tf.shape(slab)[1:])
    batch_size = network.window.batch_size

    def add_row(row: tf.Tensor, total: tf.Tensor) -> tf.Tensor:
        start = layout.starts_y[row]
        lines = slab[:, start : start + height]

        def add_batch(batch: tf.Tensor, sums: tf.Tensor) -> tf.Tensor:
            starts = layout.starts_x[batch * batch_size : (batch + 1) * batch_size]
            windows = tf.gather(lines, starts[:, None] + tf.range(width), axis=2)
            outputs = network(tf.transpose(windows, [2, 0, 1, 3]))
            with tf.control_dependencies([outputs]):
                count(row * layout.batches_in_row + batch)
            return _repeat(tf.size(starts), lambda i, s: _added(s, outputs[i], starts[i], axis=2), sums)

        sums = _repeat(layout.batches_in_row, add_batch, tf.zeros([depth, height, size_x, network.channels]))
        return _added(total, sums, start, axis=1)

    return _repeat(tf.size(layout.starts_y), add_row, tf.zeros([depth, size_y, size_x, network.channels]))


def _added(total: tf.Tensor, part: tf.Tensor, start: tf.Tensor, axis: int) -> tf.Tensor:
    """Returns the total with a part added that begins at an index of an axis."""
    # TensorFlow has no public operation that updates a slice of a tensor in a graph: tf.tensor_scatter_nd_add wants an
    # index for every line, and a tf.Variable would be shared by scans that are computed at the same time. Split and
    # concat copy contiguous blocks.
    stop = start + tf.shape(part)[axis]
    lower, middle, upper = tf.split(total, [start, stop - start, tf.shape(total)[axis] - stop], axis=axis)
    return tf.concat([lower, middle + part, upper], axis=axis)


def _repeat(count: tf.Tensor, step: Callable[[tf.Tensor, State], State], state: State) -> State:
    """Returns the state after `state = step(index, state)` for each index below `count`.

    One at a time: windows in parallel would multiply the network's memory.
    """
    _, last = tf.while_loop(
        lambda index, _: index < count,
        lambda index, current: (index + 1, step(index, current)),
        (tf.constant(0), state),
        shape_invariants=(tf.TensorShape([]), tf.nest.map_structure(_invariant, state)),
        parallel_iterations=1,
    )
    return last


def _invariant(part: Any) -> tf.TensorShape:
    """Returns the shape that a part of a state keeps in a loop: its number of axes; of an array of tensors nothing."""
    return tf.TensorShape(None if isinstance(part, tf.TensorArray) else [None] * part.shape.rank)


class _PlaneStack:
    """Keeps all planes."""

    class State(NamedTuple):
        """The slabs received.

        Attributes:
            count: scalar int32, number of slabs.
            slabs: array of (n, y, x, channels) float32.
        """

        count: tf.Tensor
        slabs: tf.TensorArray

    def begin(self, channels: int) -> State:
        shape = [None, None, None, channels]
        return self.State(tf.constant(0), tf.TensorArray(tf.float32, 0, True, infer_shape=False, element_shape=shape))

    def receive(self, planes: tf.Tensor, state: State) -> State:
        return self.State(state.count + 1, state.slabs.write(state.count, planes))

    def finish(self, state: State) -> dict[str, tf.Tensor]:
        return {"planes": state.slabs.concat()}
