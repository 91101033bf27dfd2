"""Merged planes -> the scan's own grid, slab by slab: finished planes leave, those that are not needed again go."""

from dataclasses import dataclass
from typing import NamedTuple

import tensorflow as tf

from kits_tf.ct import preprocess
from kits_tf.ct.separable import PlaneFunction, PlaneSteps, interpolate, reach


@dataclass(frozen=True, kw_only=True)
class Output:
    """A result on the scan's grid, made of the interpolated planes.

    Attributes:
        name: name of the result.
        channels: first and last + 1 of the channels that it is made of.
        finish: function that takes planes (channels, n, y, x) float32 to (n, y, x, ...) of `dtype`.
        dtype: dtype of the result.
        rank: number of its axes: 3, or 4 with a channel at the end.
    """

    name: str
    channels: tuple[int, int]
    finish: PlaneFunction
    dtype: tf.DType
    rank: int = 3


class RestorationState(NamedTuple):
    """What is known after some planes.

    Attributes:
        kept: (n, y, x, channels) float32, planes of the box that planes of the scan to come still need.
        kept_from: scalar int32, index in the box of the first of them.
        num_restored: scalar int32, number of planes of the scan that are finished.
        num_slabs: scalar int32, number of slabs in which they were finished.
        slabs: array of those slabs, for each output.
    """

    kept: tf.Tensor
    kept_from: tf.Tensor
    num_restored: tf.Tensor
    num_slabs: tf.Tensor
    slabs: tuple[tf.TensorArray, ...]


class Restoration:
    """Receives merged planes of a box on the training grid and takes them to the scan's own grid.

    Outside of the box the results are 0. A voxel of the scan belongs to the box if its nearest voxel on the training
    grid does.

    Args:
        grid_shape: (3,) int32, shape of the training grid.
        shape: (3,) int32, shape of the scan.
        start: (3,) int32, first voxel of the box on the training grid.
        size: (3,) int32, size of the box.
        outputs: results to make of the planes.
    """

    def __init__(
        self, grid_shape: tf.Tensor, shape: tf.Tensor, start: tf.Tensor, size: tf.Tensor, outputs: tuple[Output, ...]
    ) -> None:
        self._outputs = outputs
        self._matrices, self._margins = preprocess.restoring_matrices(grid_shape, shape, start, size)
        self._size = size
        # For each plane of the scan in the box: the first plane of the box that it is made of, and the last + 1.
        self._first_needed, self._stop_needed = reach(self._matrices[0])

    def begin(self, channels: int) -> RestorationState:
        """Returns the state before the first planes, which will have `channels` channels."""
        return RestorationState(
            kept=tf.zeros([0, self._size[1], self._size[2], channels]),
            kept_from=tf.constant(0),
            num_restored=tf.constant(0),
            num_slabs=tf.constant(0),
            slabs=tuple(
                tf.TensorArray(output.dtype, 0, True, infer_shape=False, element_shape=[None] * output.rank)
                for output in self._outputs
            ),
        )

    def receive(self, planes: tf.Tensor, state: RestorationState) -> RestorationState:
        """Returns the state after further planes (n, y, x, channels) float32 of the box."""
        planes = tf.concat([state.kept, planes], axis=0)
        stop = tf.shape(planes)[0] + state.kept_from
        num_ready = tf.reduce_sum(tf.cast(self._stop_needed <= stop, tf.int32))

        def restored() -> tuple[tf.TensorArray, ...]:
            low = self._first_needed[state.num_restored]
            matrices = [self._matrices[0][state.num_restored : num_ready, low:stop], *self._matrices[1:]]
            needed = planes[low - state.kept_from :]
            return tuple(
                slabs.write(state.num_slabs, _interpolated(needed, matrices, output))
                for slabs, output in zip(state.slabs, self._outputs, strict=True)
            )

        is_any = num_ready > state.num_restored
        slabs = tf.cond(is_any, restored, lambda: state.slabs)
        # From one plane of the scan to the next, the first plane needed never falls: those before the first one that
        # the next plane needs can go. That first one may not have come yet.
        low = tf.reduce_min(tf.concat([self._first_needed[num_ready:], [stop]], axis=0))
        return RestorationState(
            kept=planes[low - state.kept_from :],
            kept_from=low,
            num_restored=num_ready,
            num_slabs=state.num_slabs + tf.cast(is_any, tf.int32),
            slabs=slabs,
        )

    def finish(self, state: RestorationState) -> dict[str, tf.Tensor]:
        """Returns the outputs by name, of the scan's shape."""
        return {
            output.name: tf.pad(slabs.concat(), [*self._margins, *[[0, 0]] * (output.rank - 3)])
            for output, slabs in zip(self._outputs, state.slabs, strict=True)
        }


def _interpolated(planes: tf.Tensor, matrices: list[tf.Tensor], output: Output) -> tf.Tensor:
    low, high = output.channels
    steps = PlaneSteps(
        prepare=preprocess.by_channel,
        channels=high - low,
        finish=output.finish,
        dtype=output.dtype,
        rank=output.rank,
    )
    return interpolate(planes[..., low:high], matrices, steps)


def labels_output(num_classes: int) -> Output:
    """Returns the output `labels` (z, y, x) uint8: the class of the largest of the first channels."""
    return Output(name="labels", channels=(0, num_classes), finish=preprocess.largest, dtype=tf.uint8)
