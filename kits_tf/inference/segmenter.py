"""Scan in, mask out: the one path that predict, evaluate, validation and the exported model share."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from kits_tf import runtime
from kits_tf.config import InferenceSettings
from kits_tf.ct import orient, preprocess
from kits_tf.ct.geometry import orientation, undo_reorient
from kits_tf.ct.labels import Scheme
from kits_tf.ct.volume import AIR_HU, SHARE_QUANTA, Volume
from kits_tf.errors import InputError
from kits_tf.inference.boxes import FindBox, body_box, box_of_labels, on_grid
from kits_tf.inference.crf import Crf
from kits_tf.inference.passes import Passes
from kits_tf.inference.postprocess import CRF, Chain, Context, Step, parse_chain, postprocess
from kits_tf.inference.restoration import Output, Restoration, labels_output
from kits_tf.inference.sliding import Tell, Windows, stream_windows
from kits_tf.network.architecture import architecture
from kits_tf.network.cost import trace_cost
from kits_tf.network.folding import fold_batch_norm
from kits_tf.training.run import Run

# (hu (i, j, k) int16, affine (4, 4) float32) -> labels and volumes_ml, as Segmenter.segment
Segment = Callable[[tf.Tensor, tf.Tensor], dict[str, tf.Tensor]]

# Share of a GPU's memory that windows may take.
_GPU_SHARE = 0.5
_MOST_AT_ONCE = 8


@dataclass(frozen=True)
class Extras:
    """What a segmenter gives besides labels, all uint16, SHARE_QUANTA for 1.

    Attributes:
        probabilities: (i, j, k, classes - 1), of all but background, which has the rest.
        uncertainty: (i, j, k), how far passes disagree, as a share of the most that they can.
    """

    probabilities: bool = False
    uncertainty: bool = False


NO_EXTRAS = Extras()


class Segmenter(tf.Module):
    """Segments a scan as it is stored, in any axis order, on its own grid.

    Args:
        runs: trained networks of the same records and window, whose logits are averaged, with settings and manifest.
        inference: how windows lie and are merged, and the mirror images that are averaged.
        extras: what to give besides labels.
        find_box: what part of a scan to look at.
        tell: is told of the windows that are done; not for an export.

    Raises:
        InputError: the runs do not fit together, or uncertainty is asked of a single pass.
    """

    def __init__(
        self,
        runs: Sequence[Run],
        inference: InferenceSettings,
        extras: Extras = NO_EXTRAS,
        find_box: FindBox = body_box,
        tell: Tell | None = None,
    ) -> None:
        super().__init__(name="segmenter")
        _check_fit(runs)
        first = runs[0]
        networks = [
            (fold_batch_norm(run.network, architecture(run.settings.network)), run.settings.intensity) for run in runs
        ]
        self.chain = parse_chain(inference.postprocess or (first.postprocess if len(runs) == 1 else ""))
        crf = Crf(first.manifest.grid.spacing_zyx_mm) if Step(CRF) in self.chain else None
        self.passes = Passes(networks, first.manifest.scheme, inference.flip_axes, extras.uncertainty, crf)
        if extras.uncertainty and self.passes.count == 1:
            raise InputError("uncertainty: expected --flip_axes or several models, got a single pass, which has none")
        window = first.settings.patches.patch_size_zyx
        self.windows = Windows(
            window, inference.overlap, inference.window_weights, windows_at_once(self.passes, window)
        )
        self._grid, self._find_box, self._tell = first.manifest.grid, find_box, tell
        self._scheme, self._num_classes = first.manifest.scheme, len(first.manifest.scheme.classes)
        self._outputs = _outputs(self._num_classes, self.passes.count, extras)

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None, None], tf.int16, name="hu"),
            tf.TensorSpec([4, 4], tf.float32, name="affine"),
        ],
        autograph=False,
    )
    def segment(self, hu: tf.Tensor, affine: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns the mask of a scan.

        Args:
            hu: (i, j, k) int16 HU, as stored.
            affine: (4, 4) float32, voxel centers to world mm (R, A, S positive), as nibabel gives it.

        Returns:
            labels: (i, j, k) uint8 in the scheme of the records.
            volumes_ml: (classes,) float32, volume of each class.
            What Extras names, where it was asked for.

        Raises:
            tf.errors.InvalidArgumentError: the scan is empty, or the affine is not finite or not invertible.
        """
        with tf.control_dependencies(_input_checks(hu, affine)):
            # float64, as geometry has it: a size near a half must round the same way in records and here.
            permutation, flips, spacing_mm = orient.orientation(tf.cast(affine, tf.float64))
        found = self.segment_oriented(orient.reorient(hu, permutation, flips), spacing_mm)
        voxel_ml = tf.abs(tf.linalg.det(affine[:3, :3])) / 1000
        stored = {name: orient.undo_reorient(result, permutation, flips) for name, result in found.items()}
        return stored | {"volumes_ml": _count(found["labels"], self._num_classes) * voxel_ml}

    @tf.function(input_signature=[], autograph=False)
    def metadata(self) -> dict[str, tf.Tensor]:
        """Returns what a client needs to know: json, a scalar string with `classes`, `label_scheme`, `cyst_as`,
        and `postprocess`, the chain of which the graph itself does crf only.
        """
        scheme = self._scheme
        chain = ",".join(map(str, self.chain))
        facts = {
            "classes": scheme.classes,
            "label_scheme": scheme.name,
            "cyst_as": scheme.cyst_as,
            "postprocess": chain,
        }
        return {"json": tf.constant(json.dumps(facts))}

    def model(self) -> "Model":
        """Returns it with what is done to its masks afterwards."""
        # A bound tf.function would not keep the segmenter.
        return Model(lambda hu, affine: self.segment(hu, affine), self._scheme, self.chain)

    def segment_oriented(self, hu: tf.Tensor, spacing_mm: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns labels and extras of a scan (z, y, x) int16 in (I, P, L), with voxel sizes (3,) float64."""
        shape, grid = tf.shape(hu), self._grid
        grid_shape = orient.resampled_shape(shape, spacing_mm, grid.spacing_zyx_mm)
        start, size = on_grid(self._find_box(hu, spacing_mm), grid_shape, self.windows.size)
        inside = preprocess.resample_box(hu, grid_shape, start, size, grid.image_kernel)
        restoration, channels = Restoration(grid_shape, shape, start, size, self._outputs), self.passes.num_outputs
        state = stream_windows(
            inside,
            self.passes,
            self.windows,
            channels,
            AIR_HU,
            restoration.receive,
            restoration.begin(channels),
            self._tell,
        )
        return restoration.finish(*state)


@dataclass(frozen=True)
class Model:
    """What segments scans, however it is kept.

    Attributes:
        segment: the graph, as `Segmenter.segment`.
        scheme: of its labels.
        chain: what is done to its masks afterwards.
    """

    segment: Segment
    scheme: Scheme
    chain: Chain

    def results(self, image: Volume) -> dict[str, NDArray]:
        """Returns what is found in a scan as it lies in its file: labels (i, j, k) uint8, volumes_ml, extras."""
        stored = preprocess.as_tensor(image.as_stored())
        found = {
            name: result.numpy()
            for name, result in self.segment(stored, tf.constant(image.stored.affine, tf.float32)).items()
        }
        if not any(step.name != CRF for step in self.chain):
            return found
        labels = Volume.from_stored(found["labels"], image.stored.affine).array
        labels = postprocess(labels, Context(self.scheme, image.grid.spacing_mm, image.array), self.chain)
        voxels = _count(tf.constant(labels), len(self.scheme.classes)).numpy()
        as_stored = np.ascontiguousarray(undo_reorient(labels, orientation(image.stored.affine)))
        return found | {"labels": as_stored, "volumes_ml": voxels * np.float32(np.prod(image.grid.spacing_mm) / 1000)}

    def labels(self, image: Volume) -> NDArray[np.uint8]:
        """Returns the labels (z, y, x) uint8 of a scan on its own grid."""
        return Volume.from_stored(self.results(image)["labels"], image.stored.affine).array


def coarse_box(segmenter: Segmenter, margin_mm: float) -> FindBox:
    """Returns what finds the box around all that a coarse segmenter labels, for a finer one to look at."""

    def find(hu: tf.Tensor, spacing_mm: tf.Tensor) -> tf.Tensor:
        return box_of_labels(segmenter.segment_oriented(hu, spacing_mm)["labels"], spacing_mm, margin_mm)

    return find


def windows_at_once(passes: Passes, window: tuple[int, int, int]) -> int:
    """Returns how many windows a GPU's memory holds at once, of which a few are as fast as many; 1 without a GPU.

    On a CPU one window occupies all cores.
    """
    if not tf.config.list_physical_devices("GPU"):
        return 1
    needed = trace_cost(passes, tf.TensorSpec([1, *window], tf.int16)).peak_bytes
    return max(1, min(_MOST_AT_ONCE, int(_GPU_SHARE * (runtime.device_memory() or 0) / needed)))


def _outputs(num_classes: int, num_passes: int, extras: Extras) -> tuple[Output, ...]:
    def probabilities(planes: tf.Tensor) -> tf.Tensor:
        return _quantized(tf.transpose(tf.nn.softmax(planes, axis=0)[1:], [1, 2, 3, 0]))

    def uncertainty(planes: tf.Tensor) -> tf.Tensor:
        return _quantized(planes[0] / np.log(min(num_classes, num_passes)))

    found = [labels_output(num_classes)]
    if extras.probabilities:
        found.append(Output("probabilities", (0, num_classes), probabilities, tf.uint16, 4))
    if extras.uncertainty:
        found.append(Output("uncertainty", (num_classes, num_classes + 1), uncertainty, tf.uint16))
    return tuple(found)


def _count(labels: tf.Tensor, num_classes: int) -> tf.Tensor:
    """Returns the voxels of each class, (num_classes,) float32: plane by plane, as TensorFlow counts in int32."""

    def count(plane: tf.Tensor) -> tf.Tensor:
        values = tf.cast(tf.reshape(plane, [-1]), tf.int32)
        return tf.math.bincount(values, minlength=num_classes, maxlength=num_classes)

    of_planes = tf.map_fn(count, labels, parallel_iterations=1, fn_output_signature=tf.int32)
    return tf.cast(tf.reduce_sum(of_planes, axis=0), tf.float32)


def _quantized(shares: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.round(SHARE_QUANTA * tf.clip_by_value(shares, 0, 1)), tf.uint16)


def _check_fit(runs: Sequence[Run]) -> None:
    """Checks that networks can be averaged.

    Raises:
        InputError: they have different grids, label schemes or windows.
    """
    kinds = [(r.manifest.grid, r.manifest.scheme, r.settings.patches.patch_size_zyx) for r in runs]
    names = ("grid", "label scheme", "patch size")
    for run, kind in zip(runs[1:], kinds[1:], strict=True):
        for name, first, other in zip(names, kinds[0], kind, strict=True):
            if first != other:
                raise InputError(
                    f"{run.settings.run_dir}: expected the {name} of {runs[0].settings.run_dir} to average with, "
                    f"{first}, got {other}"
                )


def _input_checks(hu: tf.Tensor, affine: tf.Tensor) -> list[tf.Operation]:
    axes = affine[:3, :3]
    volume = tf.abs(tf.linalg.det(tf.math.divide_no_nan(axes, tf.norm(axes, axis=0))))
    return [
        tf.debugging.Assert(tf.size(hu) > 0, ["hu: expected at least one voxel, got shape", tf.shape(hu)]),
        tf.debugging.Assert(
            tf.reduce_all(tf.math.is_finite(affine)), ["affine: expected finite numbers, got", affine], summarize=16
        ),
        tf.debugging.Assert(
            volume > np.float32(1e-3),
            ["affine: expected three independent axes of a length above 0 mm, got", affine],
            summarize=16,
        ),
    ]
