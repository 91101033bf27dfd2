"""A case <-> its record: int16 HU and uint8 labels on the training grid, and where they lie."""

import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kits_tf.config import GridSettings
from kits_tf.ct import preprocess
from kits_tf.ct.cases import LabeledScan
from kits_tf.ct.crop import Crop, body_crop, no_crop
from kits_tf.ct.geometry import Grid, Triple, bounding_box
from kits_tf.ct.labels import count_labels, scheme_of
from kits_tf.ct.volume import AIR_HU
from tfrecords_tools.spec import Spec, TensorFeature, TextFeature

# Voxels remembered of each class: far more than the 200 patches that the recipe of record cuts from a case.
CLASS_VOXELS_KEPT = 4096

CASE_SPEC = Spec(
    (
        TextFeature("case_id"),
        # Names of the labels 0, 1, ..., with commas between.
        TextFeature("classes"),
        TensorFeature("hu", "int16", (None, None, None)),
        # The shape of hu; (0, 0, 0) for a case without a mask.
        TensorFeature("labels", "uint8", (None, None, None)),
        TensorFeature("affine", "float64", (4, 4)),
        # First voxel of hu in the training grid of the whole scan, and that grid's shape; without a crop 0 and its own.
        TensorFeature("crop_start", "int64", (3,)),
        TensorFeature("full_shape", "int64", (3,)),
        # Grid of the scan as read, (z, y, x) in (I, P, L): the same whatever axis order its file has.
        TensorFeature("native_shape", "int64", (3,)),
        TensorFeature("native_affine", "float64", (4, 4)),
        # Rows (class, z, y, x): a sample of the voxels of each foreground class.
        TensorFeature("class_voxels", "int32", (None, 4)),
    )
)


@dataclass(frozen=True, eq=False, kw_only=True)
class Case:
    """A case on the training grid.

    Attributes:
        case_id: name of the case, as "case_00012".
        classes: names of the labels, background first.
        hu: (z, y, x) int16 HU.
        labels: (z, y, x) uint8, indices of `classes`; None for a case without a mask.
        grid: grid of `hu` and `labels`.
        crop: the box that they are of the whole scan's training grid.
        native: grid of the scan itself, (z, y, x).
    """

    case_id: str
    classes: tuple[str, ...]
    hu: NDArray[np.int16]
    labels: NDArray[np.uint8] | None
    grid: Grid
    crop: Crop
    native: Grid

    def class_voxel_counts(self) -> tuple[int, ...]:
        """Returns the voxels of each class in `labels`, background first; empty without a mask."""
        if self.labels is None:
            return ()
        return tuple(count_labels(self.labels, len(self.classes)).tolist())

    def hu_on_native(self) -> NDArray[np.int16]:
        """Returns the scan on its own grid (z, y, x): the crop undone, then resampled by IMAGE_RESTORE_KERNEL."""
        whole = preprocess.as_tensor(self.crop.undo(self.hu, outside=AIR_HU))
        return preprocess.resample(whole, self.native.shape, preprocess.IMAGE_RESTORE_KERNEL).numpy()

    def labels_on_native(self) -> NDArray[np.uint8]:
        """Returns the labels on the scan's own grid (z, y, x): the crop undone, then resampled as logits are.

        Raises:
            ValueError: the case has no labels.
        """
        if self.labels is None:
            raise ValueError(f"{self.case_id}: expected labels, got a case without")
        whole, count = self.crop.undo(self.labels, outside=0), len(self.classes)
        return preprocess.resample_labels(whole, self.native.shape, preprocess.RESTORE_KERNEL, count).numpy()

    def serialize(self) -> bytes:
        """Returns the record."""
        labels = np.zeros((0, 0, 0), np.uint8) if self.labels is None else self.labels
        return CASE_SPEC.serialize(
            {
                "case_id": self.case_id,
                "classes": ",".join(self.classes),
                "hu": self.hu,
                "labels": labels,
                "affine": self.grid.affine,
                "crop_start": np.array(self.crop.start, np.int64),
                "full_shape": np.array(self.crop.full_shape, np.int64),
                "native_shape": np.array(self.native.shape, np.int64),
                "native_affine": self.native.affine,
                "class_voxels": sample_class_voxels(labels, seed=zlib.crc32(self.case_id.encode())),
            }
        )

    @classmethod
    def parse(cls, record: bytes) -> "Case":
        """Returns the case of a record that `serialize` made; its arrays are read-only.

        Raises:
            RecordError: the record is another, or its features do not fit together.
        """
        values: dict[str, Any] = CASE_SPEC.read(record)
        hu, labels = values["hu"], values["labels"]
        return cls(
            case_id=values["case_id"],
            classes=tuple(values["classes"].split(",")),
            hu=hu,
            labels=labels if labels.size else None,
            grid=Grid(hu.shape, values["affine"]),
            crop=Crop(_triple(values["crop_start"]), hu.shape, _triple(values["full_shape"])),
            native=Grid(_triple(values["native_shape"]), values["native_affine"]),
        )


def to_training_grid(case_id: str, scan: LabeledScan, settings: GridSettings) -> Case:
    """Returns a case resampled to the training grid, and cropped if the settings say so."""
    grid = scan.image.grid.resampled(settings.spacing_zyx_mm)
    classes = scheme_of(settings).classes
    hu = preprocess.resample(preprocess.as_tensor(scan.image.array), grid.shape, settings.image_kernel).numpy()
    labels = None
    if scan.labels is not None:
        tensor = preprocess.as_tensor(scan.labels)
        labels = preprocess.resample_labels(tensor, grid.shape, settings.label_kernel, len(classes)).numpy()
    crop = body_crop(hu, labels) if settings.crop == "body" else no_crop(grid.shape)
    return Case(
        case_id=case_id,
        classes=classes,
        hu=crop.of(hu),
        labels=None if labels is None else crop.of(labels),
        grid=crop.grid(grid),
        crop=crop,
        native=scan.image.grid,
    )


def sample_class_voxels(labels: NDArray[np.uint8], seed: int) -> NDArray[np.int32]:
    """Returns rows (class, z, y, x) of up to CLASS_VOXELS_KEPT voxels of each foreground class, drawn evenly.

    An empty mask gives (0, 4).
    """
    rng, box = np.random.default_rng(seed), bounding_box(labels)
    inside, start = labels[box], [span.start for span in box]
    flat = np.flatnonzero(inside)
    classes = inside.ravel()[flat]
    rows = [np.zeros((0, 4), np.int32)]
    for label in np.unique(classes):
        voxels = flat[classes == label]
        kept = rng.choice(voxels, min(CLASS_VOXELS_KEPT, len(voxels)), replace=False)
        indices = np.stack(np.unravel_index(np.sort(kept), inside.shape), axis=1) + start
        rows.append(np.insert(indices, 0, label, axis=1).astype(np.int32))
    return np.concatenate(rows)


def _triple(array: NDArray) -> Triple:
    z, y, x = array.tolist()
    return z, y, x
