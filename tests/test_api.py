"""The library: its names, its example, its reference."""

import contextlib
import io
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from conftest import OF_PHANTOMS
from nbclient import NotebookClient
from nbformat import NotebookNode
from scripts import ROOT, loaded_script, python_blocks

import kits_tf
from kits_tf import config, measure, predict
from kits_tf.base.errors import InputError
from kits_tf.ct.labels import LATERALITY
from kits_tf.inference.model import Model
from kits_tf.library import loading

# What a fresh process has imported at each step; runs as the notebook's first cell, since it has a process of its own.
IMPORTS = """
import sys, kits_tf
print(sorted({'tensorflow', 'keras', 'scipy', 'nibabel', 'absl'} & set(sys.modules)))
[getattr(kits_tf, name) for name in kits_tf._HOMES if name not in kits_tf._ON_TENSORFLOW]
print('tensorflow' in sys.modules)
kits_tf.load_model
print('tensorflow' in sys.modules)
"""


@pytest.fixture(scope="module")
def notebook(data_dir: Path, model_dir: Path) -> NotebookNode:
    """The notebook after it has run, behind a cell of ours."""
    notebook = nbformat.read(ROOT / "examples/segment.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells)  # what is committed has none
    notebook.cells.insert(0, nbformat.v4.new_code_cell(IMPORTS))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KITS_TF_MODEL", str(model_dir))
        patch.setenv("KITS_TF_CASE", str(data_dir / "case_00000"))
        NotebookClient(notebook, timeout=120, resources={"metadata": {"path": ROOT / "examples"}}).execute()
    return notebook


def test_importing_the_library_imports_nothing_slow(notebook: NotebookNode) -> None:
    outputs = notebook.cells[0].outputs
    assert [(output.name, output.text) for output in outputs if output.name != "stdout"] == []
    assert "".join(output.text for output in outputs) == "[]\nFalse\nTrue\n"


def test_every_name_is_there_and_no_other() -> None:
    assert not {path.stem for path in (ROOT / "kits_tf").iterdir()} & kits_tf._HOMES.keys()  # or it would hide a module
    assert set(kits_tf.__all__) == {*kits_tf._HOMES, "__version__"}
    for name in kits_tf.__all__:
        assert getattr(kits_tf, name) is not None and name in dir(kits_tf)
    with pytest.raises(AttributeError, match="module 'kits_tf' has no attribute 'segmnet'"):
        kits_tf.segmnet  # noqa: B018


@pytest.fixture(scope="module")
def documented(data_dir: Path, model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The names after all Python of docs/library.md, in a folder with a phantom, its truth and a model."""
    folder = tmp_path_factory.mktemp("library")
    (folder / "models").mkdir()
    (folder / "models/kits").symlink_to(model_dir)
    (folder / "scan.nii.gz").symlink_to(data_dir / "case_00000/imaging.nii.gz")
    (folder / "segmentation.nii.gz").symlink_to(data_dir / "case_00000/segmentation.nii.gz")
    names: dict[str, Any] = {"folder": folder}
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as printed:
        patch.chdir(folder)
        for block in python_blocks("docs/library.md"):  # a phantom is nothing to the starter
            exec(block.replace("load_model()", 'load_model("models/kits")'), names)
    return names | {"printed": printed.getvalue().splitlines()}


def test_the_library_does_what_predict_and_measure_do(
    documented: dict[str, Any], model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mask, scan, folder = documented["mask"], documented["scan"], documented["folder"]
    assert [line.split()[:2] for line in documented["printed"][:2]] == [["right", "kidney"], ["left", "kidney"]]
    assert mask.scheme == LATERALITY and mask.warnings == documented["model"].warnings == (OF_PHANTOMS,)

    monkeypatch.chdir(folder)
    predict.main(predict.Predict(model=str(model_dir), output_dir="masks"), ["scan.nii.gz"])
    assert (folder / "mask.nii.gz").read_bytes() == (folder / "masks/scan.nii.gz").read_bytes()
    measure.main(measure.Measure(image="scan.nii.gz", output_dir="measured"), ["masks/scan.nii.gz"])
    (measured,) = json.loads((folder / "measured/measurements.json").read_text()).values()
    assert measured == json.loads(json.dumps(asdict(mask.measure())))
    assert measured["warnings"] == [OF_PHANTOMS]
    voxel_ml = np.prod(scan.grid.spacing_mm) / 1000
    assert mask.volumes_ml["right_kidney"] == pytest.approx((mask.labels == 1).sum() * voxel_ml)


def test_pandas_and_scikit_image_take_what_the_library_gives(documented: dict[str, Any]) -> None:
    mask, regions, scan = documented["mask"], documented["regions"], documented["scan"]
    assert dict(zip(regions["structure"], regions["volume_ml"], strict=True)) == pytest.approx(mask.volumes_ml)
    means = {name: scan.array[mask.labels == label].mean() for label, name in enumerate(mask.scheme.classes) if label}
    assert dict(zip(regions["structure"], regions["intensity_mean"], strict=True)) == pytest.approx(means)
    table, cohort = documented["table"], documented["cohort"]
    assert table.columns[:2].to_list() == ["structure", "side"] and len(table) == len(mask.measure().rows())
    assert cohort.loc["patient 7"].equals(table) and (documented["folder"] / "cohort.csv").exists()

    voxels = np.argwhere(mask.labels == 1) @ scan.grid.affine[:3, :3].T + scan.grid.affine[:3, 3]
    surface, half_mm = documented["scanner_mm"], np.array(scan.grid.spacing_mm[::-1]) / 2
    np.testing.assert_allclose(surface.min(axis=0), voxels.min(axis=0) - half_mm, atol=1e-3)
    np.testing.assert_allclose(surface.max(axis=0), voxels.max(axis=0) + half_mm, atol=1e-3)
    for name in ("mask.png", "errors.png"):
        assert (documented["folder"] / name).stat().st_size > 10_000
    assert documented["own"].scheme == LATERALITY and documented["scores"]["kidney_dice"] > 0


def test_the_notebook_runs(notebook: NotebookNode) -> None:
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    said = "".join(output.get("text", "") for output in outputs)
    assert "right kidney" in said and "left kidney" in said and "'kidney_dice': 0." in said
    assert "Volume(26 x 60 x 60 voxels of 8 x 6 x 6 mm, int16)" in said and f"WARNING: {OF_PHANTOMS}" in said
    assert outputs[-1].data["image/png"] and all(output.output_type != "error" for output in outputs)


def test_settings_of_inference_are_taken_and_others_refused(
    run_dir: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match=r"expected settings of overlap, .*, got overlaps"):
        kits_tf.load_model(run_dir, overlaps=0.5)
    with pytest.raises(InputError, match="^overlap: expected less than 1, got 1.5$"):
        kits_tf.load_model(run_dir, overlap=1.5)
    monkeypatch.setattr(loading, "open_model", lambda *given: Model(given, LATERALITY))
    for accept in (False, True):
        model = kits_tf.load_model(run_dir, flip_axes="x", accept_intensities=accept).network
        assert model.segment == (str(run_dir), config.InferenceSettings(flip_axes="x"))
        assert model.accept_intensities is accept
    assert kits_tf.read_scan(data_dir / "case_00001").array.shape[1:] == (60, 60)
    with pytest.raises(InputError, match=f"{data_dir}: expected one scan, found 4"):
        kits_tf.read_scan(data_dir)


def test_the_reference_is_what_the_code_says() -> None:
    with loaded_script("docs/reference.py") as made:
        flags_page, api_reference, mark = made.flags_page(), made.api_reference(), made.MARK
        commands_page = made.commands_page()
    message = "make reference writes it anew"
    assert (ROOT / "docs/commands.md").read_text() == commands_page, message
    assert (ROOT / "docs/flags.md").read_text() == flags_page, message
    assert (ROOT / "docs/api.md").read_text().partition(mark)[2] == f"\n{api_reference}", message
    assert "### load_model\n\n`load_model(path='starter', accept_intensities=False, **inference)`" in api_reference
    assert "#### Model.segment" in api_reference and "`Volume(array, grid, stored, header=None)`" in api_reference


def test_all_python_in_documents_is_run_by_a_test() -> None:
    """README.md, serving.md: test_documents_run.py, the client of serving.md: serving/test_served.py; library.md: here;

    conversion.md: ct/test_layouts.py; extending.md: test_extending.py.
    """
    pages = [str(page.relative_to(ROOT)) for page in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"))]
    counts = {page: len(python_blocks(page)) for page in pages}
    run = {"README.md": 1, "docs/conversion.md": 1, "docs/extending.md": 9, "docs/library.md": 6, "docs/serving.md": 4}
    assert {page: count for page, count in counts.items() if count} == run
