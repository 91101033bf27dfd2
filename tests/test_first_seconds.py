"""Simple mistakes are found at once: before TensorFlow is imported, which takes seconds."""

import json
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

# Runs one command line after the other in a process that has not imported TensorFlow, and prints what each says.
FIRST = """
import json, sys
from kits_tf.base.command import all_commands
for name, *arguments in json.loads(sys.argv[1]):
    command = all_commands()[name]
    settings, positional = command.parse(arguments)
    try:
        command.main(settings, *([positional] if command.inputs else []))
    except ValueError as error:
        print(error)
    assert "tensorflow" not in sys.modules, (name, arguments)
"""


def said(lines: list[list[str]], folder: Path) -> list[str]:
    """Returns the error of each command line, of which none may import TensorFlow."""
    command = [sys.executable, "-c", FIRST, json.dumps(lines)]
    environment = {"PYTHONPATH": str(Path(__file__).parent.parent), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_what_is_missing_is_named_before_tensorflow_is_imported(
    tmp_path: Path, data_dir: Path, records_dir: Path, run_dir: Path, model_dir: Path
) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter.txt").write_text("to keep")
    (tmp_path / "untrained").mkdir()
    shutil.copy(run_dir / "train.flags", tmp_path / "untrained")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "kits").symlink_to(model_dir)
    next_version = "expected a new folder, or that of an exported model for its next version"
    records, scan = f"--records_dir={records_dir}", str(data_dir / "case_00000" / "imaging.nii.gz")
    fitting = [records, "--spacing_zyx_mm=12,10,10", "--test_cases=3", "--validation_fraction=0.3"]
    no_run = "no: expected a run directory, found no such folder"
    no_masks = "no: expected a folder of masks, found no such folder"
    no_data = "no: expected a data set, found no such file or folder"
    secret = "no: expected a file that can be read: No such file or directory"
    exported = f"{model_dir}: expected a run directory, found an exported model"
    cases = {
        ("train", "--records_dir=no", "--run_dir=r"): "no/manifest.json: expected the manifest that convert writes",
        ("train", *fitting, "--run_dir=other"): "other: expected a new or an empty folder, or an earlier run",
        ("train", *fitting, "--run_dir=r", "--initial_weights=no"): no_run,
        ("train", *fitting, "--run_dir=r", f"--initial_weights={model_dir}"): exported,
        ("evaluate", "--run_dir=no"): no_run,
        ("evaluate", "--predictions_dir=no", f"--data_dir={data_dir}"): no_masks,
        ("evaluate", "--predictions_dir=other", "--truth_dir=no"): no_masks,
        ("evaluate", "--predictions_dir=other", "--data_dir=no"): no_data,
        ("export", "--run_dir=no", "--export_dir=x"): no_run,
        ("export", f"--run_dir={model_dir}", "--export_dir=x"): exported,
        ("export", "--run_dir=untrained", "--export_dir=x"): "untrained/best.weights.h5: expected the weights of a",
        ("export", f"--run_dir={run_dir}", f"--export_dir={run_dir}"): f"{run_dir}: {next_version}; found a run",
        ("export", f"--run_dir={run_dir}", f"--export_dir={model_dir}/1"): (
            f"{model_dir}/1: {next_version}; found a version of an exported model"
        ),
        ("export", f"--run_dir={run_dir}", "--export_dir=models"): (
            f"models: {next_version}; found a folder that holds models/kits (an exported model)"
        ),
        ("serve", "--export_dir=no"): "no: expected the folder of an exported model, which holds its versions; found",
        ("serve", f"--export_dir={model_dir}", "--token_file=no"): secret,
        ("serve", f"--export_dir={model_dir}", "--tls_cert=no", "--tls_key=no"): secret,
        ("app", "--model=no"): "no: expected a run directory or an exported model, found no such folder",
        ("app", f"--model={run_dir}", "--page_token_file=no"): secret,
        ("predict", "--model=no", scan): "no: expected a run directory or an exported model, found no such folder",
        ("figures", scan): "masks: expected a folder of masks, found no such folder",
        ("figures", f"--data_dir={data_dir}", "--predictions_dir=no"): no_masks,
        ("figures", "--data_dir=no", "--augmentations"): no_data,
        ("report", "--run_dir=no"): "no: expected the folder of a run, found no such folder",
        ("report", "--predictions_dir=no", f"--data_dir={data_dir}"): no_masks,
    }
    errors = said([list(line) for line in cases], tmp_path)
    for line, error, expected in zip(cases, errors, cases.values(), strict=True):
        assert error.startswith(expected), line
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize(("command", "flag"), [("serve", "grpc_port"), ("serve", "rest_port"), ("app", "page_port")])
def test_a_port_in_use_is_named_before_tensorflow_is_imported(
    command: str, flag: str, tmp_path: Path, model_dir: Path
) -> None:
    model = f"--export_dir={model_dir}" if command == "serve" else f"--model={model_dir}"
    others = [f"--{name}=0" for name in ("grpc_port", "rest_port") if command == "serve" and name != flag]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        (error,) = said([[command, model, f"--{flag}={port}", *others]], tmp_path)
    expected = f"--{flag}={port}: expected a free port, another program listens on 127.0.0.1:{port}; 0 takes any free"
    assert error == f"{expected} port"
