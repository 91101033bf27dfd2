"""A model as its users see it: scan in, mask out, wherever its network runs. Without TensorFlow."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from kits_tf.ct.hounsfield import IntensityError, hounsfield_problem
from kits_tf.ct.labels import Scheme, count_labels
from kits_tf.ct.volume import Volume
from kits_tf.inference.postprocess import Chain, Context, apply_chain


@dataclass(frozen=True, kw_only=True, eq=False)
class Segmentation:
    """What a model gives of a scan; arrays over voxels have the axes of the scan's file.

    Attributes:
        labels: (i, j, k) uint8, in the model's scheme.
        volumes_ml: (classes,) float32, volume of each class.
        confidence: (classes,) float32, mean probability of each class where it is the largest; 0 if it is so nowhere.
        probabilities: (i, j, k, classes - 1) uint16, SHARE_QUANTA for 1, of all classes but background, which has the
            rest; None if they were not asked for.
        uncertainty: (i, j, k) uint16, how far the passes of the network disagree, SHARE_QUANTA for the most that they
            can; None if it was not asked for.
        warnings: sentences that whoever uses it must know, as that the scan was no CT.
    """

    labels: NDArray[np.uint8]
    volumes_ml: NDArray[np.float32]
    confidence: NDArray[np.float32]
    probabilities: NDArray[np.uint16] | None = None
    uncertainty: NDArray[np.uint16] | None = None
    warnings: tuple[str, ...] = ()

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray]) -> "Segmentation":
        """Returns the segmentation that the arrays of a graph's outputs by name are; other names are passed over.

        Raises:
            KeyError: labels, volumes_ml or confidence is missing.
        """
        return cls(
            labels=arrays["labels"],
            volumes_ml=arrays["volumes_ml"],
            confidence=arrays["confidence"],
            probabilities=arrays.get("probabilities"),
            uncertainty=arrays.get("uncertainty"),
        )


# (hu (i, j, k) int16, affine (4, 4) float32) -> segmentation without post-processing
Segment = Callable[[NDArray[np.int16], NDArray[np.float32]], Segmentation]


@dataclass(frozen=True)
class Model:
    """A network with its post-processing.

    Attributes:
        segment: function that computes a segmentation, here or on a server.
        scheme: scheme of its labels.
        chain: steps of post-processing that are done to its masks.
        accept_intensities: whether scans are segmented whose voxels cannot be Hounsfield units; such a segmentation has
            a warning.
        identity: identity of network and post-processing (`inference.identity`); "" if it is not known.
        notices: sentences that every segmentation has among its warnings, whatever the scan.
    """

    segment: Segment
    scheme: Scheme
    chain: Chain = ()
    accept_intensities: bool = False
    identity: str = ""
    notices: tuple[str, ...] = ()

    def segmentation(self, image: Volume) -> Segmentation:
        """Returns the segmentation of a scan, after post-processing.

        Raises:
            IntensityError: the voxels cannot be Hounsfield units.
            InputError: the scan is one that the model refuses.
        """
        stored = image.as_stored()
        warnings = (*self._warnings(stored), *self.notices)
        result = replace(self.segment(stored, image.stored.affine.astype(np.float32)), warnings=warnings)
        if not self.chain:
            return result
        labels = Volume.from_stored(result.labels, image.stored.affine).array
        labels = apply_chain(labels, Context(self.scheme, image.grid.spacing_mm, image.array), self.chain)
        voxels = count_labels(labels, len(self.scheme.classes)).astype(np.float32)
        return replace(
            result,
            labels=replace(image, array=labels).as_stored(),
            volumes_ml=voxels * np.float32(np.prod(image.grid.spacing_mm) / 1000),
        )

    def labels(self, image: Volume) -> NDArray[np.uint8]:
        """Returns the labels (z, y, x) uint8 of a scan on its own grid.

        Raises:
            InputError: the scan is one that the model refuses.
        """
        return Volume.from_stored(self.segmentation(image).labels, image.stored.affine).array

    def _warnings(self, hu: NDArray[np.int16]) -> tuple[str, ...]:
        problem = hounsfield_problem(hu)
        if not problem:
            return ()
        if not self.accept_intensities:
            raise IntensityError(problem)
        return (problem,)


def refusal(message: str) -> str:
    """Returns in one line what a graph's assertion says, without TensorFlow's marks and what comes after them."""
    match = re.search(r"assertion failed: \[(.*?)\](?: (\[.*?\]))?(?:\n|$)", message, re.DOTALL)
    return " ".join(part for part in match.groups() if part) if match else " ".join(message.split())[:300]
