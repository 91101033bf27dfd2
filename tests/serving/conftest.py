"""Fixtures: an exported model, scans of all kinds, and what serves them."""

import glob
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from conftest import as_codes, rotation
from fake_model import save_fake_model

from kits_tf import export, phantom
from kits_tf.config import InferenceSettings, ServerSettings
from kits_tf.inference.building import build_segmenter
from kits_tf.inference.model import Model
from kits_tf.inference.segmenter import Segmenter
from kits_tf.serving.models import open_model
from kits_tf.serving.saved_model import SavedModel, load
from kits_tf.serving.server.server import Server
from kits_tf.training.run import load_run

# Axis codes, voxel size (z, y, x) in mm, and how far the patient lies askew.
KINDS = (
    ("IPL", (8.0, 6.0, 6.0), (0, 0, 0)),
    ("RAS", (5.0, 4.0, 4.0), (0, 0, 0)),
    ("PSL", (12.0, 10.0, 10.0), (0, 0, 0)),
    ("LIP", (3.0, 7.0, 5.0), (8, -5, 12)),
    ("ARS", (10.0, 5.0, 5.0), (0, 20, 0)),
)


@pytest.fixture(scope="session")
def saved(model_dir: Path) -> SavedModel:
    """That export, loaded once for all tests."""
    return load(model_dir / "1")


@pytest.fixture(scope="session")
def cascade(run_dir: Path) -> InferenceSettings:
    """Both stages are of the same run."""
    return InferenceSettings(coarse_model=str(run_dir), coarse_margin_mm=0.0)


@pytest.fixture(scope="session")
def cascade_segmenter(run_dir: Path, cascade: InferenceSettings) -> Segmenter:
    """That of the cascade."""
    return build_segmenter([load_run(run_dir)], cascade)


@pytest.fixture(scope="session")
def cascade_dir(run_dir: Path, cascade: InferenceSettings, made_once: Callable) -> Path:
    """The cascade, exported as version 1 of the model "kits"; tests only read it."""
    settings = export.Export(run_dir=str(run_dir), export_dir="", calibrate=False, inference=cascade)
    folder = made_once("cascade", lambda root: export.main(replace(settings, export_dir=str(root / "kits"))))
    return folder / "kits"


@pytest.fixture(scope="session")
def scans(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Phantoms of five orientations and spacings; and the files of the pattern KITS_TF_SCANS, as a real scan."""
    root, found = tmp_path_factory.mktemp("scans"), []
    for i, (codes, spacing, askew) in enumerate(KINDS):
        phantom.main(
            phantom.Phantom(output_dir=str(root / str(i)), num_cases=1, phantom_spacing_zyx_mm=spacing, seed=i)
        )
        image = as_codes(nib.load(root / str(i) / "case_00000" / "imaging.nii.gz"), codes)
        found.append(root / f"{codes}.nii.gz")
        nib.save(nib.Nifti1Image(np.asarray(image.dataobj), rotation(askew) @ image.affine), found[-1])
    for i, path in enumerate(sorted(glob.glob(os.environ.get("KITS_TF_SCANS", "")))):
        found.append(root / f"named{i}.nii.gz")  # masks are named after the file, and that of a case after its folder
        found[-1].symlink_to(Path(path).absolute())
    return found


def start(**settings: object) -> Server:
    """Starts a server on ports that are free."""
    found = Server(ServerSettings(**{"grpc_port": 0, "rest_port": 0, "poll_s": 0.1} | settings))
    found.start()
    return found


@pytest.fixture(scope="session")
def server(model_dir: Path) -> Iterator[Server]:
    """The development server of the export."""
    found = start(export_dir=str(model_dir))
    yield found
    found.stop()


@pytest.fixture(scope="session")
def fake_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model "kits" without a network, for tests of queues, limits, versions and addresses."""
    root = tmp_path_factory.mktemp("fake") / "kits"
    save_fake_model(root)
    return root


@pytest.fixture(scope="session")
def fake_server(fake_dir: Path) -> Iterator[Server]:
    """A server of that model."""
    found = start(export_dir=str(fake_dir))
    yield found
    found.stop()


@dataclass(frozen=True)
class ServedTarget:
    """A server and the model that it serves."""

    grpc_address: str
    rest_address: str
    model: Model


@pytest.fixture(scope="session")
def served(request: pytest.FixtureRequest) -> ServedTarget:
    """The development server; or the one that KITS_TF_SERVING_ADDRESS names, as in localhost:8500,8501,models/kits."""
    named = os.environ.get("KITS_TF_SERVING_ADDRESS")
    if named:
        grpc_address, rest_port, model_dir = named.split(",")
        rest_address = f"{grpc_address.rpartition(':')[0]}:{rest_port}"
        return ServedTarget(grpc_address, rest_address, open_model(model_dir, InferenceSettings()))
    own, saved = request.getfixturevalue("server"), request.getfixturevalue("saved")
    return ServedTarget(own.grpc_address, own.rest_address, Model(saved.segment, saved.metadata.scheme, ()))
