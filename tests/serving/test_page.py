"""The page in front of a model that a server has: its own, or another one's."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import requests
from numpy.typing import NDArray
from user import User

from kits_tf import app, config
from kits_tf.ct.labels import LATERALITY
from kits_tf.ct.volume import read_image, read_labels
from kits_tf.inference.model import Model
from kits_tf.serving.saved_model import SavedModel


@pytest.fixture(scope="module")
def scan(data_dir: Path) -> Path:
    """A phantom."""
    return data_dir / "case_00000" / "imaging.nii.gz"


@pytest.fixture(scope="module")
def expected(saved: SavedModel, scan: Path) -> NDArray[np.uint8]:
    """Its mask by the same model."""
    return Model(saved.segment, saved.metadata.scheme, ()).labels(read_image(scan))


def check_mask(content: bytes, path: Path, expected: NDArray[np.uint8], scan: Path) -> None:
    """Checks a mask of the page: its labels, and that it says of what it is."""
    path.write_bytes(content)
    mask = read_labels(path)
    np.testing.assert_array_equal(mask.array, expected)
    assert mask.metadata.classes == LATERALITY.classes
    assert mask.metadata.scan == read_image(scan).digest()
    assert re.match(r"kits/1 sha256:[0-9a-f]{16}\b", mask.metadata.model)


def test_the_model_may_be_on_another_server(served, scan: Path, expected: NDArray[np.uint8], tmp_path: Path) -> None:
    connection = config.ConnectionSettings(server=served.grpc_address)
    with app.serve_page(app.App(page_port=0, connection=connection)) as url:
        user = User(url)
        key = user.drop(scan)
        assert user.wait(key)["state"] == "done"
        check_mask(user.get(f"api/scans/{key}/mask.nii.gz").content, tmp_path / "mask.nii.gz", expected, scan)


def test_serve_offers_it_beside_rest(model_dir: Path, scan: Path, expected: NDArray[np.uint8], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "kits_tf.serve", f"--export_dir={model_dir}", "--page"]
    environment = os.environ | {"PYTHONPATH": "."}
    with subprocess.Popen(
        [*command, "--grpc_port=0", "--rest_port=0"], stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            lines = iter(process.stdout.readline, "")
            url = next(found[1] for line in lines if (found := re.search(r"page on (http://127.0.0.1:\d+/)$", line)))
            user = User(url)
            key = user.drop(scan)
            assert user.wait(key)["state"] == "done"
            check_mask(user.get(f"api/scans/{key}/mask.nii.gz").content, tmp_path / "mask.nii.gz", expected, scan)
            assert requests.get(f"{url}v1/models/kits").json()["model_version_status"][0]["state"] == "AVAILABLE"
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=60) == 0
        finally:
            process.kill()  # or a failed test would wait for it
