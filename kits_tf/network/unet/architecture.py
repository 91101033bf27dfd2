"""The family of 3-D U-Nets, as training, inference and export know it."""

from collections.abc import Sequence

import keras

from kits_tf.base.errors import InputError
from kits_tf.ct.geometry import Triple
from kits_tf.network.architecture import Architecture
from kits_tf.network.unet.building import add_heads, build_unet, part_of
from kits_tf.network.unet.folding import fold_batch_norm
from kits_tf.network.unet.rematerialization import rematerialized
from kits_tf.network.unet.structure import UNetStructure


class UNet(UNetStructure, Architecture):
    """A 3-D U-Net, by the numbers of `UNetStructure`."""

    def build(
        self, num_classes: int, synchronized: bool = False, class_shares: Sequence[float] | None = None
    ) -> keras.Model:
        return build_unet(self, num_classes, synchronized, class_shares)

    def total_stride(self) -> Triple:
        return self.stride_to(self.levels - 1)

    def check_training(self, patch_size: Triple, rematerialize: bool) -> None:
        self.check_patch_size(patch_size)
        if rematerialize and self.norm == "batch":
            others = "--norm=instance or none: batch norm's statistics would move twice a step"
            raise InputError(f"--rematerialize: expected {others}")

    def supervised_strides(self) -> list[Triple]:
        return [self.stride_to(level) for level in self.supervised_levels()]

    def with_heads(self, network: keras.Model) -> keras.Model:
        return add_heads(network, self)

    def rematerialized(self, supervised: keras.Model) -> keras.Model:
        return rematerialized(supervised, self)

    def folded(self, network: keras.Model) -> keras.Model:
        return fold_batch_norm(network, self)

    def part_of(self, layer_name: str) -> str:
        return part_of(layer_name)
