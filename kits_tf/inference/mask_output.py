"""Where masks are written, and what may stand there already: nothing that a user has is lost. Without TensorFlow."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kits_tf.base.errors import InputError
from kits_tf.base.files import require_writable
from kits_tf.ct.mask_metadata import MaskMetadata
from kits_tf.ct.scans import MAPS, Scan
from kits_tf.ct.volume import read_labels, read_metadata
from kits_tf.inference.identity import is_corrected, same_model, with_labels

_KEPT = "kept as it is: choose another --output_dir, or move it away"


@dataclass(frozen=True, kw_only=True)
class MaskOutput:
    """The folder of masks, and what they are to be.

    Attributes:
        folder: folder of the masks.
        model: identity of the model that makes them.
        labels: value of --labels: "model", as the model has them, "challenge" or "laterality".
        maps: names of the maps to write beside each.
        overwrite: whether masks that kits_tf wrote are made again.
    """

    folder: Path
    model: str
    labels: str = "model"
    maps: tuple[str, ...] = ()
    overwrite: bool = False

    @property
    def identity(self) -> str:
        """What the masks say of the model."""
        return with_labels(self.model, self.labels)

    def mask_path(self, scan: Scan) -> Path:
        """Returns the file of a scan's mask."""
        return self.folder / f"{scan.name}.nii.gz"

    def map_path(self, scan: Scan, name: str) -> Path:
        """Returns the file of a map beside a scan's mask."""
        return self.folder / f"{scan.name}_{name}.nii.gz"

    def check(self, scans: Sequence[Scan]) -> None:
        """Checks before any work that masks can be written, and not among the scans.

        Raises:
            InputError: they cannot be written, or would lie in a folder of a scan.
        """
        folder = self.folder.resolve()
        for scan in scans:
            for taken in scan.folders:
                # A series is all that lies in its folder, and below.
                if folder == taken.resolve() or (Path(scan.source) == taken and taken.resolve() in folder.parents):
                    raise InputError(f"--output_dir={self.folder}: expected another folder than that of {scan.source}")
        require_writable(self.folder)

    def existing(self, scan: Scan) -> MaskMetadata | None:
        """Returns what the mask at a scan's place says of itself; None if there is none.

        Raises:
            InputError: there is a file that is no mask, or that does not say of what it is.
        """
        path = self.mask_path(scan)
        if not os.path.lexists(path):
            return None
        try:
            metadata = read_labels(path).metadata
        except InputError as error:
            raise InputError(f"{error}; {_KEPT}") from None
        if not metadata.scan or not metadata.model:
            raise InputError(
                f"{path}: it does not say of which scan it is, and by which model (made by another program or an older "
                f"version, or edited), so it may not be that of {scan.source}; {_KEPT}"
            )
        if self.overwrite and is_corrected(metadata.model):
            raise InputError(f"{path}: it was corrected by hand; {_KEPT}")
        return metadata

    def is_done(self, scan: Scan, existing: MaskMetadata | None, digest: str) -> bool:
        """Returns whether the mask at a scan's place is of this scan by this model.

        Raises:
            InputError: it is another one, a map that is to lie beside it is missing, or one that lies there is of
                another scan or model.
        """
        if existing is None or self.overwrite:
            self._check_maps(scan, digest)
            return False
        path = self.mask_path(scan)
        if existing.scan != digest:
            raise InputError(f"{path} is the mask of another scan than {scan.source}; {_KEPT}, or --overwrite")
        if not same_model(existing.model, self.identity):
            raise InputError(
                f"{path} is the mask of {scan.source} by another model, {existing.model}, expected {self.identity}; "
                f"{_KEPT}, or --overwrite"
            )
        for name in self.maps:
            if not (beside := self.map_path(scan, name)).exists():
                raise InputError(f"{beside}: missing beside its mask of {scan.source}; --overwrite makes both again")
        self._check_maps(scan, digest)
        return True

    def _check_maps(self, scan: Scan, digest: str) -> None:
        """Raises InputError if a map would be left beside a mask that it does not belong to."""
        for name in MAPS:
            path = self.map_path(scan, name)
            if not os.path.lexists(path) or (self.overwrite and name in self.maps):
                continue
            metadata = read_metadata(path)
            if metadata.scan != digest or not same_model(metadata.model, self.identity):
                raise InputError(
                    f"{path}: expected the map of {scan.source} by {self.identity}, it is another; {_KEPT}"
                )
