"""A case <-> its record: int16 HU and uint8 labels on the training grid, and where they lie."""

import zlib
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from kits_tf.config import GridSettings
from kits_tf.ct import preprocess
from kits_tf.ct.geometry import Grid
from kits_tf.ct.labels import SCHEMES, Scheme, check_labels, from_challenge
from kits_tf.ct.layouts import CaseFiles
from kits_tf.ct.volume import Volume, read_image, read_labels
from kits_tf.errors import InputError
from tfrecords_tools.spec import Spec, TensorFeature, TextFeature

# Voxels remembered of each class: far more than the 200 patches that the recipe of record cuts from a case.
CLASS_VOXELS_KEPT = 4096

CASE_SPEC = Spec(
    (
        TextFeature("case_id"),
        TensorFeature("hu", "int16", (None, None, None)),
        TensorFeature("labels", "uint8", (None, None, None)),
        TensorFeature("affine", "float64", (4, 4)),
        TensorFeature("stored_shape", "int64", (3,)),
        TensorFeature("stored_affine", "float64", (4, 4)),
        # Rows (class, z, y, x): a sample of the voxels of each foreground class.
        TensorFeature("class_voxels", "int32", (None, 4)),
    )
)


@dataclass(frozen=True, eq=False)
class Case:
    """A labeled case on the training grid.

    Attributes:
        case_id: as in "case_00012".
        hu: (z, y, x) int16.
        labels: (z, y, x) uint8 of the scheme.
        grid: where those voxels are.
        stored: where the voxels of the files are, (i, j, k).
    """

    case_id: str
    hu: NDArray[np.int16]
    labels: NDArray[np.uint8]
    grid: Grid
    stored: Grid

    def class_voxel_counts(self, num_classes: int) -> tuple[int, ...]:
        """Returns the voxels of each class on the training grid, background first."""
        return tuple(np.bincount(self.labels.ravel(), minlength=num_classes).tolist())

    def serialize(self) -> bytes:
        """Returns the record."""
        return CASE_SPEC.serialize(
            {
                "case_id": self.case_id,
                "hu": self.hu,
                "labels": self.labels,
                "affine": self.grid.affine,
                "stored_shape": np.array(self.stored.shape, np.int64),
                "stored_affine": self.stored.affine,
                "class_voxels": sample_class_voxels(self.labels, seed=zlib.crc32(self.case_id.encode())),
            }
        )

    @classmethod
    def parse(cls, record: bytes) -> "Case":
        """Returns the case of a record that `serialize` made."""
        values = {name: tensor.numpy() for name, tensor in CASE_SPEC.parse(tf.constant(record)).items()}
        i, j, k = values["stored_shape"].tolist()
        return cls(
            values["case_id"].decode(),
            values["hu"],
            values["labels"],
            Grid(values["hu"].shape, values["affine"]),
            Grid((i, j, k), values["stored_affine"]),
        )


def read_pair(files: CaseFiles) -> tuple[Volume, Volume]:
    """Returns the scan and the challenge mask of a case, both (I, P, L) at native size.

    Raises:
        InputError: a file cannot be read, the two lie on different grids, or a label is not 0, 1 or 2.
    """
    image, mask = read_image(files.image), read_labels(files.labels)
    if image.stored.shape != mask.stored.shape:
        shapes = f"{mask.stored.shape}, expected the image's {image.stored.shape}"
        raise InputError(f"{files.labels}: mask has shape {shapes}")
    if not image.stored.same_as(mask.stored):
        affines = f"{mask.stored.affine.tolist()}, expected the image's {image.stored.affine.tolist()}"
        raise InputError(f"{files.labels}: mask has affine {affines}")
    check_labels(mask.array, 3, str(files.labels))
    return image, mask


def read_labeled(files: CaseFiles, scheme: Scheme) -> tuple[Volume, NDArray[np.uint8]]:
    """Returns the scan of a case and its true labels (z, y, x) in a scheme, both at native size.

    Raises:
        InputError: as `read_pair`.
    """
    image, mask = read_pair(files)
    return image, from_challenge(mask.array, scheme, image.array, image.grid.spacing_mm)


def load_case(files: CaseFiles, settings: GridSettings) -> Case:
    """Returns a case resampled to the training grid.

    Raises:
        InputError: as `read_pair`.
    """
    scheme = SCHEMES[settings.label_scheme]
    image, labels = read_labeled(files, scheme)
    grid = image.grid.resampled(settings.spacing_zyx_mm)
    return Case(
        files.case_id,
        preprocess.resample(image.array, grid.shape, settings.image_kernel).numpy(),
        preprocess.resample_labels(labels, grid.shape, settings.label_kernel, len(scheme.classes)).numpy(),
        grid,
        image.stored,
    )


def sample_class_voxels(labels: NDArray[np.uint8], seed: int) -> NDArray[np.int32]:
    """Returns rows (class, z, y, x) of up to CLASS_VOXELS_KEPT voxels of each foreground class, drawn evenly.

    An empty mask gives (0, 4).
    """
    rng = np.random.default_rng(seed)
    flat = np.flatnonzero(labels)
    classes = labels.ravel()[flat]
    rows = [np.zeros((0, 4), np.int32)]
    for label in np.unique(classes):
        voxels = flat[classes == label]
        kept = rng.choice(voxels, min(CLASS_VOXELS_KEPT, len(voxels)), replace=False)
        indices = np.unravel_index(np.sort(kept), labels.shape)
        rows.append(np.stack([np.full(len(kept), label), *indices], axis=1).astype(np.int32))
    return np.concatenate(rows)
