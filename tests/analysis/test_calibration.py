import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from scipy.special import log_softmax, softmax

from kits_tf import export
from kits_tf.analysis.calibration import calibrate, fit_temperature, reliability
from kits_tf.base.errors import InputError
from kits_tf.config import InferenceSettings
from kits_tf.inference.building import build_segmenter
from kits_tf.training.run import CALIBRATION, Run, load_run


def drawn(temperature: float, count: int = 40_000) -> tuple[np.ndarray, np.ndarray]:
    """Returns logits, and labels drawn with the probabilities that they have at a temperature."""
    rng = np.random.default_rng(3)
    logits = rng.normal(0, 3, (count, 4)).astype(np.float32)
    shares = softmax(logits / temperature, axis=1).cumsum(axis=1)
    return logits, (rng.random((count, 1)) > shares).sum(axis=1).astype(np.uint8)


@pytest.fixture(scope="module")
def run(run_dir: Path) -> Run:
    """The run of all tests here, loaded once."""
    return load_run(run_dir)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_that_labels_were_drawn_at_is_found(temperature: float) -> None:
    logits, truth = drawn(temperature)
    calibration = fit_temperature(logits, truth, num_cases=7)
    assert calibration.temperature == pytest.approx(temperature, rel=0.03)
    assert (calibration.num_cases, calibration.num_voxels) == (7, 40_000)
    assert calibration.after.nll <= calibration.before.nll and calibration.after.ece < 0.01
    if temperature != 1:
        assert calibration.before.ece > 0.05


def test_reliability_by_hand() -> None:
    probabilities = np.array([[0.95, 0.05], [0.92, 0.08], [0.35, 0.65], [0.45, 0.55]])
    found = reliability(np.log(probabilities), np.array([0, 1, 1, 1], np.uint8))
    assert [bin_.share for bin_ in found.bins] == [0.25, 0.25, 0.5]
    np.testing.assert_allclose([bin_.confidence for bin_ in found.bins], [0.55, 0.65, 0.935])
    assert [bin_.accuracy for bin_ in found.bins] == [1.0, 1.0, 0.5]
    assert found.ece == pytest.approx(0.25 * 0.45 + 0.25 * 0.35 + 0.5 * 0.435)
    assert found.nll == pytest.approx(-np.log([0.95, 0.08, 0.65, 0.55]).mean())


def test_a_run_is_calibrated_on_its_validation_records_and_keeps_it(run: Run, run_dir: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(run_dir, tmp_path / "run")
    run = replace(run, settings=replace(run.settings, run_dir=str(copy)))
    calibration = calibrate(run, InferenceSettings())
    assert calibration.num_cases == 1 and calibration.num_voxels > 100
    assert calibration.after.nll < calibration.before.nll
    kept = load_run(copy)
    assert kept.temperature == calibration.temperature != 1.0
    # Masks stay; what changes is how sure the network is of them.
    scan = np.random.default_rng(1).integers(-200, 200, (10, 20, 20)).astype(np.int16)
    results = [
        build_segmenter([each], InferenceSettings()).model().segment(scan, 12 * np.eye(4)) for each in (run, kept)
    ]
    np.testing.assert_array_equal(results[0].labels, results[1].labels)
    assert (results[0].confidence != results[1].confidence).any()
    (copy / CALIBRATION).write_text('{"temperature": -1}')
    with pytest.raises(InputError, match="calibration.json: expected a temperature above 0, found -1"):
        load_run(copy)


def test_records_that_are_gone_are_named(run: Run, tmp_path: Path) -> None:
    gone = replace(run, settings=replace(run.settings, records_dir=str(tmp_path)))
    with pytest.raises(InputError, match="expected the records that .*run was trained on, found none"):
        calibrate(gone, InferenceSettings())


def test_the_card_and_the_graph_have_it(run_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    copy = shutil.copytree(run_dir, tmp_path / "run")
    flags = (copy / "train.flags").read_text().replace(str(run_dir), str(copy))
    (copy / "train.flags").write_text(flags)
    export.main(export.Export(run_dir=str(copy), export_dir=str(tmp_path / "kits")))
    temperature = json.loads((copy / CALIBRATION).read_text())["temperature"]
    assert f"temperature {temperature:.3f}: expected calibration error" in capsys.readouterr().out
    card = (tmp_path / "kits" / "1" / "assets.extra" / "model_card.md").read_text()
    assert f"divided by a temperature of {temperature:.3f}. It was fitted" in card and "Reliability after:" in card


def test_probabilities_are_those_of_divided_logits(run: Run) -> None:
    windows = np.random.default_rng(2).integers(-200, 300, (1, 8, 16, 16)).astype(np.int16)
    plain, cooled = (build_segmenter([replace(run, temperature=t)], InferenceSettings()) for t in (1.0, 0.1))
    logits = plain.network(windows).numpy()
    for segmenter, temperature in ((plain, 1.0), (cooled, 0.1)):
        found = segmenter.probabilities(tf.constant(windows)).numpy()
        np.testing.assert_allclose(found, np.exp(log_softmax(logits / temperature, axis=-1)), atol=1e-3)
