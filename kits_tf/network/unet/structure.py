"""A U-Net in numbers: its levels, their sizes, and how they hang together."""

import math
from dataclasses import dataclass

from kits_tf.base.errors import InputError
from kits_tf.base.settings import format_value
from kits_tf.ct.geometry import Triple

_BUT_THE_LAST = "the levels of --filters but the last"


_BOTTOM = "bottom"


@dataclass(frozen=True, kw_only=True)
class Level:
    """A level of the encoder or the decoder.

    Attributes:
        name: prefix of its layers' names: encoder0, encoder1, ..., bottom, ..., decoder1, decoder0.
        filters: number of feature maps.
        blocks: number of convolutions, or of residual blocks of two.
        kernel: (z, y, x) voxels of each kernel.
        stride: (z, y, x) voxels of the finer one of the two levels for one of the coarser.
    """

    name: str
    filters: int
    blocks: int
    kernel: Triple
    stride: Triple

    @property
    def is_bottom(self) -> bool:
        """Whether it is the coarsest level, the end of the encoder."""
        return self.name == _BOTTOM


@dataclass(frozen=True, kw_only=True)
class UNetStructure:
    """A U-Net in numbers. Levels count from the finest; a tuple of one number holds for all levels.

    Attributes:
        filters: number of feature maps of each level.
        blocks: number of convolutions of each level of the encoder, or of residual blocks of two; the finest may have
            none, which saves work where there are most voxels.
        decoder_convolutions: number of convolutions of each level of the decoder.
        kernels_z: size along z of each level's kernels, which are 3 along y and x.
        strides_z: stride along z from each level to the next, which is 2 along y and x.
        residual: whether the encoder consists of residual blocks, after one convolution.
        norm: batch, instance or none.
        activation: relu or leaky_relu (slope 0.01).
        downsampling: pool (the largest) or stride (of the first convolution).
        attention: whether skip connections pass through attention gates.
        deep_supervision: whether coarser levels of the decoder are trained to predict the classes too.
        dropout: share of feature maps dropped at the bottom, in training.
        norm_momentum: momentum of batch norm's moving statistics.
        source: origin of the numbers, in words.

    Raises:
        InputError: the numbers are neither one nor one a level, or a level other than the finest has no blocks.
    """

    filters: tuple[int, ...]
    blocks: tuple[int, ...] = (2,)
    decoder_convolutions: tuple[int, ...] = (2,)
    kernels_z: tuple[int, ...] = (3,)
    strides_z: tuple[int, ...] = (2,)
    residual: bool = False
    norm: str = "batch"
    activation: str = "relu"
    downsampling: str = "pool"
    attention: bool = False
    deep_supervision: bool = False
    dropout: float = 0.1
    norm_momentum: float = 0.97
    source: str = ""

    def __post_init__(self) -> None:
        blocks = _of_levels("blocks", self.blocks, self.levels)
        if 0 in blocks[1:]:
            raise InputError(f"--blocks: expected 1 or more of each level but the finest, got {format_value(blocks)}")
        self.encoder_levels()
        self.decoder_levels()

    @property
    def levels(self) -> int:
        """Number of resolutions."""
        return len(self.filters)

    def kernels(self) -> list[Triple]:
        """Returns the kernel of each level, (z, y, x)."""
        return [(z, 3, 3) for z in _of_levels("kernels_z", self.kernels_z, self.levels)]

    def strides(self) -> list[Triple]:
        """Returns the stride from each level to the next, (z, y, x)."""
        return [(z, 2, 2) for z in _of_levels("strides_z", self.strides_z, self.levels - 1, _BUT_THE_LAST)]

    def encoder_levels(self) -> list[Level]:
        """Returns the levels of the encoder, finest first; the last is the bottom. The first has stride 1."""
        blocks, kernels = _of_levels("blocks", self.blocks, self.levels), self.kernels()
        strides = [(1, 1, 1), *self.strides()]
        return [
            Level(
                name=_BOTTOM if i == self.levels - 1 else f"encoder{i}",
                filters=self.filters[i],
                blocks=blocks[i],
                kernel=kernels[i],
                stride=strides[i],
            )
            for i in range(self.levels)
        ]

    def decoder_levels(self) -> list[Level]:
        """Returns the levels of the decoder, coarsest first."""
        counts = _of_levels("decoder_convolutions", self.decoder_convolutions, self.levels - 1, _BUT_THE_LAST)
        kernels, strides = self.kernels(), self.strides()
        return [
            Level(name=f"decoder{i}", filters=self.filters[i], blocks=counts[i], kernel=kernels[i], stride=strides[i])
            for i in reversed(range(self.levels - 1))
        ]

    def stride_to(self, level: int) -> Triple:
        """Returns the voxels (z, y, x) of an image for one voxel of a level."""
        z, y, x = (math.prod(stride[axis] for stride in self.strides()[:level]) for axis in range(3))
        return z, y, x

    def supervised_levels(self) -> range:
        """Returns the levels that are trained to predict the classes.

        These are the finest and, with deep supervision, all of the decoder but the coarsest, as in nnU-Net.
        """
        return range(max(self.levels - 2, 1) if self.deep_supervision else 1)


def _of_levels(
    name: str, numbers: tuple[int, ...], count: int, levels: str = "the levels of --filters"
) -> tuple[int, ...]:
    if len(numbers) == 1:
        return numbers * count
    if len(numbers) != count:
        raise InputError(f"--{name}: expected one number, or {count} for {levels}, got {len(numbers)}")
    return numbers
