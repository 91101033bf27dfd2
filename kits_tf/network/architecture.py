"""The interface of a family of networks, which all that trains, exports and describes a network relies on."""

from collections.abc import Sequence
from dataclasses import fields, is_dataclass, replace

import keras

from kits_tf.base.errors import InputError
from kits_tf.base.settings import format_value
from kits_tf.config import NetworkSettings
from kits_tf.config.choices import PRESETS
from kits_tf.ct.geometry import Triple


class Architecture:
    """A network in numbers, before it is built: the base class of all families.

    A family of its own overrides `build`, and whatever else does not suit it. It registers instances, best of a frozen
    dataclass, in `PRESETS`; network flags that have the name of a field then change it.

    Attributes:
        source: origin of the numbers, in words.
    """

    source: str = ""

    def build(
        self, num_classes: int, synchronized: bool = False, class_shares: Sequence[float] | None = None
    ) -> keras.Model:
        """Returns a functional model from (batch, z, y, x, 1) float to logits (batch, z, y, x, num_classes) float32.

        Args:
            num_classes: number of classes, background included.
            synchronized: whether norms have statistics over all replicas rather than within each.
            class_shares: share of each class, not negative, which an untrained network should predict; equal ones by
                default. A family may ignore them.
        """
        raise NotImplementedError

    def total_stride(self) -> Triple:
        """Returns what must divide the size of an image, (z, y, x)."""
        return 1, 1, 1

    def check_training(self, patch_size: Triple, rematerialize: bool) -> None:
        """Raises InputError if the network cannot take the patch, or cannot be rematerialized but should be."""
        self.check_patch_size(patch_size)
        if rematerialize:
            raise self._not_rematerializable()

    def check_patch_size(self, patch_size: Triple) -> None:
        """Raises InputError if the network cannot take the patch."""
        total = self.total_stride()
        if any(size % step for size, step in zip(patch_size, total, strict=True)):
            expected = f"multiples of {format_value(total)}, the network's strides"
            raise InputError(f"--patch_size_zyx: expected {expected}, got {format_value(patch_size)}")

    def supervised_strides(self) -> list[Triple]:
        """Returns the voxels (z, y, x) of an image for one voxel of each output of `with_heads`, finest first."""
        return [(1, 1, 1)]

    def with_heads(self, network: keras.Model) -> keras.Model:
        """Returns the model that is trained: the network, with logits of coarser resolutions beside its own.

        Args:
            network: result of `build`, whose layers the model shares.
        """
        return network

    def rematerialized(self, supervised: keras.Model) -> keras.Model:
        """Returns a model of the same layers and results that is trained in less memory, by computing parts again.

        Args:
            supervised: result of `with_heads`.

        Raises:
            InputError: the family has no parts to compute again, as `check_training` says before anything is built.
        """
        raise self._not_rematerializable()

    def folded(self, network: keras.Model) -> keras.Model:
        """Returns a network that gives the same logits in inference, perhaps faster.

        Args:
            network: trained result of `build`.
        """
        return network

    def part_of(self, layer_name: str) -> str:
        """Returns the part of the network that a layer belongs to, for drawing it; each layer is one by default."""
        return layer_name

    def _not_rematerializable(self) -> InputError:
        return InputError(f"--rematerialize: expected another network, {type(self).__name__} has no parts for it")


def make_architecture(settings: NetworkSettings) -> Architecture:
    """Returns the preset's architecture, with the fields changed that flags are given for.

    Raises:
        InputError: the preset's family has no such field, or the numbers do not fit together.
    """
    architecture: Architecture = PRESETS[settings.preset]
    given = {item.name: getattr(settings, item.name) for item in fields(settings) if item.name != "preset"}
    changes = {name: value for name, value in given.items() if value is not None}
    if not changes:
        return architecture
    for name in changes:
        if not is_dataclass(architecture) or name not in {item.name for item in fields(architecture)}:
            raise InputError(f"--{name}: expected no such flag with --preset={settings.preset}, whose network has none")
    return replace(architecture, **changes)  # type: ignore[type-var]
