"""A cascade gives the same by run, export and evaluate, and labels nothing outside the box of its first stage."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import tensorflow as tf

from kits_tf import evaluate
from kits_tf.base.errors import InputError
from kits_tf.config import InferenceSettings, ServerSettings
from kits_tf.ct.volume import read_image
from kits_tf.inference.building import build_segmenter
from kits_tf.inference.region_of_interest import box_on_grid
from kits_tf.inference.segmenter import Segmenter
from kits_tf.serving import saved_model
from kits_tf.serving.models import open_model
from kits_tf.serving.remote_model import Client
from kits_tf.serving.server.server import Server
from kits_tf.training.run import load_run


class FirstStage:
    """A first stage that labels voxels of its own choice."""

    def __init__(self, segmenter: Segmenter, kidney_voxels: int, tumor_voxels: int) -> None:
        self.plan = segmenter.plan
        self.labels = np.repeat([1, 3], [kidney_voxels, tumor_voxels]).astype(np.uint8)

    def segment_oriented(self, hu: tf.Tensor, spacing_mm: tf.Tensor) -> dict[str, tf.Tensor]:
        rest = tf.zeros(tf.size(hu) - len(self.labels), tf.uint8)
        return {"labels": tf.reshape(tf.concat([self.labels, rest], 0), tf.shape(hu))}


@pytest.fixture(scope="module")
def by_run(cascade_segmenter: Segmenter, data_dir: Path) -> np.ndarray:
    """The mask of case 3, the run's test case, in the order of its file."""
    image = read_image(data_dir / "case_00003" / "imaging.nii.gz")
    return cascade_segmenter.model().segmentation(image).labels


@pytest.fixture(scope="module")
def saved_cascade(cascade_dir: Path) -> saved_model.SavedModel:
    """The export, loaded once."""
    return saved_model.load(cascade_dir / "1")


def labels_of(path: Path) -> np.ndarray:
    return np.asarray(nib.load(path).dataobj)


@pytest.mark.slow
def test_evaluate_and_the_exported_graph_give_the_same_mask(
    run_dir: Path,
    data_dir: Path,
    saved_cascade: saved_model.SavedModel,
    by_run: np.ndarray,
    cascade: InferenceSettings,
    tmp_path: Path,
) -> None:
    assert by_run.any()  # or the comparison would say nothing
    scan = nib.load(data_dir / "case_00003" / "imaging.nii.gz")
    exported = saved_cascade.segment(np.asarray(scan.dataobj), scan.affine.astype(np.float32))
    np.testing.assert_array_equal(exported.labels, by_run)
    copy = shutil.copytree(run_dir, tmp_path / "run")
    evaluate.main(evaluate.Evaluate(run_dir=str(copy), split="test", inference=cascade))
    np.testing.assert_array_equal(labels_of(copy / "evaluation/test/masks/case_00003.nii.gz"), by_run)
    summary = json.loads((copy / "evaluation/test/summary.json").read_text())
    assert summary["inference"] == f"--coarse_model={run_dir.name} --coarse_margin_mm=0.0"


def test_nothing_is_labeled_outside_the_box_of_the_first_stage(
    data_dir: Path, by_run: np.ndarray, cascade_segmenter: Segmenter
) -> None:
    scan = nib.load(data_dir / "case_00003" / "imaging.nii.gz")
    hu, spacing = tf.constant(np.asarray(scan.dataobj)), tf.constant(scan.header.get_zooms(), tf.float64)
    box = cascade_segmenter.coarse.box(hu, spacing)
    start, size = (part.numpy() for part in box_on_grid(box, tf.shape(hu), (1, 1, 1)))
    assert (size < hu.shape).any()
    outside = np.ones(hu.shape, bool)
    reach = np.ceil(12 / np.array(spacing)).astype(int)  # a voxel of the training grid that the edge cuts
    outside[tuple(slice(max(a - r, 0), a + n + r) for a, n, r in zip(start, size, reach, strict=True))] = False
    # The window may be larger than the box: what it holds may be labeled.
    assert outside.any() and not by_run[outside].any()


# Voxels of 8 x 6 x 6 mm: 4.9 or 5.2 mL of kidney, 49.8, 42.6 and 50.1 mL in all.
@pytest.mark.parametrize(("kidney", "tumor", "is_any"), [(17, 156, False), (18, 130, True), (17, 157, True)])
def test_without_a_kidney_in_the_first_stage_the_second_labels_nothing(
    data_dir: Path, cascade_segmenter: Segmenter, kidney: int, tumor: int, is_any: bool
) -> None:
    scan = nib.load(data_dir / "case_00003" / "imaging.nii.gz")
    first = FirstStage(cascade_segmenter, kidney, tumor)
    coarse = replace(cascade_segmenter.coarse, segmenter=first, margin_mm=1000.0)
    cascade = Segmenter(cascade_segmenter.network, cascade_segmenter.plan, coarse=coarse)
    result = cascade.segment(np.asarray(scan.dataobj), scan.affine.astype(np.float32))
    assert result["labels"].numpy().any() == (result["volumes_ml"].numpy()[1:] > 0).any() == is_any
    assert (result["confidence"].numpy()[1:] > 0).any() == is_any and result["confidence"][0] > 0


def test_the_export_describes_its_first_stage_and_not_where_it_lay(
    cascade_dir: Path, saved_cascade: saved_model.SavedModel, run_dir: Path
) -> None:
    metadata = saved_cascade.metadata
    assert metadata.coarse.grid == metadata.grid and metadata.coarse.margin_mm == 0.0
    assert metadata.inference.coarse_model == ""
    card = (cascade_dir / "1" / "assets.extra" / "model_card.md").read_text()
    assert "a network on a grid of 12.0,10.0,10.0 mm finds the kidneys" in card
    assert not [
        path for path in cascade_dir.rglob("*") if path.is_file() and str(run_dir).encode() in path.read_bytes()
    ]


def test_a_server_does_both_stages(cascade_dir: Path, by_run: np.ndarray, data_dir: Path) -> None:
    server = Server(ServerSettings(export_dir=str(cascade_dir), grpc_port=0, rest_port=0))
    server.start()
    try:
        with Client(server.grpc_address) as client:
            result = client.segment(read_image(data_dir / "case_00003" / "imaging.nii.gz"))
        np.testing.assert_array_equal(result.labels, by_run)
    finally:
        server.stop()


def test_what_a_cascade_cannot_do_is_refused(run_dir: Path, cascade_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="an exported model has its inference built in"):
        open_model(str(cascade_dir), InferenceSettings(coarse_model=str(run_dir)))
    with pytest.raises(InputError, match="nowhere: expected a run directory, found no such folder"):
        build_segmenter([load_run(run_dir)], InferenceSettings(coarse_model=str(tmp_path / "nowhere")))
    with pytest.raises(InputError, match="expected a run directory, found an exported model$"):
        build_segmenter([load_run(run_dir)], InferenceSettings(coarse_model=str(cascade_dir)))
