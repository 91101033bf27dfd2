"""Dice while training: exact over an epoch, from integer counts."""

import keras
import tensorflow as tf

from kits_tf.ct.labels import Scheme, region_labels


class StreamingDice(keras.metrics.Metric):
    """Dice over all voxels seen since the last reset, of each class and of the challenge's regions.

    Its result is a dictionary: kidney_dice, tumor_dice, composite (their mean), and dice_<class> of each foreground
    class; history.csv has val_ before those of validation, TensorBoard has them under one name. A region that is empty
    in truth and prediction has Dice 1, as in a metric that has seen nothing: no score is NaN. Voxels are counted in
    integers, and over replicas the counts are added, so that however an epoch is divided, the Dice is that of all its
    voxels.

    This is one Dice over all patches, for following a run; scores of cases come from `analysis.scores`.

    Args:
        scheme: scheme of the labels.
    """

    def __init__(self, scheme: Scheme, name: str = "dice", **kwargs: object) -> None:
        super().__init__(name=name, **kwargs)
        self.regions = {f"{region}_dice": labels for region, labels in region_labels(scheme).items()}
        self.regions |= {f"dice_{name}": [i] for i, name in enumerate(scheme.classes) if i}
        size = len(scheme.classes)
        # int64: a float32 count stops at 16.7 million voxels, eight patches of 128^3.
        self.counts = self.add_weight(shape=(size, size), dtype="int64", initializer="zeros", name="confusion")

    def update_state(self, y_true: tf.Tensor, y_pred: tf.Tensor, sample_weight: None = None) -> None:
        """Adds a batch: labels (batch, z, y, x) and logits (batch, z, y, x, classes)."""
        size = self.counts.shape[0]
        # Products of zeros and ones, exact in any order: on a GPU with op determinism there is no kernel of bincount.
        truth = tf.one_hot(tf.cast(y_true, tf.int32), size)
        predicted = tf.one_hot(tf.argmax(y_pred, axis=-1, output_type=tf.int32), size)
        # Plane by plane: a float32 sum stops at 16.7 million voxels.
        planes = tf.einsum("bzyxt,bzyxp->bztp", truth, predicted)
        self.counts.assign_add(tf.reduce_sum(tf.cast(planes, tf.int64), axis=[0, 1]))

    def result(self) -> dict[str, tf.Tensor]:
        """Returns the scores by name, scalars."""
        counts = tf.convert_to_tensor(self.counts)
        scores = {}
        for name, members in self.regions.items():
            rows = tf.gather(counts, members)
            both = tf.reduce_sum(tf.gather(rows, members, axis=1))
            total = tf.reduce_sum(rows) + tf.reduce_sum(tf.gather(counts, members, axis=1))
            scores[name] = tf.cast(tf.where(total > 0, 2 * both / tf.maximum(total, 1), 1.0), tf.float32)
        scores["composite"] = (scores["kidney_dice"] + scores["tumor_dice"]) / 2
        return scores
