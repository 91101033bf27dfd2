"""Scan in, mask out: the one path that predict, evaluate, validation, the exported model and the client share."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from kits_tf.base.errors import InputError
from kits_tf.base.progress import Report
from kits_tf.config import GridSettings
from kits_tf.ct import graph_geometry, preprocess
from kits_tf.ct.labels import CHALLENGE_KIDNEY, Scheme, challenge_lookup
from kits_tf.ct.volume import SHARE_QUANTA
from kits_tf.inference.confidence import Confidence
from kits_tf.inference.model import Model, Segmentation, refusal
from kits_tf.inference.postprocess import Postprocessing
from kits_tf.inference.progress import WindowProgress, reporting
from kits_tf.inference.region_of_interest import body_box, box_of_labels, box_on_grid, is_empty
from kits_tf.inference.restoration import Output, Restoration, labels_output
from kits_tf.inference.sliding import Network, SlidingWindow, stream_windows

# Largest scan, along an axis and in volume: anything larger is a wrong affine, and would need memory without bounds.
MOST_MM, MOST_MM3 = 3000.0, 2e9
# A scan in which the first stage of a cascade labels less kidney, and less of anything, shows none: kidneys have 90 mL
# and more, and what is taken for a kidney or a tumor in a chest or a head is small.
_LEAST_KIDNEY_ML, _LEAST_LABELED_ML = 5.0, 50.0


@dataclass(frozen=True, kw_only=True)
class OptionalMaps:
    """Maps on the scan's grid that a segmenter gives besides labels, where asked for; see `Segmentation`.

    Attributes:
        probabilities: whether to give the probabilities of all classes but background.
        uncertainty: whether to give how far the passes of the network disagree.
    """

    probabilities: bool = False
    uncertainty: bool = False


NO_MAPS = OptionalMaps()


@dataclass(frozen=True, kw_only=True)
class InferencePlan:
    """The data that a network was trained for, and how scans go through it.

    Attributes:
        grid: grid of its records.
        scheme: scheme of its labels.
        window: size, overlap and merging of the windows over a scan.
        temperature: divisor of the logits for probabilities.
        postprocessing: steps done to logits and masks; those of the chain are done by `Model`, not by the graph.
    """

    grid: GridSettings
    scheme: Scheme
    window: SlidingWindow
    temperature: float
    postprocessing: Postprocessing


class Segmenter(tf.Module):
    """Segments a scan as it is stored, in any axis order, on its own grid.

    Args:
        network: function of windows (n, z, y, x) int16 HU to logits (n, z, y, x, classes) float32, with
            `maps.uncertainty` with one more channel, the disagreement of its passes.
        plan: grid, labels and windows of the network.
        maps: maps to give besides labels.
        num_passes: number of passes of the network, for the uncertainty.
        coarse: locator of the part of a scan that goes through the network; None: all of the body does.

    Attributes:
        INPUTS: what `segment` takes.
    """

    INPUTS = (
        tf.TensorSpec([None, None, None], tf.int16, name="hu"),
        tf.TensorSpec([4, 4], tf.float32, name="affine"),
    )

    def __init__(
        self,
        network: Network,
        plan: InferencePlan,
        maps: OptionalMaps = NO_MAPS,
        num_passes: int = 1,
        coarse: "CoarseLocator | None" = None,
    ) -> None:
        super().__init__(name="segmenter")
        self.network = network
        self.plan = plan
        self.coarse = coarse
        self.progress = WindowProgress()
        self._num_classes = len(plan.scheme.classes)
        self._outputs = _outputs(plan, maps, num_passes)

    @tf.function(input_signature=INPUTS, autograph=False)
    def segment(self, hu: tf.Tensor, affine: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns the mask of a scan.

        Args:
            hu: (i, j, k) int16 HU, as stored.
            affine: (4, 4) float32, voxel centers to world mm (R, A, S positive), as nibabel gives it.

        Returns:
            labels: (i, j, k) uint8 in the scheme of the records.
            volumes_ml: (classes,) float32, volume of each class.
            confidence: (classes,) float32, the mean probability of a class where it is the largest, on the training
                grid; 0 if it is so nowhere.
            probabilities: (i, j, k, classes - 1) uint16, if asked for; see `Segmentation`.
            uncertainty: (i, j, k) uint16, if asked for.

        Raises:
            tf.errors.InvalidArgumentError: the scan is empty, or the affine is not finite, not invertible, or makes
                the scan larger than MOST_MM or MOST_MM3.
        """
        with tf.control_dependencies(_input_checks(hu, affine)):
            # float64, as geometry has it: a size near a half must round the same way in records and here.
            permutation, flips, spacing_mm = graph_geometry.orientation(tf.cast(affine, tf.float64))
        maps = self.segment_oriented(graph_geometry.reorient(hu, permutation, flips), spacing_mm)
        confidence, voxel_ml = maps.pop("confidence"), tf.abs(tf.linalg.det(affine[:3, :3])) / 1000
        stored = {name: graph_geometry.undo_reorient(values, permutation, flips) for name, values in maps.items()}
        return stored | {"volumes_ml": _count(maps["labels"], self._num_classes) * voxel_ml, "confidence": confidence}

    def probabilities(self, hu: tf.Tensor) -> tf.Tensor:
        """Returns probabilities (n, z, y, x, classes) float16 of windows (n, z, y, x) int16 on the training grid."""
        logits = self.network(tf.ensure_shape(hu, [None, *self.plan.window.size]))[..., : self._num_classes]
        return tf.cast(tf.nn.softmax(logits / self.plan.temperature), tf.float16)

    def model(self, report: Report | None = None) -> Model:
        """Returns this segmenter with its post-processing as a model.

        Args:
            report: function called with (windows done, all windows) of the scan that is computed; what it raises stops
                the computation.
        """

        # A bound tf.function would not keep the segmenter.
        def segment(hu: NDArray[np.int16], affine: NDArray[np.float32]) -> Segmentation:
            return run_graph(self.segment, hu, affine, self.progress, report)

        return Model(segment, self.plan.scheme, self.plan.postprocessing.chain)

    def segment_oriented(self, hu: tf.Tensor, spacing_mm: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns labels, confidence and optional maps of a scan.

        Args:
            hu: (z, y, x) int16 in (I, P, L).
            spacing_mm: (3,) float64, voxel sizes along z, y and x.
        """
        shape = tf.shape(hu)
        grid, window = self.plan.grid, self.plan.window
        grid_shape = graph_geometry.resampled_shape(shape, spacing_mm, grid.spacing_zyx_mm)
        box = self.coarse.box(hu, spacing_mm) if self.coarse else body_box(hu, spacing_mm)
        start, size = box_on_grid(box, grid_shape, window.size)
        inside = preprocess.resample_box(hu, grid_shape, start, size, grid.image_kernel)
        restoration = Restoration(grid_shape, shape, start, size, self._outputs)
        confidence = Confidence(self._num_classes, self.plan.temperature)
        maps = stream_windows(inside, self.network, window, (confidence, restoration), self.progress)
        return tf.cond(is_empty(box), lambda: _of_background(maps), lambda: maps) if self.coarse else maps


@dataclass(frozen=True)
class CoarseLocator:
    """The first stage of a cascade: it says which part of a scan the second one segments.

    Attributes:
        segmenter: segmenter that labels the kidneys, on a coarser grid.
        margin_mm: margin around what it labels.
    """

    segmenter: Segmenter
    margin_mm: float

    def box(self, hu: tf.Tensor, spacing_mm: tf.Tensor) -> tf.Tensor:
        """Returns the box (region_of_interest.py) for the second stage; an empty one where hardly any kidney is.

        Args:
            hu: (z, y, x) int16 in (I, P, L).
            spacing_mm: (3,) float64, voxel sizes along z, y and x.
        """
        labels = self.segmenter.segment_oriented(hu, spacing_mm)["labels"]
        box = box_of_labels(labels, spacing_mm, self.margin_mm)
        voxels = _count(labels, len(self.segmenter.plan.scheme.classes))
        ml = voxels * tf.cast(tf.reduce_prod(spacing_mm) / 1000, tf.float32)
        kidney = tf.boolean_mask(ml, challenge_lookup(self.segmenter.plan.scheme.classes) == CHALLENGE_KIDNEY)
        is_none = (tf.reduce_sum(kidney) < _LEAST_KIDNEY_ML) & (tf.reduce_sum(ml[1:]) < _LEAST_LABELED_ML)
        return tf.where(is_none, tf.zeros_like(box), box)


def run_graph(
    graph: Callable[..., dict[str, tf.Tensor]],
    hu: NDArray[np.int16],
    affine: NDArray[np.float32],
    progress: WindowProgress | None = None,
    report: Report | None = None,
) -> Segmentation:
    """Returns the segmentation that a graph gives of a scan.

    Args:
        graph: `Segmenter.segment`, or the signature of a SavedModel that was made of it.
        hu: (i, j, k) int16 HU, as stored.
        affine: (4, 4), voxel centers to world mm.
        progress: counter of the graph's windows.
        report: function called with (windows done, all windows); what it raises stops the graph, and is raised here.

    Raises:
        InputError: the graph refuses the scan, or memory does not suffice.
    """
    try:
        with reporting(progress, report):
            outputs = graph(hu=preprocess.as_tensor(hu), affine=tf.constant(affine, tf.float32))
    except (tf.errors.InvalidArgumentError, tf.errors.ResourceExhaustedError) as error:
        raise InputError(refusal(error.message)) from None
    return Segmentation.from_arrays({name: values.numpy() for name, values in outputs.items()})


def _of_background(maps: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Returns the maps of a scan, and the confidence of its classes, as they are if all of it is background."""
    confidence = maps["confidence"]
    foreground = tf.zeros_like(confidence[1:])
    empty = {name: tf.zeros_like(values) for name, values in maps.items()}
    return empty | {"confidence": tf.concat([confidence[:1], foreground], axis=0)}


def _outputs(plan: InferencePlan, maps: OptionalMaps, num_passes: int) -> tuple[Output, ...]:
    num_classes = len(plan.scheme.classes)

    def probabilities(planes: tf.Tensor) -> tf.Tensor:
        return _quantized(tf.transpose(tf.nn.softmax(planes / plan.temperature, axis=0)[1:], [1, 2, 3, 0]))

    def uncertainty(planes: tf.Tensor) -> tf.Tensor:
        return _quantized(planes[0] / np.log(min(num_classes, num_passes)))

    outputs = [labels_output(num_classes)]
    if maps.probabilities:
        outputs.append(
            Output(name="probabilities", channels=(0, num_classes), finish=probabilities, dtype=tf.uint16, rank=4)
        )
    if maps.uncertainty:
        channels = (num_classes, num_classes + 1)
        outputs.append(Output(name="uncertainty", channels=channels, finish=uncertainty, dtype=tf.uint16))
    return tuple(outputs)


def _count(labels: tf.Tensor, num_classes: int) -> tf.Tensor:
    """Returns the voxels of each class, (num_classes,) float32: plane by plane, as TensorFlow counts in int32."""

    def count(plane: tf.Tensor) -> tf.Tensor:
        values = tf.cast(tf.reshape(plane, [-1]), tf.int32)
        return tf.math.bincount(values, minlength=num_classes, maxlength=num_classes)

    counts = tf.map_fn(count, labels, parallel_iterations=1, fn_output_signature=tf.int32)
    return tf.cast(tf.reduce_sum(counts, axis=0), tf.float32)


def _quantized(shares: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.round(SHARE_QUANTA * tf.clip_by_value(shares, 0, 1)), tf.uint16)


def _input_checks(hu: tf.Tensor, affine: tf.Tensor) -> list[tf.Operation]:
    axes = affine[:3, :3]
    spacing_mm = tf.norm(axes, axis=0)
    volume = tf.abs(tf.linalg.det(tf.math.divide_no_nan(axes, spacing_mm)))
    extent_mm = spacing_mm * tf.cast(tf.shape(hu), tf.float32)
    is_small_enough = (tf.reduce_max(extent_mm) <= MOST_MM) & (tf.reduce_prod(extent_mm) <= MOST_MM3)
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
        tf.debugging.Assert(
            is_small_enough,
            [f"affine: expected a scan of {MOST_MM:.0f} mm at most along each axis and 2 m^3, got, in mm,", extent_mm],
        ),
    ]
