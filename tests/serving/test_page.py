"""The page in front of a model that a server has: its own, or another one's."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import requests
from user import User

from kits_tf import app, config
from kits_tf.ct.volume import read_image, write_labels
from kits_tf.inference.model import Model
from kits_tf.serving.saved_model import SavedModel


@pytest.fixture(scope="module")
def scan(data_dir: Path) -> Path:
    """A phantom."""
    return data_dir / "case_00000" / "imaging.nii.gz"


@pytest.fixture(scope="module")
def expected(saved: SavedModel, scan: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its mask by the same model."""
    image = read_image(scan)
    labels = Model(saved.segment, saved.metadata.scheme, ()).labels(image)
    path = tmp_path_factory.mktemp("expected") / "mask.nii.gz"
    write_labels(path, labels, image, saved.metadata.classes)
    return path


def test_the_model_may_be_on_another_server(served, scan: Path, expected: Path) -> None:
    connection = config.ConnectionSettings(server=served.grpc_address)
    with app.serve_page(app.App(page_port=0, connection=connection)) as url:
        user = User(url)
        key = user.drop(scan)
        assert user.wait(key)["state"] == "done"
        assert user.get(f"api/scans/{key}/mask.nii.gz").content == expected.read_bytes()


def test_serve_offers_it_beside_rest(model_dir: Path, scan: Path, expected: Path) -> None:
    command = [sys.executable, "-m", "kits_tf.serve", f"--export_dir={model_dir}", "--page"]
    environment = os.environ | {"PYTHONPATH": "."}
    with subprocess.Popen(
        [*command, "--grpc_port=0", "--rest_port=0"], stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        lines = iter(process.stdout.readline, "")
        url = next(found[1] for line in lines if (found := re.search(r"page on (http://127.0.0.1:\d+/)$", line)))
        user = User(url)
        key = user.drop(scan)
        assert user.wait(key)["state"] == "done"
        assert user.get(f"api/scans/{key}/mask.nii.gz").content == expected.read_bytes()
        assert requests.get(f"{url}v1/models/kits").json()["model_version_status"][0]["state"] == "AVAILABLE"
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0
