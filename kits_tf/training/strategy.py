"""Which devices and machines a training runs on."""

import logging
import os

import tensorflow as tf

from kits_tf.training.cluster import TF_CONFIG, of_slurm, of_tf_config, waiting_for

logger = logging.getLogger(__name__)


def choose_strategy(cluster: str) -> tf.distribute.Strategy:
    """Returns the strategy that suits the machine: MultiWorkerMirrored, Mirrored or OneDevice.

    The first where there are several processes, in which case nothing may have been computed before; the second where
    there are several GPUs.

    Args:
        cluster: "tf_config" for the processes of TF_CONFIG, if there are any; "slurm" for the tasks of a step of SLURM.

    Raises:
        InputError: TF_CONFIG does not describe such a strategy, this is no such task, or a host cannot be found.
    """
    processes = of_slurm() if cluster == "slurm" else of_tf_config()
    if processes and processes.others:
        os.environ[TF_CONFIG] = processes.to_tf_config()
        logger.info("process %d of %d, waiting for the others", processes.index + 1, len(processes.addresses))
        with waiting_for(processes):
            return tf.distribute.MultiWorkerMirroredStrategy()
    os.environ.pop(TF_CONFIG, None)  # of one process
    gpus = tf.config.list_logical_devices("GPU")
    if len(gpus) > 1:
        return tf.distribute.MirroredStrategy([gpu.name for gpu in gpus])
    return tf.distribute.OneDeviceStrategy("/gpu:0" if gpus else "/cpu:0")


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
