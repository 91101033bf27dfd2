"""Which devices and machines a training runs on."""

import json
import logging
import os

import tensorflow as tf

from kits_tf.base.errors import InputError

logger = logging.getLogger(__name__)


def choose_strategy() -> tf.distribute.Strategy:
    """Returns the strategy that suits the machine: MultiWorkerMirrored, Mirrored or OneDevice.

    The first where TF_CONFIG names several workers, in which case nothing may have been computed before; the second
    where there are several GPUs.

    Raises:
        InputError: TF_CONFIG does not describe such a strategy.
    """
    if _has_cluster():
        logger.info("waiting for all workers of TF_CONFIG")
        return tf.distribute.MultiWorkerMirroredStrategy()
    gpus = tf.config.list_logical_devices("GPU")
    if len(gpus) > 1:
        return tf.distribute.MirroredStrategy([gpu.name for gpu in gpus])
    return tf.distribute.OneDeviceStrategy("/gpu:0" if gpus else "/cpu:0")


def _has_cluster() -> bool:
    try:
        config = json.loads(os.environ.get("TF_CONFIG") or "{}")
        cluster, task = config.get("cluster", {}), config.get("task", {})
        count = sum(len(addresses) for addresses in cluster.values())
        is_valid = not count or (set(cluster) <= {"chief", "worker"} and task["index"] < len(cluster[task["type"]]))
    except (ValueError, AttributeError, KeyError, TypeError):
        is_valid = False
    if not is_valid:
        raise InputError(
            'TF_CONFIG: expected {"cluster": {"worker": ["HOST:PORT", ...]}, "task": {"type": "worker", "index": N}}, '
            f"got {os.environ['TF_CONFIG']}"
        )
    return count > 1


def num_workers(strategy: tf.distribute.Strategy) -> int:
    """Returns how many processes share the strategy."""
    resolver = strategy.cluster_resolver
    return sum(map(len, resolver.cluster_spec().as_dict().values())) if resolver else 1


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Returns whether this process is the one that writes files and log."""
    resolver = strategy.cluster_resolver
    if not resolver:
        return True
    return resolver.task_type == "chief" or (resolver.task_id == 0 and "chief" not in resolver.cluster_spec().jobs)
