"""What documents tell a reader to type: every command line is one that its command takes, and README's lines run."""

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from conftest import OF_PHANTOMS
from scripts import ROOT, python_blocks

from kits_tf import phantom
from kits_tf.base.command import all_commands
from kits_tf.ct.volume import read_metadata

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("configs/*.flags")])
# README's commands at the size of a test.
SMALL_GRID = "--spacing_zyx_mm=16,12,12 --test_cases=3"
SMALL_RUN = "--patch_size_zyx=8,16,16 --patches_per_case=2 --shuffle_patches=4 --filters=4,8 --epochs=1"
SMALL = {"convert": SMALL_GRID, "train": f"{SMALL_GRID} {SMALL_RUN} --validation_patches_per_case=2"}


def command_lines(text: str) -> Iterator[str]:
    """Yields what follows `python -m kits_tf.` up to a comment or the end of the code, with all optional parts."""
    for line in text.replace("\\\n", " ").splitlines():
        for found in re.finditer(r"(?:\.venv/bin/)?python -m kits_tf\.(\w+[^`#]*)", line):
            command = re.sub(r"\|\w+", "", found[1].replace("[", "").replace("]", "")).strip()
            yield command[:-1] if command.count("'") == 1 else command  # the end of a line for another shell


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_line_is_one_that_its_command_takes(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    for line in command_lines(page.read_text()):
        if "..." in line or "--plugins=" in line or line.startswith("COMMAND"):
            continue  # tests/test_extending.py runs those with plugins
        if "--" not in line and len(line.split()) == 1:
            assert line in all_commands(), f"{page.name}: {line}"  # it is named, not called
            continue
        name, *arguments = shlex.split(line)
        all_commands()[name].parse(arguments)


def readme_parts() -> dict[str, str]:
    """Returns the parts of README by heading."""
    headed = re.split(r"^## (.*)\n", (ROOT / "README.md").read_text(), flags=re.MULTILINE)
    return dict(zip(headed[1::2], headed[2::2], strict=True))


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder as README has it: this repository's configs, kits19 beside it, and a scan of one's own."""
    phantom.main(
        phantom.Phantom(output_dir=str(tmp_path / "kits19/data"), num_cases=4, phantom_spacing_zyx_mm=(8.0, 6.0, 6.0))
    )
    (tmp_path / "kits19/data/case_00210").mkdir()
    clone = tmp_path / "kits_tf"
    clone.mkdir()
    (clone / "configs").symlink_to(ROOT / "configs")
    for copy in (tmp_path / "kits19/data/case_00210/imaging.nii.gz", clone / "scan.nii.gz"):
        shutil.copyfile(tmp_path / "kits19/data/case_00000/imaging.nii.gz", copy)
    return clone


def typed(clone: Path, *command: str) -> str:
    """Runs a command in the clone and returns what it printed."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, *command], cwd=clone, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def run_lines(clone: Path, part: str, left_out: tuple[str, ...] = ()) -> str:
    """Runs the command lines of a part of README in their order, and returns what they printed."""
    out = ""
    for line in command_lines(part):
        name, *arguments = shlex.split(line)
        if name not in left_out:
            out += typed(clone, "-m", f"kits_tf.{name}", *arguments, *SMALL.get(name, "").split())
    return out


@pytest.mark.slow
def test_readme_from_a_scan_to_kits19_and_the_library(clone: Path) -> None:
    parts = readme_parts()
    out = run_lines(clone, parts["Your scan"], left_out=("app",))
    assert "starter network: for trying things out" in out
    assert (clone / "masks/scan.png").stat().st_size > 10_000 and (clone / "masks/scan.nii.gz").exists()

    out = run_lines(clone, parts["Train on KiTS19"])
    assert (clone / "runs/base/evaluation/test/report.html").exists() and (clone / "models/kits/1").is_dir()
    assert read_metadata(clone / "masks/case_00210.nii.gz").warnings == (OF_PHANTOMS,)

    (snippet,) = python_blocks("README.md")
    printed = typed(clone, "-c", snippet).splitlines()
    assert [line.split()[:2] for line in printed[:2]] == [["right", "kidney"], ["left", "kidney"]]


@pytest.mark.slow
def test_readme_serves_and_a_client_without_kits_tf_gets_the_same_mask(clone: Path) -> None:
    """`kits_tf.serve` in the container's place, on a port that is free."""
    part = readme_parts()["Serve"]
    lines = [line for line in command_lines(part) if line.startswith(("export", "serve", "client"))]
    assert [line.split()[0] for line in lines] == ["export", "client", "serve"]
    export, client, serve = (line.split() for line in lines)
    typed(clone, "-m", *[f"kits_tf.{export[0]}", *export[1:]])
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", f"kits_tf.{serve[0]}", *serve[1:], f"--grpc_port={port}", "--rest_port=0"]
    with subprocess.Popen(command, cwd=clone, env=environment, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert "gRPC on" in server.stdout.readline()
            typed(clone, "-m", f"kits_tf.{client[0]}", *[word.replace("8500", str(port)) for word in client[1:]])
        finally:
            server.send_signal(signal.SIGTERM)
    snippet, *_ = python_blocks("docs/serving.md")
    typed(clone, "-c", snippet)
    served, alone = (np.asarray(nib.load(clone / name).dataobj) for name in ("masks/scan.nii.gz", "mask.nii.gz"))
    assert served.shape == alone.shape and ((served > 0) == (alone > 0)).mean() > 0.99
