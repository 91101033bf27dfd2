"""A scan in the making: what is painted, and what it is painted with."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from kits_tf.ct.geometry import bounding_box
from kits_tf.synthesis.bodies import Body
from kits_tf.synthesis.fields import smooth_noise
from kits_tf.synthesis.tissues import Tissues

AIR_HU = -1000.0
Mask = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, eq=False)
class Scene:
    """A scan that is being painted; its arrays are (z, y, x) in (I, P, L), and change.

    Attributes:
        rng: source of all that is random.
        body: body that it shows, for the numbers of its structures.
        structures: uint8, the posed label map.
        spacing_mm: size of the voxels, which are cubes.
        tissues: brightness of the tissues.
        hu: float32, what is painted so far.
        labels: uint8, the challenge's labels so far.
        sinus: bool, the part of what is labeled that is the sinus of a kidney, where its mask encloses it.
        inside: bool, where the body is.
    """

    rng: np.random.Generator
    body: Body
    structures: NDArray[np.uint8]
    spacing_mm: float
    tissues: Tissues
    hu: NDArray[np.float32]
    labels: NDArray[np.uint8]
    sinus: Mask
    inside: Mask

    @classmethod
    def empty(
        cls,
        rng: np.random.Generator,
        body: Body,
        structures: NDArray[np.uint8],
        spacing_mm: float,
        tissues: Tissues,
    ) -> "Scene":
        """Returns a scene of air, see the attributes."""
        return cls(
            rng=rng,
            body=body,
            structures=structures,
            spacing_mm=spacing_mm,
            tissues=tissues,
            hu=np.full(structures.shape, AIR_HU, np.float32),
            labels=np.zeros(structures.shape, np.uint8),
            sinus=np.zeros(structures.shape, bool),
            inside=np.zeros(structures.shape, bool),
        )

    def part(self, mask: Mask) -> tuple["Scene", Mask]:
        """Returns the scene around a mask, with a voxel to spare, and the mask there; what is painted there is painted.

        Args:
            mask: (z, y, x) bool, with some voxel in it.
        """
        spans = zip(bounding_box(mask), mask.shape, strict=True)
        box = tuple(slice(max(0, span.start - 1), min(size, span.stop + 1)) for span, size in spans)
        arrays = {name: getattr(self, name)[box] for name in ("structures", "hu", "labels", "sinus", "inside")}
        return replace(self, **arrays), mask[box]

    def group(self, name: str) -> Mask:
        """Returns where the structures of a group are."""
        return np.isin(self.structures, self.body.group(name))

    @property
    def bones(self) -> Mask:
        """Where there is bone."""
        return self.group("bone") | self.group("long_bone")

    def texture(self, low_mm: float, high_mm: float) -> NDArray[np.float32]:
        """Returns noise of variance 1 that is smooth over `low_mm` to `high_mm`."""
        return smooth_noise(self.rng, self.structures.shape, self.rng.uniform(low_mm, high_mm) / self.spacing_mm)
