"""What a U-Net is made of: presets by name, and what the network flags change of one."""

import math
from dataclasses import dataclass, fields

from kits_tf.base.errors import InputError
from kits_tf.base.settings import format_value
from kits_tf.config import NetworkSettings
from kits_tf.ct.geometry import Triple

_BUT_THE_LAST = "the levels of --filters but the last"


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """A U-Net in numbers. Levels count from the finest; a tuple of one number holds for all levels.

    Attributes:
        filters: of each level.
        blocks: of each level of the encoder: convolutions, or residual blocks of two; the finest may have none, and
            then little is done where voxels are many.
        decoder_convolutions: of each level of the decoder.
        kernels_z: of each level: a kernel is that, 3, 3 voxels.
        strides_z: from each level to the next: a stride is that, 2, 2 voxels.
        residual: whether the encoder is of residual blocks, after one convolution.
        norm: batch, instance, group or none.
        activation: relu, leaky_relu (slope 0.01), elu or silu.
        downsampling: pool (the largest) or stride (of the first convolution).
        upsampling: transposed (convolution) or nearest (neighbor, and a convolution over single voxels).
        attention: whether skip connections pass through attention gates.
        deep_supervision: whether coarser levels of the decoder are trained to find the classes too.
        dropout: share of feature maps dropped after each level.
        norm_momentum: of batch norm's moving statistics.
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
    upsampling: str = "transposed"
    attention: bool = False
    deep_supervision: bool = False
    dropout: float = 0.1
    norm_momentum: float = 0.97

    @property
    def levels(self) -> int:
        """How many resolutions there are."""
        return len(self.filters)

    def level_blocks(self) -> tuple[int, ...]:
        """Returns `blocks` of each level.

        Raises:
            InputError: there are neither one nor as many as levels, or none of a level but the finest.
        """
        found = _each("blocks", self.blocks, self.levels)
        if 0 in found[1:]:
            raise InputError(f"--blocks: expected 1 or more of each level but the finest, got {format_value(found)}")
        return found

    def level_decoder_convolutions(self) -> tuple[int, ...]:
        """Returns `decoder_convolutions` of each level of the decoder, finest first.

        Raises:
            InputError: there are neither one nor one less than levels.
        """
        return _each("decoder_convolutions", self.decoder_convolutions, self.levels - 1, _BUT_THE_LAST)

    def kernels(self) -> list[Triple]:
        """Returns the kernel of each level, (z, y, x).

        Raises:
            InputError: there are neither one nor as many as levels.
        """
        return [(z, 3, 3) for z in _each("kernels_z", self.kernels_z, self.levels)]

    def strides(self) -> list[Triple]:
        """Returns the stride from each level to the next, (z, y, x).

        Raises:
            InputError: there are neither one nor one less than levels.
        """
        return [(z, 2, 2) for z in _each("strides_z", self.strides_z, self.levels - 1, _BUT_THE_LAST)]

    def stride_to(self, level: int) -> Triple:
        """Returns how many voxels of an image one of a level stands for, (z, y, x)."""
        z, y, x = (math.prod(stride[axis] for stride in self.strides()[:level]) for axis in range(3))
        return z, y, x

    def total_stride(self) -> Triple:
        """Returns what must divide the size of an image, (z, y, x)."""
        return self.stride_to(self.levels - 1)

    def supervised_levels(self) -> range:
        """Returns the levels that are trained to find the classes: the finest and, with deep supervision, all of the
        decoder but the coarsest, as in nnU-Net.
        """
        return range(max(self.levels - 2, 1) if self.deep_supervision else 1)

    def check_training(self, patch_size: Triple, rematerialize: bool) -> None:
        """Raises InputError if the network cannot take the patch, or its levels cannot be computed twice in a step."""
        self.check_patch_size(patch_size)
        if rematerialize and self.norm == "batch":
            others = "--norm=instance, group or none: batch norm's statistics would move twice a step"
            raise InputError(f"--rematerialize: expected {others}")

    def check_patch_size(self, patch_size: Triple) -> None:
        """Raises InputError if the network cannot take the patch."""
        total = self.total_stride()
        if any(size % step for size, step in zip(patch_size, total, strict=True)):
            expected = f"multiples of {format_value(total)} for the {self.levels} levels of --filters"
            raise InputError(f"--patch_size_zyx: expected {expected}, got {format_value(patch_size)}")


@dataclass(frozen=True)
class Preset:
    """An architecture that has a name.

    Attributes:
        architecture: what it is.
        source: where it is from.
        parameters: with one channel in and four classes out; tests count them.
    """

    architecture: Architecture
    source: str
    parameters: int


PRESETS = {
    "record": Preset(
        Architecture(filters=(32, 64, 128, 256, 320)),
        "batch norm, dropout, skip connections: the recipe of record; Çiçek et al. 2016, MICCAI, and MLPerf's filters",
        16_549_316,
    ),
    "small": Preset(Architecture(filters=(8, 16, 32, 64), dropout=0.05), "for a CPU: the demo's", 351_540),
    "mlperf": Preset(
        Architecture(filters=(32, 64, 128, 256, 320, 320), norm="instance", downsampling="stride", dropout=0.0),
        "MLPerf training, image_segmentation/pytorch/model/unet3d.py, for KiTS19",
        31_190_276,
    ),
    "winner": Preset(
        Architecture(
            filters=(24, 48, 96, 192, 320, 320),
            blocks=(1, 2, 3, 4, 4, 4),
            decoder_convolutions=(1,),
            strides_z=(2, 2, 2, 2, 1),
            residual=True,
            norm="instance",
            activation="leaky_relu",
            downsampling="stride",
            deep_supervision=True,
            dropout=0.0,
        ),
        "KiTS19's winner, for patches of 80, 160, 160 voxels of 3.22, 1.62, 1.62 mm; Isensee and Maier-Hein 2019, "
        "arXiv 1908.02182; blocks and filters as in nnU-Net 1's generic_modular_residual_UNet.py",
        61_586_068,
    ),
    "resenc_m": Preset(
        Architecture(
            filters=(32, 64, 128, 256, 320, 320),
            blocks=(1, 3, 4, 6, 6, 6),
            decoder_convolutions=(1,),
            residual=True,
            norm="instance",
            activation="leaky_relu",
            downsampling="stride",
            deep_supervision=True,
            dropout=0.0,
        ),
        "nnU-Net's residual encoder M for 128^3 patches; Isensee et al. 2024, MICCAI",
        102_335_236,
    ),
}


def architecture(settings: NetworkSettings) -> Architecture:
    """Returns the preset's architecture with what the settings change of it.

    Raises:
        InputError: numbers of a level are missing or too many.
    """
    values = vars(PRESETS[settings.preset].architecture)
    changed = {f.name: getattr(settings, f.name) for f in fields(Architecture)}
    found = Architecture(**values | {name: value for name, value in changed.items() if value is not None})
    found.level_blocks(), found.level_decoder_convolutions(), found.kernels(), found.strides()
    return found


def _each(name: str, numbers: tuple[int, ...], count: int, of_what: str = "the levels of --filters") -> tuple[int, ...]:
    if len(numbers) == 1:
        return numbers * count
    if len(numbers) != count:
        raise InputError(f"--{name}: expected one number, or {count} for {of_what}, got {len(numbers)}")
    return numbers
