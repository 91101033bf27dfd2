"""The training step: augmentation and normalization on the device around the network."""

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import tensorflow as tf

from kits_tf.config import Train
from kits_tf.ct.labels import Scheme
from kits_tf.ct.preprocess import normalize
from kits_tf.network.architecture import architecture
from kits_tf.network.losses import DeepSupervision, make_loss
from kits_tf.network.metrics import StreamingDice
from kits_tf.network.rematerialization import rematerialized
from kits_tf.network.unet import add_heads, build_unet
from kits_tf.pipeline import augment


@dataclass(frozen=True)
class _Recipe:
    """What the step needs of settings and labels."""

    settings: Train
    mirrored_labels: tuple[int, ...]


class Trainer(keras.Model):
    """Trains a network on `augment.TrainingPatches`, and validates it on pairs of int16 HU and uint8 labels.

    Args:
        network: from normalized patches to logits.
        settings: of the run.
        scheme: of the labels.
        class_weights: of the cross-entropy.
    """

    def __init__(self, network: keras.Model, settings: Train, scheme: Scheme, class_weights: tuple[float, ...]) -> None:
        super().__init__(name="trainer")
        self.network = network
        self.recipe = _Recipe(settings, scheme.mirrored)
        self.objective = make_loss(settings.objective, class_weights)
        made_of = architecture(settings.network)
        self.supervised = add_heads(network, made_of)
        if settings.optimization.rematerialize:
            self.supervised = rematerialized(self.supervised, made_of)
        strides = [made_of.stride_to(level) for level in made_of.supervised_levels()]
        self.supervision = DeepSupervision(self.objective, strides)
        self.loss_mean = keras.metrics.Mean(name="loss")
        self.dice = StreamingDice(scheme)
        # The network has its weights already; Keras would build by calling it on patches that are not warped yet.
        self.built = True

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """Metrics that Keras resets each epoch."""
        return [self.loss_mean, self.dice]

    def call(self, image: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Returns logits (batch, z, y, x, classes) of normalized patches (batch, z, y, x)."""
        return self.network(image[..., None], training=training)

    def train_step(self, patches: augment.TrainingPatches) -> dict[str, tf.Tensor]:
        """Augments a batch, takes one step of the optimizer and returns the metrics so far."""
        image, labels = self.augment(patches)
        loss, logits = self.learn(image, labels)
        return self._update(loss, labels, logits)

    def learn(self, image: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Takes one step of the optimizer on normalized patches; returns the loss before it, and the logits."""
        with tf.GradientTape() as tape:
            # Of a list of one Keras makes what is in it.
            logits = keras.tree.flatten(self.supervised(image[..., None], training=True))
            loss = self.supervision(labels, logits)
        variables = self.supervised.trainable_variables
        self.optimizer.apply(tape.gradient(loss, variables), variables)
        return loss, logits[0]

    def test_step(self, data: tuple[tf.Tensor, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Scores a batch, which may be empty, and returns the metrics so far."""
        count = tf.shape(data[0])[0]
        # Of an epoch's last batch a replica may get nothing, which convolutions refuse: a blank that is not counted.
        hu, labels = (tf.pad(part, [[0, tf.maximum(1 - count, 0)], [0, 0], [0, 0], [0, 0]]) for part in data)
        intensity = self.recipe.settings.intensity
        logits = self(normalize(hu, intensity.window_hu, intensity.mean_hu, intensity.std_hu), training=False)
        return self._update(self.objective(labels, logits), labels[:count], logits[:count])

    def augment(self, patches: augment.TrainingPatches) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns images (batch, z, y, x) float32, normalized, and labels (batch, z, y, x) uint8."""
        settings = self.recipe.settings
        size, kernel = settings.patches.patch_size_zyx, settings.warp.warp_kernel
        return augment.augment_batch(patches, size, kernel, self.recipe.mirrored_labels, settings.intensity)

    def _update(self, loss: tf.Tensor, labels: tf.Tensor, logits: tf.Tensor) -> dict[str, tf.Tensor]:
        # Keras divides a loss by the replicas, so that summed gradients are those of the mean.
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        self.loss_mean.update_state(loss * replicas, sample_weight=tf.shape(labels)[0])
        self.dice.update_state(labels, logits)
        return self.get_metrics_result()


def build_trainer(
    settings: Train,
    scheme: Scheme,
    class_weights: tuple[float, ...],
    class_shares: Sequence[float] | None = None,
    synchronized: bool = False,
) -> Trainer:
    """Returns a trainer of a new network, ready to fit; call it within the strategy's scope.

    Args:
        settings: of the run.
        scheme: of the labels.
        class_weights: of the cross-entropy.
        class_shares: what an untrained network finds, as `build_unet` takes it.
        synchronized: batch norm over all replicas.
    """
    network = build_unet(architecture(settings.network), len(scheme.classes), synchronized, class_shares)
    trainer = Trainer(network, settings, scheme, class_weights)
    # No XLA: the warp has no use for it, and on a CPU a step takes several times as long with it.
    trainer.compile(optimizer=keras.optimizers.Adam(settings.optimization.learning_rate), jit_compile=False)
    trainer.optimizer.build(trainer.supervised.trainable_variables)
    return trainer
