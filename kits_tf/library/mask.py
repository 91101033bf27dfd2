"""A mask of a scan: from a model, a file or an array, and always with right and left kidney. Without TensorFlow."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kits_tf.analysis.mask_files import check_flags, open_mask
from kits_tf.analysis.mask_pair import MaskPair
from kits_tf.analysis.masks import read_to_measure
from kits_tf.analysis.measurements import Measurements
from kits_tf.analysis.morphometry import measure
from kits_tf.analysis.scores import ScoreValues, score_values
from kits_tf.base.errors import GridMismatchError, InputError
from kits_tf.base.packages import require
from kits_tf.base.startup import start_tensorflow
from kits_tf.base.words import warnings_text
from kits_tf.config import MaskSchemeSettings
from kits_tf.ct.geometry import grid_mismatch, size_text
from kits_tf.ct.labels import Scheme, challenge_lookup, check_labels, from_challenge, volumes_ml, with_sides
from kits_tf.ct.mask_metadata import MaskMetadata
from kits_tf.ct.volume import Volume, strip_suffix, write_stored
from kits_tf.inference.identity import is_corrected
from kits_tf.library.options import settings_from

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Mask:
    """A mask and its scan. `Model.segment`, `read_mask` and `Mask.from_labels` make one.

    Attributes:
        labels: (z, y, x) uint8 in (I, P, L), on the grid of the scan.
        scheme: scheme of the labels, with sides; `scheme.classes` names labels 0, 1, ...
        scan: the scan.
        model: identity of the model that made the mask; "" if it is not known.
        warnings: sentences that everyone who sees the mask must know, as that its model was trained on phantoms.
        confidence: mean probability of each of the model's own classes where it is the most probable one, by name; {}
            for a mask that no model of this process made.
    """

    labels: NDArray[np.uint8]
    scheme: Scheme
    scan: Volume
    model: str = ""
    warnings: tuple[str, ...] = ()
    confidence: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def from_labels(cls, labels: NDArray[np.uint8], scheme: Scheme, scan: Volume) -> "Mask":
        """Returns the mask of an array of labels.

        Labels without sides get them from geometry: from the two kidneys, or else from the middle of the body.

        Args:
            labels: (z, y, x) uint8 in (I, P, L), on the grid of the scan.
            scheme: scheme of the labels, as in `find_scheme("kits19")`.
            scan: scan that the mask belongs to.

        Raises:
            InputError: the array has another type or shape, or a label that is not of the scheme.
        """
        if labels.dtype != np.uint8 or labels.shape != scan.array.shape:
            expected = f"uint8 of the scan's shape {scan.array.shape}"
            raise InputError(f"labels: expected {expected}, got {labels.dtype} {labels.shape}")
        check_labels(labels, len(scheme.classes), "labels")
        labels, sided = with_sides(labels, scheme, scan.array, scan.grid.spacing_mm)
        return cls(labels=labels, scheme=sided, scan=scan)

    @property
    def volumes_ml(self) -> dict[str, float]:
        """Volume of each class but background, by name; a kidney without the tumors in it."""
        return volumes_ml(self.labels, self.scheme.classes, self.scan.grid.spacing_mm)

    def measure(self) -> Measurements:
        """Returns volumes, sizes, shapes and HU of kidneys and lesions, as the command measure does."""
        measured = measure(self.labels, self.scheme, self.scan.grid.spacing_mm, self.scan.array)
        return replace(
            measured, labels=self.scheme.classes, warnings=self.warnings, is_corrected=is_corrected(self.model)
        )

    def evaluate(self, truth: "Mask") -> ScoreValues:
        """Returns the scores of the mask by name, those of the command evaluate on a scan's own grid.

        The truth is brought into the scheme of the mask: where that has no cysts, they become what its `cyst_as` says.

        Args:
            truth: the true mask of the same scan.

        Raises:
            GridMismatchError: the masks lie on different grids.
        """
        pair = MaskPair(
            truth=truth._on_grid_of(self),
            predicted=self.labels,
            scheme=self.scheme,
            spacing_mm=self.scan.grid.spacing_mm,
        )
        return score_values(pair)

    def figure(self, truth: "Mask | None" = None, name: str = "scan") -> "Figure":
        """Returns a picture: three planes through each kidney and the largest tumor, and the surfaces.

        Args:
            truth: true mask to draw beside it; without one the mask is drawn alone.
            name: name of the scan for the title, which has the warnings too.

        Raises:
            GridMismatchError: the masks lie on different grids.
            InputError: the extra `figures` is not installed.
        """
        require("figures", "matplotlib")
        start_tensorflow()
        from kits_tf.analysis.case_masks import CaseMasks
        from kits_tf.views.drawings.case_figure import case_figure

        case = CaseMasks(
            case_id=name,
            hu=self.scan.array,
            truth=None if truth is None else truth._on_grid_of(self),
            predicted=self.labels,
            scheme=self.scheme,
            spacing_mm=self.scan.grid.spacing_mm,
            warnings=self.warnings,
        )
        return case_figure(case)

    def save(self, path: str | os.PathLike) -> None:
        """Writes the mask as NIfTI on the very grid of the scan's file, as the command predict does.

        The file names its labels, the scan, the model and the warnings. One that is there is replaced.

        Args:
            path: file to write, NAME.nii.gz or NAME.nii; its folder is made.

        Raises:
            InputError: the name ends otherwise, or the file cannot be written.
        """
        strip_suffix(path)
        metadata = MaskMetadata(
            classes=self.scheme.classes, scan=self.scan.digest(), model=self.model, warnings=self.warnings
        )
        stored = replace(self.scan, array=self.labels).as_stored()
        write_stored(path, stored, self.scan.stored.affine, self.scan.header, metadata)

    def _on_grid_of(self, other: "Mask") -> NDArray[np.uint8]:
        """Returns the labels (z, y, x) in the scheme of another mask of the same grid."""
        if mismatch := grid_mismatch(other.scan.grid, self.scan.grid, "mask"):
            raise GridMismatchError(f"truth: {mismatch}")
        if self.scheme.classes == other.scheme.classes:
            return self.labels
        labels = challenge_lookup(self.scheme.classes)[self.labels]
        return from_challenge(labels, other.scheme, other.scan.array, other.scan.grid.spacing_mm)[0]

    def __repr__(self) -> str:
        volumes = ", ".join(f"{name} {ml:.1f} mL" for name, ml in self.volumes_ml.items())
        return f"Mask({size_text(self.scan.grid)}: {volumes}{warnings_text(self.warnings)})"


def read_mask(path: str | os.PathLike, scan: Volume, **masks: str) -> Mask:
    """Returns the mask in a NIfTI file of any program.

    A file that names its labels is read as it says. Any other one has KiTS19's labels, 1 kidney and 2 tumor.

    Args:
        path: file of the mask.
        scan: scan that the mask belongs to.
        **masks: fields of `MaskSchemeSettings`, for a file that does not name its labels: `cyst_as="class"` reads 3 as
            a cyst of KiTS21 and KiTS23, `label_scheme="laterality"` 1, 2, 3 as right kidney, left kidney, tumor.

    Raises:
        InputError: there is no such file or setting, it has a label that is not of the scheme, lies on another grid
            than the scan, or was made from another scan.
    """
    settings = settings_from(MaskSchemeSettings, masks)
    file = open_mask(Path(path), settings)
    check_flags([file], settings)
    file.check_made_from(scan, "this scan")
    volume, scheme = read_to_measure(file, scan)
    model = volume.metadata.model
    return Mask(labels=volume.array, scheme=scheme, scan=scan, model=model, warnings=file.warnings)
