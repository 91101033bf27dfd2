"""Work in processes; `eval` stands for the work, for it can be imported in any process."""

import os

import pytest

from kits_tf.base.errors import InputError
from kits_tf.base.processes import choose_workers, run_in_processes, run_tasks

DIE = "__import__('os').kill(__import__('os').getpid(), 9)"
BAD_INPUT = "exec('from kits_tf.base.errors import InputError; raise InputError(\"x.nii: expected more\")')"


def test_a_process_that_dies_fails_its_own_task_only() -> None:
    texts = ["1 + 1", DIE, "2 + 2", BAD_INPUT, "__import__('os').environ['CUDA_VISIBLE_DEVICES']"]
    results = dict(run_in_processes(eval, [(text,) for text in texts], workers=2))
    assert sorted(results) == [0, 1, 2, 3, 4]
    assert (results[0], results[2], results[4]) == (2, 4, "-1")
    assert os.environ.get("CUDA_VISIBLE_DEVICES") != "-1"  # the caller's own devices stay
    assert isinstance(results[1], InputError) and "its process died with exit status -9" in str(results[1])
    assert isinstance(results[3], InputError) and str(results[3]) == "x.nii: expected more"


def test_any_other_error_ends_the_run() -> None:
    with pytest.raises(OSError, match="disk full"):
        list(run_in_processes(eval, [("exec('raise OSError(\"disk full\")')",)], workers=1))


def test_workers_follow_cores_memory_and_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = {"SC_AVPHYS_PAGES": 7 * 10**9, "SC_PAGE_SIZE": 1}
    monkeypatch.setattr(os, "sysconf", memory.__getitem__)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    assert choose_workers(0, 100) == 2  # memory for two
    memory["SC_AVPHYS_PAGES"] = 10**12
    assert choose_workers(0, 100) == 8 and choose_workers(0, 3) == 3 and choose_workers(5, 100) == 5
    memory["SC_AVPHYS_PAGES"] = 0
    assert choose_workers(0, 100) == 1


def test_one_worker_is_this_process() -> None:
    texts = (
        "__import__('os').getpid()",
        "exec('from kits_tf.base.errors import InputError; raise InputError(\"bad\")')",
    )
    found = list(run_tasks(eval, [(text,) for text in texts], 1))
    assert found[0] == (0, os.getpid()) and isinstance(found[1][1], InputError) and str(found[1][1]) == "bad"
    here, other = (dict(run_tasks(eval, [(texts[0],), (texts[0],)], workers)) for workers in (1, 2))
    assert os.getpid() in here.values() and os.getpid() not in other.values()
