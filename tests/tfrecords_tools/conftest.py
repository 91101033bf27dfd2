"""Fixtures: folders of records, and the commands run as a user runs them."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import pytest

from tfrecords_tools.index import Shard
from tfrecords_tools.write import write_records

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="session")
def write_folder() -> Callable[..., dict[str, Path]]:
    """Returns what writes shards, each of named records, and their manifest, and returns the shards' paths."""

    def write(
        folder: Path, shards: Mapping[str, Mapping[str, bytes]], splits: Mapping[str, Sequence[str]]
    ) -> dict[str, Path]:
        folder.mkdir(parents=True, exist_ok=True)
        described = {}
        for name, records in shards.items():
            written = write_records(folder / name, records.values())
            described[name] = asdict(Shard(written.num_bytes, written.sha256, tuple(records)))
        content = {"format_version": 3, "grid": {"mm": [1.5, 0.1]}, "splits": splits, "shards": described, "x": None}
        (folder / "manifest.json").write_text(json.dumps(content))
        return {name: folder / name for name in shards}

    return write


@pytest.fixture(scope="session")
def run_command() -> Callable[..., subprocess.CompletedProcess]:
    """Returns what runs a command as a user does: run_command("verify", "records")."""

    def run(name: str, *arguments: object) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", f"tfrecords_tools.{name}", *map(str, arguments)]
        environment = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"} | {"COLUMNS": "100"}
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment)

    return run
