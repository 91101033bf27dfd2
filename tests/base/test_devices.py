import os
import subprocess
import sys
from pathlib import Path

import keras
import pytest
import tensorflow as tf

from kits_tf.base import devices
from kits_tf.base.progress import track
from kits_tf.base.provenance import environment

IMPORT = "from kits_tf.base.startup import start_tensorflow"
ROOT = Path(__file__).parent.parent.parent


def start(code: str, **variables: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, **variables}
    environment.pop("TF_CPP_MIN_LOG_LEVEL", None)
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment)


REPORT = """
import os, tensorflow as tf
tf.constant(1) + 1
print(os.environ["TF_ENABLE_ONEDNN_OPTS"], tf.config.threading.get_intra_op_parallelism_threads())
"""


def test_tensorflow_starts_without_a_word_with_onednn_and_the_threads_asked_for() -> None:
    quiet = start(f"import os; os.environ.pop('TF_ENABLE_ONEDNN_OPTS')\n{IMPORT}\nstart_tensorflow(1){REPORT}")
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "1 1\n", "")


def test_tensorflow_speaks_when_asked_to_and_does_without_onednn() -> None:
    code = f"{IMPORT}\nstart_tensorflow()\nstart_tensorflow(1){REPORT}"
    verbose = start(code, TF_ENABLE_ONEDNN_OPTS="0", KITS_TF_VERBOSE="1")
    assert verbose.stdout == "0 1\n" and verbose.stderr != ""


def test_float32_means_float32() -> None:
    assert not tf.config.experimental.tensor_float_32_execution_enabled()


def test_progress_yields_everything_and_counts(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "kits_tf"):
        assert list(track("abc", "letter", 3)) == ["a", "b", "c"]
    lines = caplog.messages
    assert len(lines) == 4 and lines[0].startswith("letter 1/3") and lines[-1].startswith("letter: 3 done")


def test_environment_names_versions_and_revision() -> None:
    found = environment()
    assert {"kits_tf", "tensorflow", "keras", "numpy", "nibabel"} <= set(found["packages"])
    assert found["git_revision"] is None or len(found["git_revision"].removesuffix("-dirty")) == 40


def test_precision_follows_the_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    assert devices.choose_precision("auto") == "float32"
    assert devices.choose_precision("mixed_float16") == "mixed_float16"
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["old", "new"][-found:])
    details = {"old": {"compute_capability": (7, 0)}, "new": {"compute_capability": (9, 0)}}
    monkeypatch.setattr(tf.config.experimental, "get_device_details", details.get)
    found = 1
    assert devices.choose_precision("auto") == "mixed_bfloat16"
    found = 2
    assert devices.choose_precision("auto") == "mixed_float16"


def test_layers_have_the_precision_they_are_built_in() -> None:
    with devices.layers_in("mixed_bfloat16"):
        assert keras.layers.Dense(1).compute_dtype == "bfloat16"
    assert keras.layers.Dense(1).compute_dtype == "float32"


def test_memory_of_the_device_is_known_here() -> None:
    memory = devices.device_memory()
    assert memory is not None and 10**9 < memory < 10**14
