"""Fixtures: an exported model, scans of all kinds, and what serves them."""

import glob
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from conftest import as_codes, rotation

from kits_tf import export, phantom
from kits_tf.config import InferenceSettings, Serve
from kits_tf.serving.server.server import Server

# Axis codes, voxel size (z, y, x) in mm, and how far the patient lies askew.
KINDS = (
    ("IPL", (8.0, 6.0, 6.0), (0, 0, 0)),
    ("RAS", (5.0, 4.0, 4.0), (0, 0, 0)),
    ("PSL", (12.0, 10.0, 10.0), (0, 0, 0)),
    ("LIP", (3.0, 7.0, 5.0), (8, -5, 12)),
    ("ARS", (10.0, 5.0, 5.0), (0, 20, 0)),
)


@pytest.fixture(scope="session")
def model_dir(run_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run, exported as version 1 of the model "kits"."""
    root = tmp_path_factory.mktemp("models") / "kits"
    export.main(export.Export(run_dir=str(run_dir), export_dir=str(root), calibrate=False))
    return root


@pytest.fixture(scope="session")
def cascade(run_dir: Path) -> InferenceSettings:
    """Both stages are of the same run."""
    return InferenceSettings(coarse_model=str(run_dir), coarse_margin_mm=0.0)


@pytest.fixture(scope="session")
def cascade_dir(run_dir: Path, cascade: InferenceSettings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cascade, exported as version 1 of the model "kits"."""
    root = tmp_path_factory.mktemp("cascade") / "kits"
    export.main(export.Export(run_dir=str(run_dir), export_dir=str(root), calibrate=False, inference=cascade))
    return root


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


@pytest.fixture(scope="session")
def server(model_dir: Path) -> Iterator[Server]:
    """The development server on ports that are free."""
    found = Server(Serve(export_dir=str(model_dir), grpc_port=0, rest_port=0, queue=8, poll_s=0.2, max_rest_mb=32))
    found.start()
    yield found
    found.stop()


@dataclass(frozen=True)
class Served:
    """A server and the model that it serves."""

    grpc_address: str
    rest_address: str
    model_dir: Path


@pytest.fixture(scope="session")
def served(request: pytest.FixtureRequest) -> Served:
    """The development server; or the one that KITS_TF_SERVING_ADDRESS names, as in localhost:8500,8501,models/kits."""
    named = os.environ.get("KITS_TF_SERVING_ADDRESS")
    if named:
        grpc_address, rest_port, model_dir = named.split(",")
        return Served(grpc_address, f"{grpc_address.rpartition(':')[0]}:{rest_port}", Path(model_dir))
    own = request.getfixturevalue("server")
    return Served(own.grpc_address, own.rest_address, request.getfixturevalue("model_dir"))
