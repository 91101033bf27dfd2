"""A network over a volume of any size: overlapping windows, merged and handed on slab by slab.

What is held are the planes that windows still to come will add to, however many planes the volume has.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from kits_tf.inference.progress import Progress

# As in nnU-Net and MONAI: the standard deviation is an eighth of the window; no weight below a thousandth.
SIGMA_FRACTION = 0.125
SMALLEST_WEIGHT = 1e-3

# (n, *window) of the volume's dtype -> (n, *window, outputs) float32
Network = Callable[[tf.Tensor], tf.Tensor]
# (planes (n, y, x, outputs) float32, *state) -> next state, as many tensors or tensor arrays
Receive = Callable[..., tuple]


@dataclass(frozen=True)
class Windows:
    """How windows lie, and how they are merged.

    Attributes:
        size: voxels of a window, (z, y, x).
        overlap: share of a window that the next one covers again, 0 <= overlap < 1.
        weights: gaussian: the middle of a window counts most; constant: all of it counts the same.
        at_once: windows beside each other along x that the network takes in one batch, 1 or more.
    """

    size: tuple[int, int, int]
    overlap: float = 0.5
    weights: str = "gaussian"
    at_once: int = 1

    def weight(self) -> NDArray[np.float32]:
        """Returns what each voxel of a window counts, (z, y, x) float32, 1 or less."""
        return gaussian_weights(self.size) if self.weights == "gaussian" else np.ones(self.size, np.float32)


def gaussian_weights(window: tuple[int, int, int]) -> NDArray[np.float32]:
    """Returns the (z, y, x) float32 weights of a window: near 1 in its middle, SMALLEST_WEIGHT or more elsewhere."""
    profiles = []
    for size in window:
        offset = np.arange(size) - (size - 1) / 2
        profiles.append(np.exp(-0.5 * (offset / (SIGMA_FRACTION * size)) ** 2))
    return np.maximum(np.einsum("z,y,x->zyx", *profiles), SMALLEST_WEIGHT).astype(np.float32)


def window_starts(size: tf.Tensor, window: int, overlap: float) -> tf.Tensor:
    """Returns the first index of each window along an axis, (n,) int32: evenly stepped, the last one at the end.

    Args:
        size: voxels along the axis, `window` or more.
        window: voxels of a window.
        overlap: share of a window that the next one covers again.
    """
    step = max(1, int(window * (1 - overlap)))
    count = (size - window + step - 1) // step + 1
    return tf.minimum(tf.range(count) * step, size - window)


def merge_windows(volume: tf.Tensor, network: Network, windows: Windows, num_outputs: int, outside: float) -> tf.Tensor:
    """Returns the network's outputs over a whole volume, (z, y, x, num_outputs) float32; see `stream_windows`."""
    planes = tf.TensorArray(tf.float32, 0, True, infer_shape=False, element_shape=[None, None, None, num_outputs])

    def receive(slab: tf.Tensor, count: tf.Tensor, done: tf.TensorArray) -> tuple[tf.Tensor, tf.TensorArray]:
        return count + 1, done.write(count, slab)

    _, planes = stream_windows(volume, network, windows, num_outputs, outside, receive, (tf.constant(0), planes))
    return planes.concat()


def stream_windows(
    volume: tf.Tensor,
    network: Network,
    windows: Windows,
    num_outputs: int,
    outside: float,
    receive: Receive,
    state: tuple,
    progress: Progress | None = None,
) -> tuple:
    """Hands on the network's outputs over a volume, at each voxel the weighted mean of all windows.

    Works eagerly and in a graph. Returns the state after the last planes.

    Args:
        volume: (z, y, x) of any dtype and size; a size below the window's is padded evenly.
        network: takes n windows (n, *window) of the volume's dtype to (n, *window, num_outputs) float32.
        windows: where they lie and what they count.
        num_outputs: channels of the network.
        outside: value of the padding.
        receive: takes the next planes (n, y, x, num_outputs), n > 0, and the state to the next state.
        state: of the first call; axes of its tensors may change their length.
        progress: counts the windows.
    """
    size, window = tf.shape(volume), windows.size
    missing = tf.maximum(tf.constant(window) - size, 0)
    before = missing // 2
    padded = tf.pad(
        volume, tf.stack([before, missing - before], axis=1), constant_values=tf.cast(outside, volume.dtype)
    )
    starts = [window_starts(tf.shape(padded)[axis], window[axis], windows.overlap) for axis in range(3)]
    ends = tf.concat([starts[0][1:], tf.shape(padded)[:1]], axis=0)
    batches = [tf.size(starts[0]), tf.size(starts[1]), (tf.size(starts[2]) + windows.at_once - 1) // windows.at_once]
    weight = windows.weight()[..., None]

    def weighted(parts: tf.Tensor) -> tf.Tensor:
        outputs = network(tf.ensure_shape(parts, [None, *window]))
        # The weights go along as one more channel, so that both are summed in the same order.
        return tf.concat([outputs * weight, tf.broadcast_to(weight, [tf.shape(parts)[0], *weight.shape])], axis=-1)

    def layer(index: tf.Tensor, open_planes: tf.Tensor, *state: tf.Tensor) -> tuple:
        """Adds the windows that start at one plane, and hands on the planes that no later window adds to."""
        start, done = starts[0][index], ends[index] - starts[0][index]

        def told(batch: tf.Tensor) -> None:
            if progress:
                progress.count(index * batches[1] * batches[2] + batch + 1, tf.reduce_prod(batches))

        slab = padded[start : start + window[0]]
        total = open_planes + _sum_of_layer(slab, starts, windows, num_outputs + 1, weighted, told)
        inside = total[tf.maximum(before[0] - start, 0) : tf.minimum(done, before[0] + size[0] - start)]
        inside = inside[:, before[1] : before[1] + size[1], before[2] : before[2] + size[2]]
        after = receive(inside[..., :num_outputs] / inside[..., num_outputs:], *state)
        return index + 1, tf.pad(total[done:], [[0, done], [0, 0], [0, 0], [0, 0]]), *after

    open_planes = tf.zeros([window[0], *tf.unstack(tf.shape(padded)[1:]), num_outputs + 1])
    _, _, *last = _while(batches[0], layer, (open_planes, *state))
    return tuple(last)


def _sum_of_layer(
    slab: tf.Tensor,
    starts: list[tf.Tensor],
    windows: Windows,
    channels: int,
    compute: Network,
    told: Callable[[tf.Tensor], None],
) -> tf.Tensor:
    """Returns the sum of compute(window) over all windows of a slab (window z, y, x), with so many channels."""
    depth, height, width = windows.size
    size_y, size_x = tf.unstack(tf.shape(slab)[1:])
    batches = (tf.size(starts[2]) + windows.at_once - 1) // windows.at_once

    def row(index: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        start = starts[1][index]
        rows = slab[:, start : start + height]

        def batch(number: tf.Tensor, sums: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            firsts = starts[2][number * windows.at_once : (number + 1) * windows.at_once]
            parts = tf.gather(rows, firsts[:, None] + tf.range(width), axis=2)
            outputs = compute(tf.transpose(parts, [2, 0, 1, 3]))
            with tf.control_dependencies([outputs]):
                told(index * batches + number)

            def add(i: tf.Tensor, sums: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
                return i + 1, _added(sums, outputs[i], firsts[i], axis=2)

            return number + 1, _while(tf.size(firsts), add, (sums,))[1]

        _, sums = _while(batches, batch, (tf.zeros([depth, height, size_x, channels]),))
        return index + 1, _added(total, sums, start, axis=1)

    return _while(tf.size(starts[1]), row, (tf.zeros([depth, size_y, size_x, channels]),))[1]


def _added(total: tf.Tensor, part: tf.Tensor, start: tf.Tensor, axis: int) -> tf.Tensor:
    """Returns the total with a part added that begins at an index of an axis."""
    stop = start + tf.shape(part)[axis]
    lower, middle, upper = tf.split(total, [start, stop - start, tf.shape(total)[axis] - stop], axis=axis)
    return tf.concat([lower, middle + part, upper], axis=axis)


def _while(count: tf.Tensor, body: Callable, state: tuple) -> tuple:
    """Returns the index and the state after `count` calls of body(index, *state).

    One at a time: windows in parallel would multiply the network's memory.
    """
    sizes = [tf.TensorShape(None if isinstance(s, tf.TensorArray) else [None] * s.shape.rank) for s in state]
    return tf.while_loop(
        lambda index, *_: index < count,
        body,
        (tf.constant(0), *state),
        shape_invariants=(tf.TensorShape([]), *sizes),
        parallel_iterations=1,
    )
