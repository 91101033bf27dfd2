"""The rules of `ct.hounsfield` in TensorFlow, so that a server refuses what is no CT, whoever sends it."""

import tensorflow as tf

from kits_tf.ct.hounsfield import AIR_BELOW_HU, DENSE_HU, FAT_BELOW_HU, RULES, SOFT_BELOW_HU, Intensities, is_air_alone


def intensity_check(hu: tf.Tensor, advice: str) -> tf.Operation:
    """Returns an operation that fails where voxels cannot be CT in Hounsfield units, by `hounsfield.RULES`.

    Voxels that are all the same pass: a server's warm-up request is of such, and no structure is found in them. So does
    a scan without a voxel, which is refused for that.

    Args:
        hu: (i, j, k) int16.
        advice: sentence for those who want it segmented all the same.
    """
    of = _intensities(hu)
    broken = tf.stack([rule.holds(of) for rule in RULES])
    reasons = tf.constant(
        [f"hu: expected Hounsfield units: {rule.question} {advice} Values from and to" for rule in RULES]
    )
    reason = tf.gather(reasons, tf.argmax(tf.cast(broken, tf.int32)))
    is_right = (of.low >= of.high) | is_air_alone(of) | ~tf.reduce_any(broken)
    return tf.debugging.Assert(is_right, [reason, tf.stack([of.low, of.high])])


def _intensities(hu: tf.Tensor) -> Intensities:
    """Returns what the rules see, counted plane by plane: a mask of the whole scan would take twice its memory."""

    def count(plane: tf.Tensor) -> tf.Tensor:
        values = tf.cast(plane, tf.float32)  # GPUs count no int16; float32 counts 16 million voxels of a plane exactly
        low = tf.reduce_min(values)
        edges = (AIR_BELOW_HU, FAT_BELOW_HU, SOFT_BELOW_HU, *DENSE_HU)
        counts = [tf.reduce_sum(tf.cast(values < edge, tf.float32)) for edge in edges]
        at_low = tf.reduce_sum(tf.cast(values <= low, tf.float32))
        return tf.stack([low, tf.reduce_max(values), at_low, *counts])

    planes = tf.map_fn(count, hu, parallel_iterations=1, fn_output_signature=tf.TensorSpec([8], tf.float32))
    low, high = tf.reduce_min(planes[:, 0]), tf.reduce_max(planes[:, 1])
    counts = tf.cast(planes, tf.float64)
    at_low = tf.reduce_sum(tf.where(planes[:, 0] <= low, counts[:, 2], 0))
    air, to_fat, to_soft, to_dense, to_densest = tf.unstack(tf.reduce_sum(counts[:, 3:], axis=0))
    total = tf.cast(tf.size(hu), tf.float64)
    matter = tf.maximum(total - air, 1)
    return Intensities(
        low=low,
        high=high,
        low_share=at_low / total,
        matter_share=(total - air) / total,
        fat=(to_fat - air) / matter,
        soft=(to_soft - air) / matter,
        dense=(to_densest - to_dense) / matter,
    )
