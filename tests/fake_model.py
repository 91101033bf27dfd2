"""A SavedModel with an export's signatures and graphs that do next to nothing, for tests of what is around a model."""

from pathlib import Path

import tensorflow as tf

from kits_tf.config import GridSettings, InferenceSettings
from kits_tf.ct.labels import LATERALITY
from kits_tf.serving.metadata import METADATA, PROBABILITIES, VOLUME, Metadata
from kits_tf.serving.saved_model import save_version

CLASSES = LATERALITY.classes
FAKE_METADATA = Metadata(
    classes=CLASSES,
    grid=GridSettings(spacing_zyx_mm=(12.0, 10.0, 10.0)),
    patch_size_zyx=(8, 16, 16),
    intensity=(),
    inference=InferenceSettings(postprocess="off"),
    temperature=1.0,
    precision="float32",
    versions={},
    manifest_sha256=(),
)


class FakeModel(tf.Module):
    """Labels what is above 100 HU a tumor."""

    @tf.function(
        input_signature=[tf.TensorSpec([None] * 3, tf.int16, "hu"), tf.TensorSpec([4, 4], tf.float32, "affine")]
    )
    def segment(self, hu: tf.Tensor, affine: tf.Tensor) -> dict[str, tf.Tensor]:
        is_tumor = hu > 100
        share = tf.reduce_mean(tf.cast(is_tumor, tf.float32))
        volume_ml = tf.cast(tf.size(hu), tf.float32) * tf.abs(tf.linalg.det(affine[:3, :3])) / 1000
        shares = tf.stack([1 - share, 0.0, 0.0, share])
        return {
            "labels": tf.where(is_tumor, tf.constant(3, tf.uint8), tf.constant(0, tf.uint8)),
            "volumes_ml": shares * volume_ml,
            "confidence": tf.cast(shares > 0, tf.float32),
        }

    @tf.function(input_signature=[tf.TensorSpec([None] * 4, tf.int16, "hu")])
    def probabilities(self, hu: tf.Tensor) -> dict[str, tf.Tensor]:
        is_right = tf.reduce_all(tf.shape(hu)[1:] == FAKE_METADATA.patch_size_zyx)
        with tf.control_dependencies([tf.debugging.Assert(is_right, ["hu: expected windows, got", tf.shape(hu)], 4)]):
            return {"probabilities": tf.one_hot(tf.zeros_like(hu, tf.int32), len(CLASSES), dtype=tf.float16)}

    @tf.function(input_signature=[])
    def metadata(self) -> dict[str, tf.Tensor]:
        return {"json": tf.constant(FAKE_METADATA.to_json())}

    def signatures(self) -> dict:
        return {VOLUME: self.segment, PROBABILITIES: self.probabilities, METADATA: self.metadata}


def save_fake_model(root: Path) -> Path:
    """Writes it as the next version in a folder, and returns the version's folder."""
    return save_version(FakeModel(), root, lambda folder: None)
