"""Exported = predict to the voxel, without kits_tf, and through the loader that TensorFlow Serving has."""

import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from kits_tf import client, config, predict
from kits_tf.ct.volume import read_image
from kits_tf.inference.segmenter import Segmenter
from kits_tf.serving import assets
from kits_tf.serving.remote_model import Client
from kits_tf.serving.saved_model import SavedModel
from kits_tf.serving.server.server import Server
from kits_tf.serving.versions import model_identity

# In a process without kits_tf: the model must bring all it needs.
FOREIGN = """
import sys, numpy as np, tensorflow as tf
model = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
for request, response in zip(sys.argv[2::2], sys.argv[3::2]):
    scan = np.load(request)
    found = model(hu=tf.constant(scan["hu"]), affine=tf.constant(scan["affine"]))
    np.savez(response, **{name: value.numpy() for name, value in found.items()})
foreign = ("kits_tf", "tfrecords_tools", "nibabel")
assert not [name for name in sys.modules if name.startswith(foreign)]
"""
OUTPUTS = {"labels": "uint8", "volumes_ml": "float32", "confidence": "float32"}


def run(*command: object) -> None:
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def masks(segmenter: Segmenter, scans: list[Path]) -> dict[Path, np.ndarray]:
    """Labels of the scans by the run itself, in the order of their files."""
    model = segmenter.model()
    return {scan: model.segmentation(read_image(scan)).labels for scan in scans}


def inputs_of(path: Path) -> dict[str, np.ndarray]:
    scan = nib.load(path)
    return {"hu": np.asarray(scan.dataobj).astype(np.int16), "affine": scan.affine.astype(np.float32)}


def check(found: dict[str, np.ndarray], labels: np.ndarray, scan: Path) -> None:
    np.testing.assert_array_equal(found["labels"], labels)
    assert labels.any()  # or the comparison would say nothing
    voxel_ml = abs(np.linalg.det(nib.load(scan).affine[:3, :3])) / 1000
    counts = np.bincount(labels.ravel(), minlength=4)
    np.testing.assert_allclose(found["volumes_ml"], counts * voxel_ml, rtol=1e-4)
    assert ((found["confidence"] > 0.25) & (found["confidence"] <= 1) | (counts == 0)).all()


def test_predict_gives_the_same_by_run_and_export(
    model_dir: Path, masks: dict[Path, np.ndarray], tmp_path: Path
) -> None:
    predict.main(predict.Predict(model=str(model_dir), output_dir=str(tmp_path)), list(map(str, masks)))
    for scan, labels in masks.items():
        written = nib.load(tmp_path / scan.name)
        np.testing.assert_array_equal(np.asarray(written.dataobj), labels)
        assert (written.affine == nib.load(scan).affine).all()


def test_a_process_with_tensorflow_only_gets_the_same(
    model_dir: Path, masks: dict[Path, np.ndarray], tmp_path: Path
) -> None:
    (tmp_path / "foreign.py").write_text(FOREIGN)
    places = []
    for i, scan in enumerate(masks):
        np.savez(tmp_path / f"in{i}.npz", **inputs_of(scan))
        places += [tmp_path / f"in{i}.npz", tmp_path / f"out{i}.npz"]
    run(sys.executable, "-I", tmp_path / "foreign.py", model_dir / "1", *places)
    for i, (scan, labels) in enumerate(masks.items()):
        with np.load(tmp_path / f"out{i}.npz") as found:
            check(dict(found), labels, scan)


def signatures(directory: Path):
    parsed = saved_model_pb2.SavedModel()
    parsed.ParseFromString((directory / "saved_model.pb").read_bytes())
    return parsed.meta_graphs[0].signature_def


def by_c_api(
    directory: Path, signature: str, requests: list[dict], outputs: dict[str, str], tmp_path: Path
) -> list[dict]:
    """Returns the outputs of each request, all by one process."""
    names, places = signatures(directory)[signature], []
    fetched = {names.outputs[name].name: name for name in outputs}
    for i, inputs in enumerate(requests):
        feeds = {names.inputs[name].name: array for name, array in inputs.items()}
        np.savez(tmp_path / f"in{i}.npz", **feeds, outputs=list(fetched), dtypes=list(outputs.values()))
        places += [tmp_path / f"in{i}.npz", tmp_path / f"out{i}.npz"]
    library = Path(tf.sysconfig.get_lib()) / "libtensorflow_cc.so.2"
    run(sys.executable, "-I", Path(__file__).parent / "c_api.py", library, directory, *places)
    results = []
    for place in places[1::2]:
        with np.load(place) as found:
            results.append({name: found[tensor] for tensor, name in fetched.items()})
    return results


def test_the_loader_of_tensorflow_serving_gets_the_same(
    model_dir: Path, masks: dict[Path, np.ndarray], tmp_path: Path
) -> None:
    found = by_c_api(model_dir / "1", "serving_default", list(map(inputs_of, masks)), OUTPUTS, tmp_path)
    for each, (scan, labels) in zip(found, masks.items(), strict=True):
        check(each, labels, scan)


def test_the_loader_restores_both_stages_of_a_cascade(
    cascade_dir: Path, cascade_segmenter: Segmenter, scans: list[Path], tmp_path: Path
) -> None:
    expected = cascade_segmenter.model().segment(**inputs_of(scans[0]))
    (found,) = by_c_api(cascade_dir / "1", "serving_default", [inputs_of(scans[0])], OUTPUTS, tmp_path)
    assert expected.labels.any()
    np.testing.assert_array_equal(found["labels"], expected.labels)


def test_the_loader_refuses_as_the_graph_says(model_dir: Path, tmp_path: Path) -> None:
    inputs = {"hu": np.zeros((3, 3, 3), np.int16), "affine": np.full((4, 4), np.nan, np.float32)}
    # 3: INVALID_ARGUMENT
    with pytest.raises(AssertionError, match=r"status 3: .*assertion failed: \[affine: expected finite numbers, got\]"):
        by_c_api(model_dir / "1", "serving_default", [inputs], OUTPUTS, tmp_path)


def test_probabilities_are_the_same_by_every_loader_and_for_any_number_of_windows(
    model_dir: Path, saved: SavedModel, segmenter: Segmenter, tmp_path: Path
) -> None:
    hu = np.random.default_rng(1).integers(-200, 300, (3, 8, 16, 16)).astype(np.int16)
    expected = saved.signatures["probabilities"](hu=tf.constant(hu))["probabilities"].numpy()
    for i in range(3):
        window = tf.constant(hu[i : i + 1])
        alone = saved.signatures["probabilities"](hu=window)["probabilities"][0]
        np.testing.assert_array_equal(alone, expected[i])
        # Operation by operation the last bits are others than in a graph.
        np.testing.assert_allclose(segmenter.probabilities(window)[0], expected[i], atol=1e-3)
    (found,) = by_c_api(model_dir / "1", "probabilities", [{"hu": hu}], {"probabilities": "float16"}, tmp_path)
    np.testing.assert_array_equal(found["probabilities"], expected)
    np.testing.assert_allclose(expected.sum(axis=-1, dtype=np.float32), 1, atol=2e-3)
    with pytest.raises(AssertionError, match="status 3: .*hu: expected 1 to 64 windows of 8 x 16 x 16, got shape"):
        by_c_api(model_dir / "1", "probabilities", [{"hu": hu[:, :4]}], {"probabilities": "float16"}, tmp_path)
    with pytest.raises(tf.errors.InvalidArgumentError, match="hu: expected 1 to 64 windows of 8 x 16 x 16, got shape"):
        saved.signatures["probabilities"](hu=tf.zeros([65, 8, 16, 16], tf.int16))


def test_warm_up_requests_are_those_that_the_server_can_read(model_dir: Path, saved: SavedModel) -> None:
    """With TensorFlow Serving's own messages and TensorFlow's own reader."""
    from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

    path = model_dir / "1" / "assets.extra" / assets.WARM_UP_NAME
    names = []
    for record in tf.data.TFRecordDataset(str(path)):
        request = PredictionLog.FromString(record.numpy()).predict_log.request
        inputs = {name: tf.constant(tf.make_ndarray(tensor)) for name, tensor in request.inputs.items()}
        names.append(request.model_spec.signature_name)
        found = saved.signatures[names[-1]](**inputs)
        if names[-1] in ("serving_default", "unchecked"):
            assert found["labels"].shape == (8, 16, 16)  # one window, on the training grid
    assert names == ["serving_default", "unchecked", "probabilities", "metadata"]


def test_an_export_is_one_model_for_client_and_predict(
    server: Server, scans: list[Path], tmp_path: Path, caplog: pytest.LogCaptureFixture, model_dir: Path
) -> None:
    caplog.set_level("INFO", "kits_tf")
    with Client(server.grpc_address) as remote:
        metadata, identity = remote.metadata.to_json(), remote.model.identity
    assert identity == f"kits/1 sha256:{sha256(metadata.encode()).hexdigest()[:16]}"
    assert identity == model_identity(str(model_dir), config.InferenceSettings())
    assert (model_dir / "1" / "assets.extra" / "metadata.json").read_text() == metadata
    settings = client.Client(output_dir=str(tmp_path), connection=config.ConnectionSettings(server=server.grpc_address))
    client.main(settings, [str(scans[0])])
    predict.main(predict.Predict(model=str(model_dir), output_dir=str(tmp_path)), [str(scans[0])])
    assert f"skipped 1 scan, already segmented by this model in {tmp_path}: " in caplog.text
