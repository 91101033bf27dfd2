import json
import os
import threading
from pathlib import Path

import pytest
import tensorflow as tf

from kits_tf.base.errors import InputError
from kits_tf.training import cluster as cluster_module
from kits_tf.training.cluster import Cluster, of_slurm, of_tf_config, waiting_for
from kits_tf.training.strategy import choose_strategy, is_chief, num_workers


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"cluster": {"worker": ["a:1", "b:1"]}}',
        '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 2}}',
        '{"cluster": {"ps": ["a:1"], "worker": ["b:1"]}, "task": {"type": "worker", "index": 0}}',
    ],
)
def test_an_ill_formed_cluster_is_one_line(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(InputError, match=r'TF_CONFIG: expected \{"cluster": .*, got ') as caught:
        choose_strategy("tf_config")
    assert str(caught.value).endswith(text)


@pytest.mark.parametrize("text", ["", "{}", '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 0}}'])
def test_a_cluster_of_one_is_none(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_CONFIG", text)
    strategy = choose_strategy("tf_config")
    assert isinstance(strategy, tf.distribute.OneDeviceStrategy)
    assert num_workers(strategy) == 1 and is_chief(strategy)


def slurm(**changes: str) -> dict[str, str]:
    step = {"SLURM_STEP_NODELIST": "n[1-2]", "SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "1", "SLURM_JOB_ID": "41234"}
    return step | changes


@pytest.fixture
def scontrol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts a scontrol on the path that names two hosts."""
    (tmp_path / "scontrol").write_text('#!/bin/sh\n[ "$*" = "show hostnames n[1-2]" ] && printf "n1\\nn2\\n"\n')
    (tmp_path / "scontrol").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")


def test_the_tasks_of_a_slurm_step(scontrol: None) -> None:
    cluster = of_slurm(slurm())
    assert cluster == Cluster(addresses=("n1:21234", "n2:21234"), index=1) and cluster.others == ("n1:21234",)
    assert json.loads(cluster.to_tf_config()) == {
        "cluster": {"worker": ["n1:21234", "n2:21234"]},
        "task": {"type": "worker", "index": 1},
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"SLURM_PROCID": ""}, "expected a task of srun, found no SLURM_PROCID"),
        ({"SLURM_STEP_NUM_TASKS": "4"}, r"expected one task on each node \(--ntasks-per-node=1\), found 4 on 2"),
        ({"SLURM_STEP_NODELIST": "other"}, "expected SLURM's scontrol to name the hosts of other"),
    ],
)
def test_what_is_no_step_of_one_task_a_node(scontrol: None, changes: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=f"^--cluster=slurm: {message}"):
        of_slurm(slurm(**changes))


def test_a_chief_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = {"chief": ["a:1"], "worker": ["b:1", "c:1"]}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": {"type": "worker", "index": 1}}))
    assert of_tf_config() == Cluster(addresses=("a:1", "b:1", "c:1"), index=2)


def test_a_host_that_nobody_knows_is_named() -> None:
    cluster = Cluster(addresses=("localhost:1", "no-such-host.invalid:1"), index=0)
    with (
        pytest.raises(InputError, match="no-such-host.invalid:1: expected a host that this one can find"),
        waiting_for(cluster),
    ):
        pass


def test_who_is_waited_for_is_said_and_not_for_ever(monkeypatch: pytest.MonkeyPatch, log: list[str]) -> None:
    ended = threading.Event()
    statuses: list[int] = []
    monkeypatch.setattr(cluster_module, "_SAY_S", 0.05)
    monkeypatch.setattr(cluster_module, "_LONGEST_WAIT_S", 0.12)
    monkeypatch.setattr(os, "_exit", lambda status: (statuses.append(status), ended.set()))
    with waiting_for(Cluster(addresses=("localhost:2", "localhost:1"), index=0)):
        assert ended.wait(20)
    assert statuses[0] == 75 and log[:2] == ["waiting for localhost:1; 0 s of at most 0 s"] * 2
    assert log[2].startswith("error: waited 0 s for localhost:1, which does not answer")
