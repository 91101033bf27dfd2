"""The recipe of training patches: all settings that decide what they are, as one object."""

from dataclasses import dataclass, field
from typing import Protocol

from kits_tf.config import AppearanceSettings, IntensitySettings, PatchSettings, WarpSettings


class HasPatchSettings(Protocol):
    """Settings of a command that have the groups of a recipe, as those of a run do."""

    @property
    def patches(self) -> PatchSettings: ...
    @property
    def warp(self) -> WarpSettings: ...
    @property
    def appearance(self) -> AppearanceSettings: ...
    @property
    def intensity(self) -> IntensitySettings: ...


@dataclass(frozen=True, kw_only=True)
class PatchRecipe:
    """How training patches are cut, augmented and normalized.

    Attributes:
        patches: size, number, place and order of patches.
        warp: chances and ranges of the augmentation in space.
        appearance: chances and ranges of the augmentation of intensity.
        intensity: normalization of Hounsfield units.
    """

    patches: PatchSettings = field(default_factory=PatchSettings)
    warp: WarpSettings = field(default_factory=WarpSettings)
    appearance: AppearanceSettings = field(default_factory=AppearanceSettings)
    intensity: IntensitySettings = field(default_factory=IntensitySettings)

    @classmethod
    def from_settings(cls, settings: HasPatchSettings) -> "PatchRecipe":
        """Returns the recipe that the settings of a command hold among others."""
        return cls(
            patches=settings.patches,
            warp=settings.warp,
            appearance=settings.appearance,
            intensity=settings.intensity,
        )
