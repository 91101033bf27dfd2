"""The SavedModel: how it is written, and how it is found and called again."""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from kits_tf.base.errors import InputError
from kits_tf.base.progress import Report
from kits_tf.inference.ensemble import Ensemble
from kits_tf.inference.model import Segmentation
from kits_tf.inference.progress import WindowProgress
from kits_tf.inference.segmenter import Segmenter, run_graph
from kits_tf.serving.metadata import METADATA, PATCHES, VOLUME, Metadata
from kits_tf.serving.versions import versions

EXTRA = "assets.extra"
# Windows in a batch on a GPU and in a request, how long the first waits for others, and how many batches may wait.
_MOST_AT_ONCE, _MOST_IN_REQUEST, _WAIT_MICROS, _MOST_WAITING = 8, 64, 2000, 256


class Served(tf.Module):
    """What an export consists of: a segmenter of trained runs, and what is to be known of it.

    Keras' own variables are saved as copies of those that the graph reads (Keras 3.15), and TensorFlow Serving's loader
    restores the copies only. So the segmenter is not part of what is saved, but the variables within Keras' are.
    """

    def __init__(self, segmenter: Segmenter, metadata: Metadata) -> None:
        super().__init__(name="served")
        self._segmenter: Callable[[], Segmenter] = lambda: segmenter  # a function is not tracked
        stages = [segmenter, *([segmenter.coarse.segmenter] if segmenter.coarse else [])]
        self.progress = segmenter.progress
        self._all_progress = [stage.progress for stage in stages]  # to be saved, a variable must be tracked
        self.weights = [weight for stage in stages for weight in cast(Ensemble, stage.network).weights]
        self._json = metadata.to_json()
        # A CPU gains nothing from several windows at once, and float32 is for CPUs.
        most = 1 if metadata.precision == "float32" else _MOST_AT_ONCE
        self._batched = tf.nondifferentiable_batch_function(
            num_batch_threads=1,
            max_batch_size=_MOST_IN_REQUEST,  # what is larger than the largest allowed size is split
            batch_timeout_micros=_WAIT_MICROS,
            allowed_batch_sizes=list(range(1, most + 1)),
            max_enqueued_batches=_MOST_WAITING,
            autograph=False,
        )(segmenter.probabilities)

    @tf.function(input_signature=[], autograph=False)
    def metadata(self) -> dict[str, tf.Tensor]:
        """Returns json, a scalar string: `Metadata`."""
        return {"json": tf.constant(self._json)}

    @tf.function(input_signature=[tf.TensorSpec([None] * 4, tf.int16, name="hu")], autograph=False)
    def patches(self, hu: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns the probabilities of windows; those of requests that come together go through the network together.

        TensorFlow Serving could put them together too, but then would take the axes of volumes for batches as well.

        Args:
            hu: (n, z, y, x) int16 HU on the training grid, each of the windows' size.

        Returns:
            probabilities: (n, z, y, x, classes) float16.

        Raises:
            tf.errors.InvalidArgumentError: there is no window, there are too many, or they have another size.
            tf.errors.UnavailableError: too many wait.
        """
        size = self._segmenter().plan.window.size
        count = tf.shape(hu)[0]
        is_right = tf.reduce_all(tf.shape(hu)[1:] == size) & (count > 0) & (count <= _MOST_IN_REQUEST)
        expected = f"hu: expected 1 to {_MOST_IN_REQUEST} windows of {' x '.join(map(str, size))}, got shape"
        with tf.control_dependencies([tf.debugging.Assert(is_right, [expected, tf.shape(hu)], 4)]):
            windows = tf.ensure_shape(tf.identity(hu), [None, *size])
        found = self._batched(windows)
        return {"probabilities": tf.ensure_shape(found, [None, *size, len(self._segmenter().plan.scheme.classes)])}

    def signatures(self) -> dict[str, Callable]:
        """Returns the functions by the names that a server knows them by."""
        return {
            VOLUME: self._segmenter().segment,
            PATCHES: self.patches,
            METADATA: self.metadata,
        }


def export(served: Served, export_dir: str | os.PathLike, write_extra: Callable[[Path], None]) -> Path:
    """Writes a model as the next version below `export_dir` and returns that folder.

    The layout is TensorFlow Serving's: <export_dir>/<integer>/saved_model.pb, the highest served. It is written
    under a temporary name and renamed, never over a version that is there.

    Args:
        served: the model.
        export_dir: folder of its versions.
        write_extra: fills the folder assets.extra.
    """
    root = Path(export_dir)
    root.mkdir(parents=True, exist_ok=True)
    # Not an integer, so that a server that watches the folder passes it over.
    partial = root / f".partial-{os.getpid()}"
    try:
        tf.saved_model.save(served, os.fspath(partial), signatures=served.signatures())
        (partial / EXTRA).mkdir()
        write_extra(partial / EXTRA)
        return _renamed(partial, root)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _renamed(partial: Path, root: Path) -> Path:
    while True:
        final = root / str(max(versions(root), default=0) + 1)
        try:
            return partial.rename(final)
        except OSError:
            if not final.exists():  # or another export has just taken the number
                raise


@dataclass(frozen=True, eq=False)
class Exported:
    """A SavedModel that `export` wrote, in memory.

    Attributes:
        owner: what the signatures' variables live in, which they themselves do not keep.
        signatures: by name.
        metadata: of the export.
        progress: of the scan that is computed; None in exports of versions that did not tell it.
    """

    owner: object
    signatures: dict[str, Any]
    metadata: Metadata
    progress: WindowProgress | None

    def segment(self, hu: NDArray[np.int16], affine: NDArray[np.float32], tell: Report | None = None) -> Segmentation:
        """Returns what is found in a scan, as `Segmenter.segment`; tell: is told of the windows that are done.

        Raises:
            InputError: the graph refuses the scan.
        """
        return run_graph(self.signatures[VOLUME], hu, affine, self.progress, tell)


def load(directory: Path) -> Exported:
    """Returns a SavedModel that `export` wrote.

    Raises:
        InputError: it cannot be loaded, or its signatures are others.
    """
    try:
        model = tf.saved_model.load(os.fspath(directory))
        signatures = {name: model.signatures[name] for name in (VOLUME, PATCHES, METADATA)}
        json = signatures[METADATA]()["json"].numpy()
    except (OSError, KeyError, ValueError, tf.errors.OpError) as error:
        reason = " ".join(str(error).split())[:300]
        raise InputError(f"{directory}: expected a SavedModel that kits_tf exported: {reason}") from None
    return Exported(model, signatures, Metadata.parse(json, str(directory)), getattr(model, "progress", None))
