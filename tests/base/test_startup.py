"""TensorFlow and Keras as they start in the environment of another project."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import train_settings, training_plan

from kits_tf.base import devices, startup
from kits_tf.base.errors import InputError
from kits_tf.base.processes import run_in_processes, start_tensorflow_in_worker
from kits_tf.training import fit
from kits_tf.training.run import load_run

ROOT = Path(__file__).parent.parent.parent
# Builds the network of a run, and writes what it makes of noise.
PREDICT = """
import sys
from pathlib import Path
import numpy as np
from kits_tf.base.startup import start_tensorflow
start_tensorflow(2)
from kits_tf.training.run import load_run
noise = np.random.default_rng(1).normal(size=(1, 8, 16, 16, 1)).astype(np.float32)
np.save(sys.argv[2], load_run(sys.argv[1]).network(noise, training=False))
"""
OTHERS = {"floatx": "float16", "epsilon": 0.1, "backend": "jax", "image_data_format": "channels_first"}


def in_process(code: str, *arguments: object, **variables: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    environment = {**os.environ, **variables}
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment)


@pytest.fixture
def keras_home(tmp_path: Path) -> Path:
    """A folder with another project's keras.json."""
    home = tmp_path / "keras"
    home.mkdir()
    (home / "keras.json").write_text(json.dumps(OTHERS))
    return home


@pytest.fixture
def settings_of_another_program() -> Iterator[None]:
    """Keras as another program has set it, for the time of a test."""
    before = keras.config.dtype_policy()
    keras.config.set_floatx("float16")
    keras.config.set_image_data_format("channels_first")
    keras.config.set_epsilon(0.1)
    keras.config.set_dtype_policy("mixed_float16")
    yield
    keras.config.set_floatx("float32")
    keras.config.set_image_data_format("channels_last")
    keras.config.set_epsilon(1e-7)
    keras.config.set_dtype_policy(before)


@pytest.mark.parametrize("content", [json.dumps(OTHERS), "[1, 2"])
def test_predictions_do_not_depend_on_a_keras_json_and_leave_it_alone(
    run_dir: Path, keras_home: Path, tmp_path: Path, content: str
) -> None:
    (keras_home / "keras.json").write_text(content)
    backend = {} if "jax" in content else {"KERAS_BACKEND": "torch", "KERAS_MAX_EPOCHS": "x"}
    legacy = {"TF_USE_LEGACY_KERAS": "1"}
    for name, variables in (("plain", {}), ("others", {"KERAS_HOME": str(keras_home)} | backend | legacy)):
        result = in_process(PREDICT, run_dir, tmp_path / f"{name}.npy", **variables)
        assert (result.returncode, result.stderr) == (0, "")
    plain, others = (np.load(tmp_path / f"{name}.npy") for name in ("plain", "others"))
    np.testing.assert_array_equal(plain, others)
    assert plain.shape == (1, 8, 16, 16, 4) and plain.std() > 0.01
    assert (keras_home / "keras.json").read_text() == content


def test_the_environment_is_as_it_was_after_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    monkeypatch.delenv("KERAS_HOME", raising=False)
    with startup.quiet_start():
        assert os.environ["KERAS_BACKEND"] == "tensorflow" and os.environ["KERAS_HOME"] == os.devnull
    assert os.environ["KERAS_BACKEND"] == "torch" and "KERAS_HOME" not in os.environ


def test_worker_processes_have_keras_on_tensorflow(monkeypatch: pytest.MonkeyPatch, keras_home: Path) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    monkeypatch.setenv("KERAS_HOME", str(keras_home))
    ((_, settings),) = run_in_processes(settings_of_keras, [()], 1, start_tensorflow_in_worker)
    assert settings == ("tensorflow", "float32", "channels_last", 1e-7)


def settings_of_keras() -> tuple[str, str, str, float]:
    import keras

    config = keras.config
    return config.backend(), config.floatx(), config.image_data_format(), config.epsilon()


@pytest.mark.usefixtures("settings_of_another_program")
def test_networks_compute_as_ever_in_a_program_with_other_settings_and_leave_them(run_dir: Path) -> None:
    noise = np.random.default_rng(1).normal(size=(1, 8, 16, 16, 1)).astype(np.float32)
    loaded = load_run(run_dir).network
    assert loaded.input.dtype == "float32"
    got = loaded(noise, training=False)
    assert keras.config.floatx() == "float16" and keras.config.image_data_format() == "channels_first"
    assert keras.config.epsilon() == 0.1 and keras.config.dtype_policy().name == "mixed_float16"
    with devices.layers_in("float32"):
        np.testing.assert_array_equal(got, load_run(run_dir).network(noise, training=False))


def weights_after_a_step(records_dir: Path, run_dir: Path) -> list[np.ndarray]:
    keras.utils.set_random_seed(3)
    rng = np.random.default_rng(2)
    image = rng.normal(size=(2, 8, 16, 16)).astype(np.float32)
    labels = rng.integers(0, 4, image.shape).astype(np.uint8)
    with devices.layers_in("float32"):
        trainer = fit.make_trainer(training_plan(train_settings(records_dir, run_dir)))
        trainer.learn(tf.constant(image), tf.constant(labels))
    return trainer.network.get_weights()


def test_a_step_of_training_is_the_same_in_a_program_with_other_settings(
    records_dir: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    plain = weights_after_a_step(records_dir, tmp_path)
    request.getfixturevalue("settings_of_another_program")
    for one, other in zip(plain, weights_after_a_step(records_dir, tmp_path), strict=True):
        np.testing.assert_array_equal(one, other)
        assert other.dtype == np.float32


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_another_backend_is_refused_in_a_line(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras.config, "backend", lambda: backend)
    with pytest.raises(InputError, match=f"^Keras: expected the backend tensorflow, got {backend}: .*KERAS_BACKEND"):
        startup.start_tensorflow()


def test_another_module_called_keras_is_refused_by_its_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras, "__version__", "2.15.0")
    with pytest.raises(InputError, match=r"^Keras: expected version 3, got 2.15.0 from .*keras/__init__.py"):
        startup.start_tensorflow()
