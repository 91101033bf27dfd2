"""Scan in, mask out: the one path that predict, evaluate, validation, the exported model and the client share."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from kits_tf.base.errors import InputError
from kits_tf.config import GridSettings
from kits_tf.ct import graph_geometry, preprocess
from kits_tf.ct.labels import Scheme
from kits_tf.ct.volume import AIR_HU, SHARE_QUANTA
from kits_tf.inference.chain import Chain
from kits_tf.inference.confidence import Confidence
from kits_tf.inference.model import Model, refusal
from kits_tf.inference.progress import Progress, Tell, watched
from kits_tf.inference.region_of_interest import body_box, box_of_labels, on_grid
from kits_tf.inference.restoration import Output, Restoration, labels_output
from kits_tf.inference.sliding import Network, Windows, stream_windows

# What a scan may measure: anything larger is a wrong affine, and would need memory without bounds.
MOST_MM, MOST_MM3 = 3000.0, 2e9


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


@dataclass(frozen=True)
class Frame:
    """What a network was trained for, and how it is used.

    Attributes:
        grid: of its records.
        scheme: of its labels.
        windows: how windows lie over a scan and are merged.
        temperature: by which logits are divided for probabilities.
        chain: what is done to its masks; the graph itself does crf only.
    """

    grid: GridSettings
    scheme: Scheme
    windows: Windows
    temperature: float = 1.0
    chain: Chain = ()


class Segmenter(tf.Module):
    """Segments a scan as it is stored, in any axis order, on its own grid.

    Args:
        network: takes windows (n, z, y, x) int16 HU to logits (n, z, y, x, classes) float32, and with `uncertainty` to
            one more channel, the disagreement of its passes.
        frame: what the network was trained for.
        extras: what to give besides labels.
        num_passes: of the network, for the uncertainty.
        coarse: finds the part of a scan to look at; None: all of the body.
    """

    def __init__(
        self,
        network: Network,
        frame: Frame,
        extras: Extras = NO_EXTRAS,
        num_passes: int = 1,
        coarse: "Coarse | None" = None,
    ) -> None:
        super().__init__(name="segmenter")
        self.network, self.frame, self.coarse = network, frame, coarse
        self.progress = Progress()
        self._num_classes = len(frame.scheme.classes)
        self._channels = self._num_classes + extras.uncertainty
        self._outputs = _outputs(self._num_classes, num_passes, frame.temperature, extras)

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
            confidence: (classes,) float32, the mean probability of a class where it is the largest, on the training
                grid; 0 where it nowhere is.
            What Extras names, where it was asked for.

        Raises:
            tf.errors.InvalidArgumentError: the scan is empty, or the affine is not finite, not invertible, or that of
                a scan of more than MOST_MM or MOST_MM3.
        """
        with tf.control_dependencies(_input_checks(hu, affine)):
            # float64, as geometry has it: a size near a half must round the same way in records and here.
            permutation, flips, spacing_mm = graph_geometry.orientation(tf.cast(affine, tf.float64))
        found = self.segment_oriented(graph_geometry.reorient(hu, permutation, flips), spacing_mm)
        confidence, voxel_ml = found.pop("confidence"), tf.abs(tf.linalg.det(affine[:3, :3])) / 1000
        stored = {name: graph_geometry.undo_reorient(result, permutation, flips) for name, result in found.items()}
        return stored | {"volumes_ml": _count(found["labels"], self._num_classes) * voxel_ml, "confidence": confidence}

    def probabilities(self, hu: tf.Tensor) -> tf.Tensor:
        """Returns probabilities (n, z, y, x, classes) float16 of windows (n, z, y, x) int16 on the training grid."""
        logits = self.network(tf.ensure_shape(hu, [None, *self.frame.windows.size]))[..., : self._num_classes]
        return tf.cast(tf.nn.softmax(logits / self.frame.temperature), tf.float16)

    def model(self, tell: Tell | None = None) -> Model:
        """Returns it with what is done to its masks afterwards; tell: is told of the windows that are done."""

        # A bound tf.function would not keep the segmenter.
        def segment(hu: NDArray[np.int16], affine: NDArray[np.float32]) -> dict[str, NDArray]:
            return call(self.segment, hu, affine, self.progress, tell)

        return Model(segment, self.frame.scheme, self.frame.chain)

    def segment_oriented(self, hu: tf.Tensor, spacing_mm: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns labels, confidence, extras of a scan (z, y, x) int16 in (I, P, L), with voxel sizes (3,) float64."""
        shape, grid, windows = tf.shape(hu), self.frame.grid, self.frame.windows
        grid_shape = graph_geometry.resampled_shape(shape, spacing_mm, grid.spacing_zyx_mm)
        box = self.coarse.box(hu, spacing_mm) if self.coarse else body_box(hu, spacing_mm)
        start, size = on_grid(box, grid_shape, windows.size)
        inside = preprocess.resample_box(hu, grid_shape, start, size, grid.image_kernel)
        restoration = Restoration(grid_shape, shape, start, size, self._outputs)
        confidence = Confidence(self._num_classes, self.frame.temperature)
        receive = confidence.watch(restoration.receive)
        begin = (*confidence.begin(), *restoration.begin(self._channels))
        sums, counts, *state = stream_windows(
            inside, self.network, windows, self._channels, AIR_HU, receive, begin, self.progress
        )
        return restoration.finish(*state) | {"confidence": confidence.finish(sums, counts)}


@dataclass(frozen=True)
class Coarse:
    """The first stage of a cascade.

    Attributes:
        segmenter: finds the kidneys.
        margin_mm: around what it labels.
    """

    segmenter: Segmenter
    margin_mm: float

    def box(self, hu: tf.Tensor, spacing_mm: tf.Tensor) -> tf.Tensor:
        """Returns the box (boxes.py) for the second stage, that of the body where nothing is found.

        Args:
            hu: (z, y, x) int16 in (I, P, L).
            spacing_mm: (3,) float64.
        """
        labels = self.segmenter.segment_oriented(hu, spacing_mm)["labels"]
        return box_of_labels(labels, spacing_mm, self.margin_mm, otherwise=body_box(hu, spacing_mm))


def call(
    segment: Callable[..., dict[str, tf.Tensor]],
    hu: NDArray[np.int16],
    affine: NDArray[np.float32],
    progress: Progress | None = None,
    tell: Tell | None = None,
) -> dict[str, NDArray]:
    """Returns the results of a graph as arrays.

    Args:
        segment: the graph.
        hu: of the scan, as it takes it.
        affine: likewise.
        progress: of the graph.
        tell: is told of it; what it raises stops the graph, and is raised here.

    Raises:
        InputError: the graph refuses the scan, or memory does not suffice.
    """
    try:
        with watched(progress, tell):
            found = segment(hu=preprocess.as_tensor(hu), affine=tf.constant(affine, tf.float32))
    except (tf.errors.InvalidArgumentError, tf.errors.ResourceExhaustedError) as error:
        raise InputError(refusal(error.message)) from None
    return {name: result.numpy() for name, result in found.items()}


def _outputs(num_classes: int, num_passes: int, temperature: float, extras: Extras) -> tuple[Output, ...]:
    def probabilities(planes: tf.Tensor) -> tf.Tensor:
        return _quantized(tf.transpose(tf.nn.softmax(planes / temperature, axis=0)[1:], [1, 2, 3, 0]))

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


def _input_checks(hu: tf.Tensor, affine: tf.Tensor) -> list[tf.Operation]:
    axes = affine[:3, :3]
    spacing_mm = tf.norm(axes, axis=0)
    volume = tf.abs(tf.linalg.det(tf.math.divide_no_nan(axes, spacing_mm)))
    extent_mm = spacing_mm * tf.cast(tf.shape(hu), tf.float32)
    is_of_a_body = (tf.reduce_max(extent_mm) <= MOST_MM) & (tf.reduce_prod(extent_mm) <= MOST_MM3)
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
            is_of_a_body,
            [f"affine: expected a scan of {MOST_MM:.0f} mm at most along each axis and 2 m^3, got, in mm,", extent_mm],
        ),
    ]
