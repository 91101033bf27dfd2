"""A SavedModel of this package: written as the next version in a folder, found there, and loaded again.

A model's folder is laid out as TensorFlow Serving expects it: MODEL/<integer>/saved_model.pb, the highest is served.
"""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from kits_tf.base.errors import InputError
from kits_tf.base.progress import Report, still_working
from kits_tf.ct.graph_hounsfield import intensity_check
from kits_tf.inference.ensemble import Ensemble
from kits_tf.inference.model import Segmentation
from kits_tf.inference.progress import WindowProgress
from kits_tf.inference.segmenter import Segmenter, run_graph
from kits_tf.serving.metadata import (
    ASSETS_FOLDER,
    METADATA,
    PROBABILITIES,
    SIGNATURES,
    UNCHECKED,
    VOLUME,
    Metadata,
)
from kits_tf.serving.versions import version_folders

T = TypeVar("T")

_MOST_WINDOWS = 64


class Untracked(Generic[T]):
    """Holds an object that an attribute of a tf.Module must reach, but that must not be saved with it.

    TensorFlow saves every module, layer and variable that attributes of a module refer to, and follows modules, lists,
    tuples and dictionaries. It does not look into other objects, such as this one.
    """

    def __init__(self, content: T) -> None:
        self.content = content


class ServingModule(tf.Module):
    """What an export consists of: the signatures of a segmenter, its variables, and its metadata.

    Keras' own variables would be saved as copies of those that the graph reads (Keras 3.15), and TensorFlow Serving's
    loader restores the copies only. So the segmenter is not part of what is saved, but the TensorFlow variables inside
    Keras' are.

    Args:
        segmenter: segmenter of trained runs.
        metadata: description of the export.
    """

    def __init__(self, segmenter: Segmenter, metadata: Metadata) -> None:
        super().__init__(name="served")
        self._segmenter = Untracked(segmenter)
        stages = [segmenter, *([segmenter.coarse.segmenter] if segmenter.coarse else [])]
        # `load` finds the progress under this name; that of the first stage is here because all variables that a graph
        # changes must be tracked.
        self.progress = segmenter.progress
        self._stages_progress = [stage.progress for stage in stages]
        self.weights = [weight for stage in stages for weight in cast(Ensemble, stage.network).weights]
        self._json = metadata.to_json()

    @tf.function(input_signature=[], autograph=False)
    def metadata(self) -> dict[str, tf.Tensor]:
        """Returns json, a scalar string: `Metadata`."""
        return {"json": tf.constant(self._json)}

    @tf.function(input_signature=Segmenter.INPUTS, autograph=False)
    def volume(self, hu: tf.Tensor, affine: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns the mask of a scan in Hounsfield units, see `Segmenter.segment`.

        Raises:
            tf.errors.InvalidArgumentError: the voxels cannot be Hounsfield units, or `Segmenter.segment` refuses them.
        """
        check = intensity_check(hu, f"The signature {UNCHECKED} takes any values.")
        with tf.control_dependencies([check]):
            return self._segmenter.content.segment(hu=tf.identity(hu), affine=affine)

    @tf.function(input_signature=[tf.TensorSpec([None] * 4, tf.int16, name="hu")], autograph=False)
    def probabilities(self, hu: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns the probabilities of windows, which go through the network one at a time.

        Args:
            hu: (n, z, y, x) int16 HU on the training grid, each of the windows' size.

        Returns:
            probabilities: (n, z, y, x, classes) float16.

        Raises:
            tf.errors.InvalidArgumentError: there is no window, there are too many, or they have another size.
        """
        segmenter = self._segmenter.content
        size, classes = segmenter.plan.window.size, len(segmenter.plan.scheme.classes)
        count = tf.shape(hu)[0]
        is_right = tf.reduce_all(tf.shape(hu)[1:] == size) & (count > 0) & (count <= _MOST_WINDOWS)
        expected = f"hu: expected 1 to {_MOST_WINDOWS} windows of {' x '.join(map(str, size))}, got shape"
        with tf.control_dependencies([tf.debugging.Assert(is_right, [expected, tf.shape(hu)], 4)]):
            windows = tf.ensure_shape(tf.identity(hu), [None, *size])
        # One at a time bounds memory, whatever number is sent.
        probabilities = tf.map_fn(
            lambda window: segmenter.probabilities(window[None])[0],
            windows,
            parallel_iterations=1,
            fn_output_signature=tf.TensorSpec([*size, classes], tf.float16),
        )
        return {"probabilities": probabilities}

    def signatures(self) -> dict[str, Callable]:
        """Returns the functions by the names under which a server offers them."""
        return {
            VOLUME: self.volume,
            UNCHECKED: self._segmenter.content.segment,
            PROBABILITIES: self.probabilities,
            METADATA: self.metadata,
        }


@dataclass(frozen=True, eq=False)
class SavedModel:
    """A SavedModel that `save_version` wrote, in memory.

    Attributes:
        root: the loaded object; it owns the variables of the signatures, which do not keep them alive themselves.
        signatures: the graphs by name.
        metadata: description of the export.
        progress: progress of the scan that is being computed; None in exports of versions that did not have it.
    """

    root: object
    signatures: dict[str, Any]
    metadata: Metadata
    progress: WindowProgress | None

    def segment(self, hu: NDArray[np.int16], affine: NDArray[np.float32], report: Report | None = None) -> Segmentation:
        """Returns the segmentation of a scan, as the graph gives it, whatever its intensities.

        Args:
            hu: (i, j, k) int16 HU, as stored.
            affine: (4, 4) float32, voxels to world mm.
            report: function called with (windows done, windows in all); an exception that it raises stops the graph.

        Raises:
            InputError: the graph refuses the scan.
        """
        return run_graph(self.signatures[self.metadata.unchecked], hu, affine, self.progress, report)


def load(directory: Path) -> SavedModel:
    """Returns a SavedModel that `save_version` wrote.

    Raises:
        InputError: it cannot be loaded, or lacks a signature.
    """
    try:
        root = tf.saved_model.load(os.fspath(directory))
        of_before = {UNCHECKED} - set(root.signatures)
        signatures = {name: root.signatures[name] for name in SIGNATURES if name not in of_before}
        json = signatures[METADATA]()["json"].numpy()
    except (OSError, KeyError, ValueError, IndexError, tf.errors.OpError) as error:
        # An IndexError is TensorFlow's word for a file of variables that is cut short.
        reason = " ".join(str(error).split())[:300]
        raise InputError(f"{directory}: expected a SavedModel that kits_tf exported: {reason}") from None
    metadata = Metadata.parse(json, str(directory))
    return SavedModel(root, signatures, metadata, getattr(root, "progress", None))


def save_version(model: ServingModule, export_dir: str | os.PathLike, write_assets: Callable[[Path], None]) -> Path:
    """Writes a model as the next version in `export_dir` and returns that version's folder.

    It is written under a temporary name and renamed, never over a version that exists.

    Args:
        model: signatures, variables and metadata to write.
        export_dir: folder of its versions; it is made if it does not exist.
        write_assets: function that fills the folder assets.extra, whose path it is given.
    """
    root = Path(export_dir)
    root.mkdir(parents=True, exist_ok=True)
    # No integer, so that a server that watches the folder ignores it.
    partial = root / f".partial-{os.getpid()}"
    try:
        with still_working("compiling and writing the model"):
            tf.saved_model.save(model, os.fspath(partial), signatures=model.signatures())
        (partial / ASSETS_FOLDER).mkdir()
        write_assets(partial / ASSETS_FOLDER)
        return _rename_to_next(partial, root)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _rename_to_next(partial: Path, root: Path) -> Path:
    while True:
        final = root / str(max(version_folders(root), default=0) + 1)
        try:
            return partial.rename(final)
        except OSError:
            if not final.exists():  # else another export has just taken the number
                raise
