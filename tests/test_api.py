"""The library: its names, its example, its reference."""

import re
from pathlib import Path

import nbformat
import nibabel as nib
import numpy as np
import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode
from scripts import ROOT, loaded_script

import kits_tf
from kits_tf import config, predict
from kits_tf.base.errors import InputError
from kits_tf.ct.labels import LATERALITY
from kits_tf.serving import models

# What a fresh process has imported at each step; runs as the notebook's first cell, since it has a process of its own.
IMPORTS = """
import sys, kits_tf
print(sorted({'tensorflow', 'keras', 'scipy', 'nibabel', 'absl'} & set(sys.modules)))
[getattr(kits_tf, name) for name in kits_tf._HOMES if name not in kits_tf._ON_TENSORFLOW]
print('tensorflow' in sys.modules)
kits_tf.case_figure
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


def test_the_example_does_what_predict_and_measure_do(
    data_dir: Path, model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    scan = data_dir / "case_00000/imaging.nii.gz"
    (tmp_path / "models").mkdir()
    (tmp_path / "models/kits").symlink_to(model_dir)
    (tmp_path / "scan.nii.gz").symlink_to(scan)
    monkeypatch.chdir(tmp_path)
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/api.md").read_text(), re.DOTALL)
    example = example.replace("load_model()", 'load_model("models/kits")')  # a phantom is nothing to the starter
    names: dict = {}
    exec(example, names)
    said = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in said] == ["right", "left"] and all("mL of tumor" in line for line in said)

    predict.main(predict.Predict(model=str(model_dir), output_dir="masks"), ["scan.nii.gz"])
    mask, expected = nib.load("mask.nii.gz"), nib.load("masks/scan.nii.gz")
    np.testing.assert_array_equal(np.asarray(mask.dataobj), np.asarray(expected.dataobj))
    np.testing.assert_array_equal(mask.affine, nib.load(scan).affine)
    voxels = (names["labels"] == 1).sum() * np.prod(names["scan"].grid.spacing_mm) / 1000
    right = names["measurements"].kidneys[0]
    assert right.volume_ml is None or right.volume_ml == pytest.approx(voxels)


def test_the_notebook_runs(notebook: NotebookNode) -> None:
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    said = "".join(output.get("text", "") for output in outputs)
    assert "right" in said and "left" in said and "'kidney_dice': 0." in said and "(26, 60, 60) voxels" in said
    assert outputs[-1].data["image/png"] and all(output.output_type != "error" for output in outputs)


def test_settings_of_inference_are_taken_and_others_refused(
    run_dir: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match=r"expected settings of overlap, .*, got overlaps"):
        kits_tf.load_model(run_dir, overlaps=0.5)
    with pytest.raises(InputError, match="--overlap: expected less than 1"):
        kits_tf.load_model(run_dir, overlap=1.5)
    monkeypatch.setattr(models, "open_model", lambda *given: kits_tf.Model(given, LATERALITY))
    for accept in (False, True):
        model = kits_tf.load_model(run_dir, flip_axes="x", accept_intensities=accept)
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
    assert "#### Model.labels" in api_reference and "`Volume(array, grid, stored, header=None)`" in api_reference
