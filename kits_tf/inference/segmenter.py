"""Scan in, mask out: the one path that predict, evaluate and the exported model share."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from kits_tf.config import InferenceSettings
from kits_tf.ct import orient, preprocess
from kits_tf.ct.volume import AIR_HU, Volume
from kits_tf.inference.sliding import merge_windows
from kits_tf.network.architecture import architecture
from kits_tf.network.folding import fold_batch_norm
from kits_tf.training.run import Run

# (hu (i, j, k) int16, affine (4, 4) float32) -> labels and volumes_ml, as Segmenter.segment
Segment = Callable[[tf.Tensor, tf.Tensor], dict[str, tf.Tensor]]


class Segmenter(tf.Module):
    """Segments a scan as it is stored, in any axis order, on its own grid.

    Args:
        run: the trained network with its settings and manifest.
        inference: overlap of windows.
    """

    def __init__(self, run: Run, inference: InferenceSettings) -> None:
        super().__init__(name="segmenter")
        self.network = fold_batch_norm(run.network, architecture(run.settings.network))
        self._intensity = run.settings.intensity
        self._window = run.settings.patches.patch_size_zyx
        self._overlap = inference.overlap
        self._grid = run.manifest.grid
        self._num_classes = len(run.manifest.scheme.classes)

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None, None], tf.int16, name="hu"),
            tf.TensorSpec([4, 4], tf.float32, name="affine"),
        ]
    )
    def segment(self, hu: tf.Tensor, affine: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns the mask of a scan.

        Args:
            hu: (i, j, k) int16 HU, as stored.
            affine: (4, 4) float32, voxel centers to world mm (R, A, S positive), as nibabel gives it.

        Returns:
            labels: (i, j, k) uint8 in the scheme of the records.
            volumes_ml: (classes,) float32, volume of each class.

        Raises:
            tf.errors.InvalidArgumentError: the scan is empty, or the affine is not finite or not invertible.
        """
        checks = _input_checks(hu, affine)
        with tf.control_dependencies(checks):
            # float64, as geometry has it: a size near a half must round the same way in records and here.
            permutation, flips, spacing_mm = orient.orientation(tf.cast(affine, tf.float64))
        labels = self._segment_oriented(orient.reorient(hu, permutation, flips), spacing_mm)
        voxel_ml = tf.abs(tf.linalg.det(affine[:3, :3])) / 1000
        voxels = tf.math.bincount(tf.cast(tf.reshape(labels, [-1]), tf.int32), minlength=self._num_classes)
        return {
            "labels": orient.undo_reorient(labels, permutation, flips),
            "volumes_ml": tf.cast(voxels, tf.float32)[: self._num_classes] * voxel_ml,
        }

    def _segment_oriented(self, hu: tf.Tensor, spacing_mm: tf.Tensor) -> tf.Tensor:
        """Returns labels (z, y, x) uint8 of a scan (z, y, x) int16 with voxel sizes (z, y, x)."""
        shape = tf.shape(hu)
        grid_shape = orient.resampled_shape(shape, spacing_mm, self._grid.spacing_zyx_mm)
        resampled = preprocess.resample(hu, grid_shape, self._grid.image_kernel)
        logits = merge_windows(resampled, self._logits, self._window, self._overlap, self._num_classes, outside=AIR_HU)
        return preprocess.restore(logits, shape)

    def _logits(self, hu: tf.Tensor) -> tf.Tensor:
        intensity = self._intensity
        image = preprocess.normalize(hu, intensity.window_hu, intensity.mean_hu, intensity.std_hu)
        return self.network(image[..., None], training=False)


def segment_volume(segment: Segment, image: Volume) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Returns the labels (z, y, x) uint8 of a scan on its own grid, and the volume of each class in mL."""
    result = segment(preprocess.as_tensor(image.as_stored()), tf.constant(image.stored.affine, tf.float32))
    mask = Volume.from_stored(result["labels"].numpy(), image.stored.affine)
    return mask.array, result["volumes_ml"].numpy()


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
