import csv
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from conftest import train_settings, training_plan

from kits_tf import train
from kits_tf.analysis.evaluation import EvaluationPlan, evaluate_run
from kits_tf.base.errors import InputError
from kits_tf.base.flagfile import to_flagfile
from kits_tf.config import InferenceSettings, RunSettings, ValidationSettings
from kits_tf.pipeline.manifest import Manifest
from kits_tf.training import epoch_loop, fit, run
from kits_tf.training.history import HistoryRow, is_finished, read_history, write_history
from kits_tf.training.interruption import Interruption
from kits_tf.training.monitoring import TrainingProgress
from tfrecords_tools.signals import is_free_to_end


def interrupt(monkeypatch: pytest.MonkeyPatch, at: tuple[int, int], kind: signal.Signals) -> None:
    """Has a signal come while a step of an epoch, both from 1, is taken."""
    note, count = TrainingProgress.step, itertools.count()

    def step(progress: TrainingProgress, number: int, done: object) -> None:
        note(progress, number, done)
        if (next(count) // progress.steps + 1, number) == at:
            os.kill(os.getpid(), kind)

    monkeypatch.setattr(TrainingProgress, "step", step)


@pytest.fixture(scope="module")
def fixed(records_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> RunSettings:
    """Settings of a run that can be made again exactly; it has been made."""
    settings = train_settings(
        records_dir, tmp_path_factory.mktemp("fixed") / "run", epochs=2, warmup_epochs=1.0, average_decay=0.9
    )
    settings = replace(settings, input=replace(settings.input, patch_order="fixed"))
    # Each kind of warp is compiled when it is first drawn, which takes seconds.
    settings = replace(settings, warp=replace(settings.warp, rotation_probability=0.0, scale_probability=0.0))
    train.main(settings)
    return settings


@pytest.fixture
def finished(records_dir: Path, run_dir: Path) -> RunSettings:
    """Settings of the run that all tests share; tests that write into it copy it."""
    return train_settings(records_dir, run_dir)


@pytest.mark.slow
def test_a_terminated_run_goes_on_as_if_nothing_had_been(
    fixed: RunSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: list[str]
) -> None:
    settings = replace(fixed, run_dir=str(tmp_path / "run"))
    interrupt(monkeypatch, (2, 1), signal.SIGTERM)
    with pytest.raises(SystemExit) as caught:
        train.main(settings)
    assert caught.value.code == 0
    assert "stopped after 1 of 2 steps of epoch 2: saved; the same command continues" in log
    (row,) = read_history(tmp_path / "run")
    write_history(tmp_path / "run", [row, replace(row, epoch=1)])  # an epoch that was recorded, but not saved
    monkeypatch.undo()
    train.main(settings)
    assert "continuing in epoch 2 after 1 of its steps" in log
    assert read_history(tmp_path / "run") == read_history(Path(fixed.run_dir))
    weights, undisturbed = (run.load_run(folder).network.get_weights() for folder in (tmp_path / "run", fixed.run_dir))
    for ours, theirs in zip(weights, undisturbed, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.slow
def test_a_run_begins_with_the_weights_of_another_one(
    fixed: RunSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: list[str]
) -> None:
    other = tmp_path / "other"
    shutil.copytree(fixed.run_dir, other)
    still = {"initial_weights": str(other), "optimizer": "sgd", "momentum": 0.0, "learning_rate": 1e-30}
    settings = replace(fixed, run_dir=str(tmp_path / "run"), optimization=replace(fixed.optimization, **still))
    interrupt(monkeypatch, (1, 1), signal.SIGTERM)
    with pytest.raises(SystemExit):
        train.main(settings)
    assert f"beginning with the weights of {other}" in log
    shutil.rmtree(other)  # what goes on has weights of its own
    monkeypatch.undo()
    train.main(settings)
    networks = [run.load_run(folder).network for folder in (fixed.run_dir, tmp_path / "run")]
    for before, after in zip(*(network.trainable_weights for network in networks), strict=True):
        np.testing.assert_array_equal(before.numpy(), after.numpy())


@pytest.mark.parametrize("part", ["network", "classes"])
def test_the_weights_to_begin_with_are_of_the_same_network_and_classes(
    finished: RunSettings, tmp_path: Path, part: str
) -> None:
    settings, manifest = finished, Manifest.read(finished.records_dir)
    if part == "network":
        settings = replace(settings, network=replace(settings.network, filters=(4, 6)))
    scheme = replace(manifest.scheme, classes=manifest.scheme.classes[::-1]) if part == "classes" else manifest.scheme
    trainer = fit.make_trainer(training_plan(settings, manifest))
    expected = f"--initial_weights={finished.run_dir}: expected a run of the same network and classes as this one: its "
    differences = {
        "network": "network has other layers (4,836 parameters, this run's 3,784)",
        "classes": "classes are background, right_kidney, left_kidney, tumor, this run's tumor, left_kidney, "
        "right_kidney, background",
    }
    with pytest.raises(InputError) as caught:
        fit.begin_with(trainer, finished.run_dir, scheme)
    assert str(caught.value) == expected + differences[part]
    with pytest.raises(InputError, match="nowhere: expected a run directory, found no such folder"):
        fit.begin_with(trainer, str(tmp_path / "nowhere"), manifest.scheme)


@pytest.mark.parametrize(("kind", "end"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)])
def test_a_first_signal_waits_and_a_second_does_not(
    kind: signal.Signals, end: type[BaseException], log: list[str]
) -> None:
    before = signal.getsignal(kind)
    with Interruption() as interruption:
        assert interruption.caught is None
        os.kill(os.getpid(), kind)
        assert interruption.caught == kind
        assert signal.getsignal(kind) is before
        with pytest.raises(end) as caught:
            interruption.end("saved")
    assert caught.value.args == (("saved",) if kind == signal.SIGINT else (0,))
    assert signal.getsignal(kind) is before
    assert log == ["stopping after this step; the same command continues (a second Ctrl-C or SIGTERM stops at once)"]


def test_a_signal_is_answered_as_before_while_nothing_can_be_lost(log: list[str]) -> None:
    before = signal.getsignal(signal.SIGINT)
    with Interruption() as interruption:
        catching = signal.getsignal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt), interruption.suspended():
            assert is_free_to_end()
            os.kill(os.getpid(), signal.SIGINT)
        assert not is_free_to_end()
        assert signal.getsignal(signal.SIGINT) == catching != before
        assert interruption.caught is None
    assert signal.getsignal(signal.SIGINT) is before
    assert log == []


@pytest.mark.parametrize("dice", [0.05, 0.6])
def test_a_network_that_has_learned_nothing_is_named(
    dice: float, finished: RunSettings, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    scores = {"composite": dice, "kidney_dice": dice, "tumor_dice": dice, "loss": 1.0}
    row = HistoryRow(epoch=0, learning_rate=1e-3, train=scores, validation=scores)
    plan = training_plan(replace(finished, run_dir=str(tmp_path), validation=ValidationSettings()))
    train._conclude(plan, [row])
    said = capsys.readouterr().out
    assert f"best epoch 1: kidney {dice:.3f}" in said
    assert ("WARNING: the network has not learned to find kidneys: lower --learning_rate" in said) == (dice < 0.1)


def test_the_best_weights_are_not_overwritten_by_worse_ones(finished: RunSettings, tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    network = run.load_run(finished.run_dir).network
    assert run.best_score(run_dir) == -np.inf
    run_dir.mkdir()
    run.save_weights(network, run_dir / run.BEST_WEIGHTS, 0.5)
    assert run.best_score(run_dir) == 0.5
    (run_dir / run.BEST_WEIGHTS).write_bytes(b"nothing")
    assert run.best_score(run_dir) == -np.inf
    best = max(row.validation["composite"] for row in read_history(Path(finished.run_dir)))
    assert run.best_score(Path(finished.run_dir)) == best


def history(*composites: float | None, scores: str = "validation") -> list[HistoryRow]:
    given = [{} if score is None else {"composite": score} for score in composites]
    return [HistoryRow(epoch=i, learning_rate=0.1, **{scores: part}) for i, part in enumerate(given)]


def test_when_a_run_is_finished() -> None:
    at_once, patient = ValidationSettings(), ValidationSettings(patience=2)
    assert not is_finished([], 3, at_once)
    assert not is_finished(history(0.5, 0.1), 3, at_once)
    assert is_finished(history(0.5, 0.1, 0.2), 3, at_once)
    assert not is_finished(history(0.5, 0.4), 9, patient)
    assert is_finished(history(0.5, 0.4, 0.5), 9, patient)
    assert not is_finished(history(0.5, 0.4, 0.6), 9, patient)
    whole = ValidationSettings(patience=2, whole_cases_every=2)
    assert not is_finished(history(None, None, None, scores="cases"), 9, whole)
    assert not is_finished(history(None, 0.5, None, scores="cases"), 9, whole)
    assert is_finished(history(None, 0.5, None, 0.4, scores="cases"), 9, whole)


@pytest.mark.slow
def test_whole_cases_choose_the_best_epoch(
    fixed: RunSettings, tmp_path: Path, capsys: pytest.CaptureFixture, log: list[str]
) -> None:
    run_dir = tmp_path / "run"
    validation = replace(fixed.validation, whole_cases_every=2)
    train.main(replace(fixed, run_dir=str(run_dir), validation=validation, profile_steps=1))
    first, second = read_history(run_dir)
    assert not first.cases and run.best_score(run_dir) == second.cases["composite"]
    assert f"best epoch 2: kidney {second.cases['kidney_dice']:.3f}" in capsys.readouterr().out
    assert f"wrote a profile of 1 steps to {run_dir}/tensorboard" in log
    assert list(run_dir.glob("tensorboard/plugins/profile/*/*.xplane.pb"))
    # What evaluate finds in the weights that were kept.
    summary = evaluate_run(run_dir, "validation", None, InferenceSettings(), EvaluationPlan()).summary
    for name in ("kidney_dice", "tumor_dice", "composite"):
        assert summary.scores[name].mean == second.cases[name]


def test_a_checkpoint_of_another_network_is_refused(finished: RunSettings) -> None:
    other = replace(finished, network=replace(finished.network, filters=(4, 6)))
    trainer = fit.make_trainer(training_plan(other))
    with pytest.raises(InputError, match=r"network/\d+/kernel of shape \(3, 3, 3, 4, 6\), found \(3, 3, 3, 4, 8\)"):
        epoch_loop.restore(trainer, Path(finished.run_dir), tf.distribute.get_strategy())


def test_a_run_goes_on_in_another_place_and_not_with_other_flags(finished: RunSettings, tmp_path: Path) -> None:
    shutil.copytree(finished.run_dir, tmp_path / "moved")
    shutil.copytree(finished.records_dir, tmp_path / "records")
    moved = replace(finished, run_dir=str(tmp_path / "moved"), records_dir=str(tmp_path / "records"))
    moved = replace(moved, checkpoint_minutes=1.0, input=replace(finished.input, cache="memory"))
    train.main(moved)
    with pytest.raises(
        InputError, match=r"than --warmup_epochs=0.5; use a new --run_dir \(--initial_weights=\S+moved begins it with"
    ):
        train.main(replace(moved, optimization=replace(finished.optimization, warmup_epochs=0.5)))


def start(settings: RunSettings, folder: Path, **environment: str) -> subprocess.Popen:
    flags = folder / f"{Path(settings.run_dir).name}.flags"
    flags.write_text(to_flagfile(settings, "train"))
    command = [sys.executable, "-m", "kits_tf.train", f"--flagfile={flags}"]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ | environment
    )


def wait_for(process: subprocess.Popen, text: str) -> None:
    assert process.stdout
    said = []
    for line in process.stdout:
        said.append(line)
        if text in line:
            return
    raise AssertionError(f"expected {text!r}, got {''.join(said)}")


@pytest.mark.slow
def test_a_run_that_is_killed_three_times_ends_as_if_nothing_had_been(fixed: RunSettings, tmp_path: Path) -> None:
    settings = replace(fixed, optimization=replace(fixed.optimization, epochs=6), deterministic=True)
    settings = replace(settings, input=replace(settings.input, patch_order="fast"), checkpoint_minutes=1e-6)
    undisturbed = replace(settings, run_dir=str(tmp_path / "undisturbed"))
    with start(undisturbed, tmp_path) as process:
        wait_for(process, "wrote")
    killed = replace(settings, run_dir=str(tmp_path / "killed"))
    for number, delay in ((1, 0.0), (3, 0.15), (4, 0.3)):
        with start(killed, tmp_path) as process:
            wait_for(process, f"epoch {number}/6")
            time.sleep(delay)
            process.kill()
    with start(killed, tmp_path) as process:
        wait_for(process, "wrote")
    assert process.returncode == 0
    first, second = ((tmp_path / name / "history.csv").read_text() for name in ("undisturbed", "killed"))
    assert len(list(csv.DictReader(first.splitlines()))) == 6
    assert first == second


@pytest.mark.slow
def test_sigterm_ends_with_status_0_and_a_full_disk_in_a_line(fixed: RunSettings, tmp_path: Path) -> None:
    settings = replace(fixed, optimization=replace(fixed.optimization, epochs=400), run_dir=str(tmp_path / "run"))
    with start(settings, tmp_path) as process:
        wait_for(process, "epoch 2/400")
        process.send_signal(signal.SIGTERM)
        wait_for(process, "stopped after")
    assert process.returncode == 0
    before = {path: path.read_bytes() for path in (tmp_path / "run" / "checkpoints").iterdir()}
    # No file may grow beyond what a checkpoint takes: as a full disk, which tests cannot have.
    limit = max(map(len, before.values())) // 2
    command = f"ulimit -f {limit // 1024}; exec {sys.executable} -m kits_tf.train --flagfile={tmp_path}/run.flags"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "File too large" in done.stderr.splitlines()[-1] and "Traceback" not in done.stderr
    assert {path: path.read_bytes() for path in (tmp_path / "run" / "checkpoints").iterdir()} == before


def start_both(settings: RunSettings, folder: Path) -> list[subprocess.Popen]:
    """Returns two workers, the chief first."""
    with socket.socket() as one, socket.socket() as two:
        one.bind(("localhost", 0))
        two.bind(("localhost", 0))
        addresses = [f"localhost:{socket_.getsockname()[1]}" for socket_ in (one, two)]
    cluster = {"worker": addresses}
    tasks = [{"cluster": cluster, "task": {"type": "worker", "index": index}} for index in range(2)]
    return [start(settings, folder, TF_CONFIG=json.dumps(task)) for task in tasks]


@pytest.mark.slow
def test_two_workers_of_which_one_is_killed_end_as_if_nothing_had_been(fixed: RunSettings, tmp_path: Path) -> None:
    # Epochs enough that the run is not over before the other worker is dead: each takes a third of a second.
    settings = replace(fixed, optimization=replace(fixed.optimization, batch_size=1, epochs=12), deterministic=True)
    undisturbed, killed = (replace(settings, run_dir=str(tmp_path / name)) for name in ("undisturbed", "killed"))
    chief, other = start_both(undisturbed, tmp_path)
    with chief, other:
        wait_for(chief, "MultiWorkerMirroredStrategy on 2 devices of 2 workers")
        wait_for(chief, "wrote")
    assert chief.returncode == other.returncode == 0
    chief, other = start_both(killed, tmp_path)
    with chief, other:
        wait_for(chief, "epoch 2/12")
        other.kill()
        # Not every error that TensorFlow raises then names the worker.
        wait_for(chief, "start all again to continue from the last checkpoint")
    assert chief.returncode == 75
    chief, other = start_both(killed, tmp_path)
    with chief, other:
        wait_for(chief, "wrote")
    assert chief.returncode == other.returncode == 0
    assert (tmp_path / "killed/history.csv").read_text() == (tmp_path / "undisturbed/history.csv").read_text()


@pytest.mark.slow
def test_sigterm_to_one_worker_ends_both(fixed: RunSettings, tmp_path: Path) -> None:
    optimization = replace(fixed.optimization, batch_size=1, epochs=400)
    chief, other = start_both(replace(fixed, optimization=optimization, run_dir=str(tmp_path / "run")), tmp_path)
    with chief, other:
        wait_for(chief, "epoch 2/400")
        other.terminate()
        wait_for(chief, "stopped after")
        wait_for(other, "stopped after")
    assert chief.returncode == other.returncode == 0
    assert read_history(tmp_path / "run") and list((tmp_path / "run" / "checkpoints").iterdir())


@pytest.mark.slow
def test_all_folds_are_trained_one_after_another(fixed: RunSettings, tmp_path: Path, log: list[str]) -> None:
    settings = replace(fixed, run_dir=str(tmp_path / "runs"), all_folds=True)
    settings = replace(settings, optimization=replace(fixed.optimization, epochs=1, warmup_epochs=0.0))
    train.main(settings)
    folds = sorted(path.name for path in (tmp_path / "runs").iterdir())
    assert folds == [f"fold{i}" for i in range(len(Manifest.read(fixed.records_dir).folds))]
    validated = [case for name in folds for case in Manifest.read(tmp_path / "runs" / name).splits["validation"]]
    assert sorted(validated) == ["case_00000", "case_00001", "case_00002"]
    log.clear()
    train.main(settings)
    assert sum("trained already" in line for line in log) == len(folds)
