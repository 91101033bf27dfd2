"""Merged planes -> the scan's own grid, as they come: what is decided leaves, what is not yet needed is dropped."""

from dataclasses import dataclass

import tensorflow as tf

from kits_tf.ct import preprocess
from kits_tf.ct.separable import PlaneFunction, PlaneSteps, interpolate, reach


@dataclass(frozen=True)
class Output:
    """What becomes of interpolated planes.

    Attributes:
        name: of the result.
        channels: first and last + 1 of the merged outputs that it is made of.
        finish: takes planes (channels, n, y, x) float32 to (n, y, x, ...) of `dtype`.
        dtype: of the result.
        rank: 3, or 4 with a channel at the end.
    """

    name: str
    channels: tuple[int, int]
    finish: PlaneFunction
    dtype: tf.DType
    rank: int = 3


class Restoration:
    """Takes merged planes of a box on the training grid to the scan's own grid: `stream_windows` calls `receive`.

    What lies outside of the box is 0. A voxel of the scan belongs to what its nearest voxel on the training grid does.

    Args:
        grid_shape: (3,) int32, of the training grid.
        shape: (3,) int32, of the scan.
        start: (3,) int32, first voxels of the box on the training grid.
        size: (3,) int32, of the box.
        outputs: what to make of the planes.
    """

    def __init__(
        self, grid_shape: tf.Tensor, shape: tf.Tensor, start: tf.Tensor, size: tf.Tensor, outputs: tuple[Output, ...]
    ) -> None:
        self._outputs = outputs
        self._matrices, self._places = preprocess.restoring_matrices(grid_shape, shape, start, size)
        self._size = size
        self._first_row, self._last_row = reach(self._matrices[0])

    def begin(self, channels: int) -> tuple:
        """Returns the state before the first planes, which have so many channels."""
        kept = tf.zeros([0, self._size[1], self._size[2], channels])
        arrays = [
            tf.TensorArray(o.dtype, 0, True, infer_shape=False, element_shape=[None] * o.rank) for o in self._outputs
        ]
        return kept, tf.constant(0), tf.constant(0), tf.constant(0), *arrays

    def receive(
        self,
        planes: tf.Tensor,
        kept: tf.Tensor,
        kept_from: tf.Tensor,
        done: tf.Tensor,
        parts: tf.Tensor,
        *arrays: tf.TensorArray,
    ) -> tuple:
        """Returns the state after further planes (n, y, x, channels).

        Args:
            planes: that follow those before.
            kept: earlier ones that planes of the scan still need.
            kept_from: the first one's index in the box.
            done: planes of the scan that have left.
            parts: the slabs they left in.
            *arrays: those slabs, for each output.
        """
        rows = tf.concat([kept, planes], axis=0)
        stop = tf.shape(rows)[0] + kept_from
        ready = tf.reduce_sum(tf.cast(self._last_row <= stop, tf.int32))

        def restored() -> tuple:
            low = self._first_row[done]
            along_z = self._matrices[0][done:ready, low:stop]
            matrices = [along_z, *self._matrices[1:]]
            return tuple(
                array.write(parts, _interpolated(rows[low - kept_from :], matrices, output))
                for array, output in zip(arrays, self._outputs, strict=True)
            )

        is_any = ready > done
        arrays = tf.cond(is_any, restored, lambda: tuple(arrays))
        # Rows only ever rise, so that nothing before the next plane's first one is needed again; it may be yet to come.
        low = tf.reduce_min(tf.concat([self._first_row[ready:], [stop]], axis=0))
        return rows[low - kept_from :], low, ready, parts + tf.cast(is_any, tf.int32), *arrays

    def finish(self, *state: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns the results by name, of the scan's shape."""
        _, _, _, _, *arrays = state
        return {
            output.name: tf.pad(array.concat(), [*self._places, *[[0, 0]] * (output.rank - 3)])
            for output, array in zip(self._outputs, arrays, strict=True)
        }


def _interpolated(rows: tf.Tensor, matrices: list[tf.Tensor], output: Output) -> tf.Tensor:
    low, high = output.channels
    steps = PlaneSteps(
        prepare=preprocess.by_channel,
        channels=high - low,
        finish=output.finish,
        dtype=output.dtype,
        rank=output.rank,
    )
    return interpolate(rows[..., low:high], matrices, steps)


def labels_output(num_classes: int) -> Output:
    """Returns what makes labels (z, y, x) uint8 of the first channels: the class of the largest."""
    return Output("labels", (0, num_classes), preprocess.largest, tf.uint8)
