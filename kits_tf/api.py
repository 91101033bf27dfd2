"""What the library has beside its rooms: a scan from wherever it lies, a model whatever it is."""

import os
from typing import TYPE_CHECKING, Any

from kits_tf import runtime
from kits_tf.analysis.measuring import measure as measure_labels
from kits_tf.config import DicomSettings, InferenceSettings
from kits_tf.ct.scans import find_scans
from kits_tf.ct.volume import Volume
from kits_tf.errors import InputError

if TYPE_CHECKING:
    from kits_tf.inference.model import Model

__all__ = ["load_model", "measure_labels", "read_scan"]


def read_scan(path: str | os.PathLike) -> Volume:
    """Returns a scan: a NIfTI file, a KiTS19 case folder, or a folder or zip file of a DICOM series.

    Returns:
        (z, y, x) int16 HU in (I, P, L), with the grid of its file.

    Raises:
        InputError: there is none, there are several, or it cannot be read.
    """
    found = find_scans([os.fspath(path)], DicomSettings())
    if len(found) != 1:
        raise InputError(f"{path}: expected one scan, found {len(found)}")
    return found[0].read().volume


def load_model(path: str | os.PathLike, **inference: Any) -> "Model":
    """Returns a model: `labels(scan)` are its mask on the scan's grid, `results(scan)` its volumes and more.

    Args:
        path: of an exported model, or of its folder of versions; of a run, several with commas between, or a folder of
            folds.
        **inference: fields of `InferenceSettings`, as in `overlap=0.25`; of an exported model only `postprocess`.

    Raises:
        InputError: there is no model, or it has no such setting.
    """
    runtime.start_tensorflow()
    from kits_tf.serving.saved_model import load_model as load

    known = InferenceSettings.__dataclass_fields__
    if unknown := sorted(set(inference) - set(known)):
        raise InputError(f"expected settings of {', '.join(known)}, got {', '.join(unknown)}")
    return load(os.fspath(path), InferenceSettings(**inference))
