"""The training step: augmentation and normalization on the device around the network."""

from dataclasses import dataclass

import keras
import tensorflow as tf

from kits_tf.config import Train
from kits_tf.ct.preprocess import normalize
from kits_tf.network.losses import WeightedCrossEntropy
from kits_tf.network.metrics import StreamingDice
from kits_tf.pipeline import augment
from kits_tf.pipeline.manifest import Manifest


@dataclass(frozen=True)
class _Recipe:
    """What the step needs of settings and manifest."""

    settings: Train
    spacing_zyx_mm: tuple[float, float, float]
    mirrored_labels: tuple[int, ...]


class Trainer(keras.Model):
    """Trains a network on batches of int16 HU and uint8 labels.

    Training batches are patches of `augment.read_size`, which are warped to the patch size; validation batches are
    patches of that size as they are.

    Args:
        network: from normalized patches to logits.
        settings: of the run.
        manifest: of the records.
        class_weights: of the cross-entropy.
    """

    def __init__(
        self, network: keras.Model, settings: Train, manifest: Manifest, class_weights: tuple[float, ...]
    ) -> None:
        super().__init__(name="trainer")
        self.network = network
        self.recipe = _Recipe(settings, manifest.grid.spacing_zyx_mm, manifest.scheme.mirrored)
        self.objective = WeightedCrossEntropy(class_weights)
        self.loss_mean = keras.metrics.Mean(name="loss")
        self.dice = StreamingDice(manifest.scheme)
        # The network has its weights already; Keras would build by calling it on patches that are not warped yet.
        self.built = True

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """Metrics that Keras resets each epoch."""
        return [self.loss_mean, self.dice]

    def call(self, hu: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Returns logits (batch, z, y, x, classes) of patches (batch, z, y, x) in HU."""
        intensity = self.recipe.settings.intensity
        image = normalize(hu, intensity.window_hu, intensity.mean_hu, intensity.std_hu)
        return self.network(image[..., None], training=training)

    def train_step(self, data: tuple[tf.Tensor, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Warps a batch, takes one step of the optimizer and returns the metrics so far."""
        hu, labels = self._augment(*data)
        with tf.GradientTape() as tape:
            logits = self(hu, training=True)
            loss = self.objective(labels, logits)
        variables = self.network.trainable_variables
        self.optimizer.apply(tape.gradient(loss, variables), variables)
        return self._update(loss, labels, logits)

    def test_step(self, data: tuple[tf.Tensor, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Scores a batch and returns the metrics so far."""
        hu, labels = data[0], tf.cast(data[1], tf.int32)
        logits = self(hu, training=False)
        return self._update(self.objective(labels, logits), labels, logits)

    def _augment(self, hu: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        settings = self.recipe.settings
        patch_size = settings.patches.patch_size_zyx
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        step_seed = tf.stack([settings.seed, tf.cast(self.optimizer.iterations, tf.int32)])
        seed = tf.random.experimental.stateless_fold_in(step_seed, tf.convert_to_tensor(replica))
        warps = augment.sample_warps(
            tf.shape(hu)[0], settings.augmentation, patch_size, self.recipe.spacing_zyx_mm, seed
        )
        return augment.warp(hu, labels, warps, patch_size, self.recipe.mirrored_labels)

    def _update(self, loss: tf.Tensor, labels: tf.Tensor, logits: tf.Tensor) -> dict[str, tf.Tensor]:
        # Keras divides a loss by the replicas, so that summed gradients are those of the mean.
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        self.loss_mean.update_state(loss * replicas, sample_weight=tf.shape(labels)[0])
        self.dice.update_state(labels, logits)
        return self.get_metrics_result()
