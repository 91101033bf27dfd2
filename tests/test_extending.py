"""The examples of docs/extending.md work from outside the package, by the commands that stand below them."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kits_tf.ct.volume import read_labels

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "extending.md").read_text()
EXAMPLES = {name: code for name, code in re.findall(r"```python\n# (\w+\.py)\n(.*?)```", PAGE, re.DOTALL)}
TINY_RUN = ["--epochs=1", "--patch_size_zyx=8,16,16", "--patches_per_case=1", "--validation_patches_per_case=1"]
TINY_RUN += ["--shuffle_patches=2"]

pytestmark = pytest.mark.slow


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, code in EXAMPLES.items():
        (tmp_path / name).write_text(code)
    return tmp_path


def run(folder: Path, *arguments: str) -> str:
    """Returns what `python -m kits_tf.COMMAND ...` prints in a folder that holds the examples."""
    command = [sys.executable, *([] if arguments[0].endswith(".py") else ["-m"]), *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_page_has_an_example_of_each_kind_and_its_command() -> None:
    kinds = ("loss", "preset", "network", "effect", "layout", "rule", "score", "step", "command")
    assert list(EXAMPLES) == [f"my_{kind}.py" for kind in kinds]
    commands = re.findall(r"^    (python .*)$", PAGE, re.MULTILINE)
    assert all(any(f"my_{kind}" in command for command in commands) for kind in kinds)


def test_a_loss_is_trained_on(folder: Path, records_dir: Path) -> None:
    arguments = ["--plugins=my_loss", "--loss=top_tenth", f"--records_dir={records_dir}", "--run_dir=RUN"]
    run(folder, "kits_tf.train", *arguments, *TINY_RUN, "--filters=4,8")
    (row,) = csv.DictReader((folder / "RUN/history.csv").read_text().splitlines())
    assert float(row["loss"]) > 0
    assert "--plugins=my_loss\n" in (folder / "RUN/train.flags").read_text()


def test_a_preset_is_another_network(folder: Path, records_dir: Path) -> None:
    said = run(folder, "kits_tf.summary", "--plugins=my_preset", "--preset=slim", "--patch_size_zyx=8,16,16")
    assert "docs/extending.md" in said and "4" in said


def test_a_family_of_networks_goes_the_whole_way(folder: Path, records_dir: Path, data_dir: Path) -> None:
    arguments = ["--plugins=my_network", "--preset=dilated", "--filters=4,4,4"]
    run(folder, "kits_tf.train", *arguments, f"--records_dir={records_dir}", "--run_dir=RUN", *TINY_RUN)
    run(folder, "kits_tf.predict", "--model=RUN", "--output_dir=MASKS", str(data_dir / "case_00003"))
    assert (folder / "MASKS/case_00003.nii.gz").exists()
    run(folder, "kits_tf.export", "--run_dir=RUN", "--export_dir=MODEL")
    run(folder, "kits_tf.predict", "--model=MODEL", "--output_dir=SERVED", str(data_dir / "case_00003"))
    by_run, by_model = (read_labels(folder / name / "case_00003.nii.gz") for name in ("MASKS", "SERVED"))
    np.testing.assert_array_equal(by_run.array, by_model.array)
    assert by_run.metadata.scan == by_model.metadata.scan != ""


def test_an_effect_happens_to_some_patches(folder: Path, data_dir: Path) -> None:
    arguments = [f"--data_dir={data_dir}", "--output_dir=FIGURES", "--patch_size_zyx=8,16,16"]
    said = run(folder, "kits_tf.figures", "--plugins=my_effect", "--augmentations", *arguments)
    assert 0 < sum("shift" in line for line in said.splitlines()) < 16


def test_a_layout_and_a_rule_are_read_by_the_audit(folder: Path, data_dir: Path) -> None:
    scans = folder / "FOLDER"
    scans.mkdir()
    for number in (0, 1):
        case = data_dir / f"case_{number:05d}"
        shutil.copyfile(case / "imaging.nii.gz", scans / f"patient{number}_ct.nii.gz")
    shutil.copyfile(data_dir / "case_00000/segmentation.nii.gz", scans / "patient0_mask.nii.gz")
    run(folder, "kits_tf.audit", "--plugins=my_layout,my_rule", "--data_dir=FOLDER", "--output_dir=AUDIT")
    audit = json.loads((folder / "AUDIT/audit.json").read_text())
    assert list(audit["cases"]) == ["patient0", "patient1"] and audit["cases"]["patient1"]["labels"] is None
    thick = [finding for finding in audit["findings"] if finding["code"] == "thick_slices"]
    assert [finding["message"] for finding in thick] == ["slices of 8.0 mm: a tumor of 1 cm is in two of them"] * 2


def test_a_score_is_a_column_and_a_mean(folder: Path, data_dir: Path) -> None:
    (folder / "MASKS").mkdir()
    for number in (0, 1):
        truth = data_dir / f"case_{number:05d}/segmentation.nii.gz"
        shutil.copyfile(truth, folder / f"MASKS/case_{number:05d}.nii.gz")
    arguments = ["--predictions_dir=MASKS", f"--data_dir={data_dir}", "--label_scheme=kits19", "--workers=2"]
    run(folder, "kits_tf.evaluate", "--plugins=my_score", *arguments)
    rows = list(csv.DictReader((folder / "MASKS/evaluation/cases.csv").read_text().splitlines()))
    assert [float(row["kidney_volume_similarity"]) for row in rows] == [1, 1]
    summary = json.loads((folder / "MASKS/evaluation/summary.json").read_text())
    assert summary["kidney_volume_similarity"]["mean"] == 1


def test_a_step_changes_masks(folder: Path, run_dir: Path, data_dir: Path) -> None:
    scan = str(data_dir / "case_00003")
    arguments = ["--plugins=my_step", "--postprocess=dense:3000", f"--model={run_dir}", "--output_dir=MASKS"]
    said = run(folder, "kits_tf.predict", *arguments, scan)
    assert "no tumor marked" in said


def test_a_command_has_flags_help_and_error_lines(folder: Path, data_dir: Path) -> None:
    assert run(folder, "my_command.py", f"--data_dir={data_dir}") == "4 cases, 4 with a mask\n"
    assert run(folder, "my_command.py", "--help").startswith("usage: python my_command.py [")
    assert "  --at_least=N\n      Cases that are expected. (default 1)\n" in run(folder, "my_command.py", "--help")
    command = [sys.executable, "my_command.py", "--at_least=x"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    wrong = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert wrong.returncode == 2 and "expected a whole number, got 'x'" in wrong.stderr
