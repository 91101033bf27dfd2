"""A model as its users see it: scan in, mask out, wherever its network runs. Without TensorFlow."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from kits_tf.ct.labels import Scheme, count_labels
from kits_tf.ct.volume import Volume
from kits_tf.inference.chain import CRF, Chain, apply_chain
from kits_tf.inference.postprocess import Context

# (hu (i, j, k) int16, affine (4, 4) float32) -> results by name, as Segmenter.segment
Segment = Callable[[NDArray[np.int16], NDArray[np.float32]], dict[str, NDArray]]


@dataclass(frozen=True)
class Model:
    """What segments scans.

    Attributes:
        segment: a graph here or on a server.
        scheme: of its labels.
        chain: what is done to its masks afterwards.
    """

    segment: Segment
    scheme: Scheme
    chain: Chain

    def results(self, image: Volume) -> dict[str, NDArray]:
        """Returns what is found in a scan as it lies in its file: labels (i, j, k) uint8, volumes_ml and more.

        Raises:
            InputError: the scan is one that the model refuses.
        """
        found = self.segment(image.as_stored(), image.stored.affine.astype(np.float32))
        if not any(step.name != CRF for step in self.chain):
            return found
        labels = Volume.from_stored(found["labels"], image.stored.affine).array
        labels = apply_chain(labels, Context(self.scheme, image.grid.spacing_mm, image.array), self.chain)
        voxels = count_labels(labels, len(self.scheme.classes)).astype(np.float32)
        as_stored = replace(image, array=labels).as_stored()
        return found | {"labels": as_stored, "volumes_ml": voxels * np.float32(np.prod(image.grid.spacing_mm) / 1000)}

    def labels(self, image: Volume) -> NDArray[np.uint8]:
        """Returns the labels (z, y, x) uint8 of a scan on its own grid."""
        return Volume.from_stored(self.results(image)["labels"], image.stored.affine).array


def refusal(message: str) -> str:
    """Returns in one line what a graph's assertion says, without TensorFlow's marks and what follows."""
    found = re.search(r"assertion failed: \[(.*?)\](?: (\[.*?\]))?(?:\n|$)", message, re.DOTALL)
    return " ".join(part for part in found.groups() if part) if found else " ".join(message.split())[:300]
