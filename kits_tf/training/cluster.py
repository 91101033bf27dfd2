"""The processes that train together: from TF_CONFIG, or from what SLURM says of a step's tasks."""

import json
import logging
import os
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from kits_tf.base.errors import InputError, TryAgainError
from kits_tf.base.progress import meanwhile
from kits_tf.base.words import duration_text, listed

logger = logging.getLogger(__name__)

TF_CONFIG = "TF_CONFIG"
# How long a process waits for the others, and how often it says for whom.
_LONGEST_WAIT_S, _SAY_S = 600.0, 15.0
_CONNECT_S = 2.0
# Ports of SLURM's jobs: two jobs on a node have two.
_FIRST_PORT, _NUM_PORTS = 20_000, 10_000
_STEP = {"SLURM_STEP_NODELIST": "nodes", "SLURM_STEP_NUM_TASKS": "number of tasks", "SLURM_PROCID": "task's number"}


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """The processes of a training.

    Attributes:
        addresses: HOST:PORT of each process, the chief's first.
        index: index of this process.
    """

    addresses: tuple[str, ...]
    index: int

    @property
    def others(self) -> tuple[str, ...]:
        """Addresses of the other processes."""
        return tuple(address for i, address in enumerate(self.addresses) if i != self.index)

    def to_tf_config(self) -> str:
        """Returns what TF_CONFIG is to be."""
        task = {"type": "worker", "index": self.index}
        return json.dumps({"cluster": {"worker": list(self.addresses)}, "task": task})


def of_tf_config() -> Cluster | None:
    """Returns the processes that TF_CONFIG names; None if it names none.

    Raises:
        InputError: it does not describe processes of which this is one.
    """
    text = os.environ.get(TF_CONFIG) or "{}"
    try:
        config = json.loads(text)
        cluster, task = config.get("cluster", {}), config.get("task", {})
        if not any(cluster.values()):
            return None
        chiefs = list(cluster.get("chief", []))
        index = task["index"] + (len(chiefs) if task["type"] == "worker" else 0)
        if set(cluster) <= {"chief", "worker"} and task["index"] < len(cluster[task["type"]]):
            return Cluster(addresses=(*chiefs, *cluster.get("worker", [])), index=index)
    except (ValueError, AttributeError, KeyError, TypeError):
        pass
    raise InputError(
        'TF_CONFIG: expected {"cluster": {"worker": ["HOST:PORT", ...]}, "task": {"type": "worker", "index": N}}, '
        f"got {text}"
    )


def of_slurm(environment: Mapping[str, str] = os.environ) -> Cluster:
    """Returns the processes of a step that srun has started, one on each node.

    TensorFlow's own SlurmClusterResolver requires GPUs; this does not.

    Raises:
        InputError: this is no task of srun's, a node has several, or SLURM's scontrol cannot be asked.
    """
    for name, meaning in _STEP.items():
        if not environment.get(name):
            raise InputError(f"--cluster=slurm: expected a task of srun, found no {name} (the {meaning})")
    hosts = _hosts(environment["SLURM_STEP_NODELIST"])
    num_tasks, index = int(environment["SLURM_STEP_NUM_TASKS"]), int(environment["SLURM_PROCID"])
    if num_tasks != len(hosts):
        raise InputError(
            f"--cluster=slurm: expected one task on each node (--ntasks-per-node=1), found {num_tasks} on {len(hosts)}"
        )
    port = _FIRST_PORT + int(environment.get("SLURM_JOB_ID", "0")) % _NUM_PORTS
    return Cluster(addresses=tuple(f"{host}:{port}" for host in hosts), index=index)


def _hosts(nodes: str) -> list[str]:
    try:
        done = subprocess.run(["scontrol", "show", "hostnames", nodes], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise InputError(f"--cluster=slurm: expected SLURM's scontrol to name the hosts of {nodes}: {error}") from None
    return done.stdout.split()


@contextmanager
def waiting_for(cluster: Cluster) -> Iterator[None]:
    """Says within for which other processes this one waits, and ends it when it has waited too long.

    TensorFlow waits without a word and without an end, and cannot be interrupted.

    Raises:
        InputError: the name of a host cannot be resolved here.
    """
    for address in cluster.addresses:
        host = address.rpartition(":")[0]
        try:
            socket.getaddrinfo(host.strip("[]"), None)
        except OSError as error:
            raise InputError(f"{address}: expected a host that this one can find: {error.strerror or error}") from None
    with meanwhile(lambda waited_s: _say_or_give_up(cluster, waited_s), _SAY_S):
        yield


def _say_or_give_up(cluster: Cluster, waited_s: float) -> None:
    silent = [address for address in cluster.others if not _answers(address)]
    names = listed(silent, 8) if silent else "the others to begin"
    limit = duration_text(_LONGEST_WAIT_S)
    if waited_s < _LONGEST_WAIT_S:
        logger.info("waiting for %s; %s of at most %s", names, duration_text(waited_s), limit)
    elif silent:
        logger.error("error: waited %s for %s, which does not answer: start all again", limit, names)
        os._exit(TryAgainError.status)


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_S).close()
    except (OSError, ValueError):
        return False
    return True
