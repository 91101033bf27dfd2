"""A cascade gives the same by run, export and evaluate, and labels nothing outside the box of its first stage."""

import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import tensorflow as tf
from kits_tf.serving.client.client import Client

from kits_tf import evaluate, predict
from kits_tf.base.errors import InputError
from kits_tf.config import InferenceSettings, Serve
from kits_tf.inference.building import segmenter_of
from kits_tf.inference.region_of_interest import on_grid
from kits_tf.serving import saved_model
from kits_tf.serving.server.server import Server
from kits_tf.training.run import load_run


@pytest.fixture(scope="module")
def by_run(run_dir: Path, data_dir: Path, cascade: InferenceSettings, tmp_path_factory) -> Path:
    """The mask of case 3, the run's test case, by predict."""
    root = tmp_path_factory.mktemp("masks")
    settings = predict.Predict(model=str(run_dir), output_dir=str(root), inference=cascade)
    predict.main(settings, [str(data_dir / "case_00003")])
    return root / "case_00003.nii.gz"


def labels_of(path: Path) -> np.ndarray:
    return np.asarray(nib.load(path).dataobj)


def test_predict_evaluate_and_the_exported_graph_give_the_same_mask(
    run_dir: Path, data_dir: Path, cascade_dir: Path, by_run: Path, cascade: InferenceSettings, tmp_path: Path
) -> None:
    expected = labels_of(by_run)
    assert expected.any()  # or the comparison would say nothing
    inputs = [str(data_dir / "case_00003")]
    predict.main(predict.Predict(model=str(cascade_dir), output_dir=str(tmp_path / "model")), inputs)
    np.testing.assert_array_equal(labels_of(tmp_path / "model" / "case_00003.nii.gz"), expected)
    copy = shutil.copytree(run_dir, tmp_path / "run")
    evaluate.main(evaluate.Evaluate(run_dir=str(copy), split="test", inference=cascade))
    np.testing.assert_array_equal(labels_of(copy / "evaluation/test/masks/case_00003.nii.gz"), expected)
    summary = json.loads((copy / "evaluation/test/summary.json").read_text())
    assert summary["inference"] == f"--coarse_model={run_dir.name} --coarse_margin_mm=0.0"


def test_nothing_is_labeled_outside_the_box_of_the_first_stage(
    run_dir: Path, data_dir: Path, by_run: Path, cascade: InferenceSettings
) -> None:
    scan = nib.load(data_dir / "case_00003" / "imaging.nii.gz")
    hu, spacing = tf.constant(np.asarray(scan.dataobj)), tf.constant(scan.header.get_zooms(), tf.float64)
    coarse = segmenter_of([load_run(run_dir)], cascade).coarse
    start, size = (part.numpy() for part in on_grid(coarse.box(hu, spacing), tf.shape(hu), (1, 1, 1)))
    assert (size < hu.shape).any()
    outside = np.ones(hu.shape, bool)
    reach = np.ceil(12 / np.array(spacing)).astype(int)  # a voxel of the training grid that the edge cuts
    outside[tuple(slice(max(a - r, 0), a + n + r) for a, n, r in zip(start, size, reach, strict=True))] = False
    # The window may be larger than the box: what it holds is looked at.
    assert outside.any() and not labels_of(by_run)[outside].any()


def test_the_export_tells_of_its_first_stage_and_not_where_it_lay(cascade_dir: Path, run_dir: Path) -> None:
    metadata = saved_model.load(cascade_dir / "1").metadata
    assert metadata.coarse.grid == metadata.grid and metadata.coarse.margin_mm == 0.0
    assert metadata.inference.coarse_model == ""
    card = (cascade_dir / "1" / "assets.extra" / "model_card.md").read_text()
    assert "a network on a grid of 12.0,10.0,10.0 mm finds the kidneys" in card
    assert not [
        path for path in cascade_dir.rglob("*") if path.is_file() and str(run_dir).encode() in path.read_bytes()
    ]


def test_a_server_does_both_stages_and_a_client_that_would_do_the_first_is_refused(
    cascade_dir: Path, by_run: Path, data_dir: Path
) -> None:
    server = Server(Serve(export_dir=str(cascade_dir), grpc_port=0, rest_port=0))
    server.start()
    try:
        with Client(server.grpc_address, model_name="kits") as client:
            scan = nib.load(data_dir / "case_00003" / "imaging.nii.gz")
            found = client.model.segment(np.asarray(scan.dataobj), scan.affine.astype(np.float32))
        np.testing.assert_array_equal(found["labels"], labels_of(by_run))
        with pytest.raises(InputError, match="expected --mode=volume, as its model is a cascade, got patches"):
            Client(server.grpc_address, model_name="kits", mode="patches")
    finally:
        server.stop()


def test_what_a_cascade_cannot_do_is_refused(run_dir: Path, cascade_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="an exported model has its inference built in"):
        saved_model.load_model(str(cascade_dir), InferenceSettings(coarse_model=str(run_dir)))
    with pytest.raises(InputError, match="nowhere: expected a run directory, found no such folder"):
        segmenter_of([load_run(run_dir)], InferenceSettings(coarse_model=str(tmp_path / "nowhere")))
    with pytest.raises(InputError, match="expected a run directory, found no train.flags in it"):
        segmenter_of([load_run(run_dir)], InferenceSettings(coarse_model=str(cascade_dir)))
