"""Segmenters of several runs and of two stages, against that of one run."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from kits_tf.config import InferenceSettings
from kits_tf.ct.volume import Volume, read_image
from kits_tf.inference.building import build_segmenter
from kits_tf.inference.segmenter import Segmenter
from kits_tf.training.run import load_run, load_runs


@pytest.fixture(scope="module")
def image(data_dir: Path) -> Volume:
    return read_image(data_dir / "case_00000" / "imaging.nii.gz")


def test_a_coarse_model_finds_the_box_of_a_finer_one(image: Volume, run_dir: Path, segmenter: Segmenter) -> None:
    cascade = InferenceSettings(coarse_model=str(run_dir), coarse_margin_mm=0.0)
    fine = build_segmenter([load_run(run_dir)], cascade).model().labels(image)
    coarse = segmenter.model().labels(image)
    assert fine.any() and coarse.any()
    # Nothing is labeled beyond half a voxel of the training grid (12, 10, 10 mm) around what the coarse one labels.
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        inner, outer = (np.flatnonzero(mask.any(axis=others)) for mask in (fine, coarse))
        margin = 12 / image.grid.spacing_mm[axis] + 1
        assert outer[0] - margin <= inner[0] and inner[-1] <= outer[-1] + margin


def test_several_runs_are_averaged(image: Volume, run_dir: Path, segmenter: Segmenter, tmp_path: Path) -> None:
    """The mean of a network and its copy is what one gives."""
    folds = tmp_path / "folds"
    for name in ("fold0", "fold1"):
        shutil.copytree(run_dir, folds / name)
    averaged = build_segmenter(load_runs(str(folds)), InferenceSettings())
    assert averaged.network.num_passes == 2
    np.testing.assert_array_equal(averaged.model().labels(image), segmenter.model().labels(image))
    listed = build_segmenter(load_runs(f"{run_dir},{folds}/fold0"), InferenceSettings())
    windows = np.random.default_rng(0).integers(-200, 300, (1, 8, 16, 16)).astype(np.int16)
    assert listed.network.num_passes == 2
    np.testing.assert_array_equal(listed.network(windows), averaged.network(windows))
