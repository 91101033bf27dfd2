"""What any server of this API must do; with KITS_TF_SERVING_ADDRESS the same is asked of a real TensorFlow Serving."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import grpc
import nibabel as nib
import numpy as np
import pytest
import requests
from conftest import OF_PHANTOMS, as_codes
from scripts import ROOT, python_blocks
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from kits_tf import client, config
from kits_tf.base.errors import InputError, UnavailableError
from kits_tf.ct.hounsfield import IntensityError
from kits_tf.ct.volume import Volume, read_image, read_labels
from kits_tf.serving.remote_model import Client

# A third party's client, in a process of its own: its messages and TensorFlow's cannot be in one.
OVMSCLIENT = """
import sys, numpy as np
from ovmsclient import make_grpc_client
client = make_grpc_client(sys.argv[1])
scan = np.load(sys.argv[2])
status, metadata = client.get_model_status("kits", 1), client.get_model_metadata("kits", 1)
assert [version["state"] for version in status.values()].count("AVAILABLE") == 1, status
assert metadata["inputs"]["hu"]["dtype"] == "DT_INT16" and metadata["inputs"]["hu"]["shape"] == [-1, -1, -1], metadata
found = client.predict({"hu": scan["hu"], "affine": scan["affine"]}, "kits", 1)
np.savez(sys.argv[3], **found)
assert "tensorflow" not in sys.modules
"""


def predict_over_rest(served, signature: str, inputs: dict) -> requests.Response:
    tensors = {name: array.tolist() for name, array in inputs.items()}
    body = {"signature_name": signature, "inputs": tensors}
    # Not by requests' own JSON, which has no NaN.
    return requests.post(f"http://{served.rest_address}/v1/models/kits:predict", json.dumps(body), timeout=60)


RESULTS = ("labels", "volumes_ml", "confidence")


def test_volumes_of_all_orientations_are_as_in_process(served, scans: list[Path]) -> None:
    with Client(served.grpc_address) as client:
        assert client.metadata.classes == served.model.scheme.classes
        assert client.metadata.patch_size_zyx == (8, 16, 16)
        for scan in scans[:5]:
            image = read_image(scan)
            expected, got = served.model.segmentation(image), client.segment(image)
            assert got.probabilities is None and got.uncertainty is None
            for name in RESULTS:
                assert getattr(got, name).dtype == getattr(expected, name).dtype
                np.testing.assert_array_equal(getattr(got, name), getattr(expected, name))


def test_the_library_asks_a_server_as_the_document_says(
    served, scans: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "scan.nii.gz").symlink_to(scans[0])
    monkeypatch.chdir(tmp_path)
    _, example, *_ = python_blocks("docs/serving.md")
    names: dict = {}
    exec(example.replace("localhost:8500", served.grpc_address), names)
    image, mask = read_image(scans[0]), names["mask"]
    labels = served.model.labels(image)
    np.testing.assert_array_equal(mask.labels, labels)
    voxel_ml = float(np.prod(image.grid.spacing_mm)) / 1000
    counts = np.bincount(labels.ravel(), minlength=len(served.model.scheme.classes))
    expected = dict(zip(served.model.scheme.classes[1:], (counts[1:] * voxel_ml).tolist(), strict=True))
    assert mask.volumes_ml == pytest.approx(expected) and capsys.readouterr().out == f"{mask.volumes_ml}\n"
    assert mask.model.startswith("kits/") and mask.confidence.keys() == set(served.model.scheme.classes)
    with pytest.raises(UnavailableError, match="expected an open connection, it was closed before"):
        names["model"].segment(image)


def test_a_volume_over_rest_is_as_in_process(served, scans: list[Path]) -> None:
    image = read_image(scans[0])
    inputs = {"hu": image.as_stored(), "affine": image.stored.affine.astype(np.float32)}
    got = predict_over_rest(served, "serving_default", inputs).json()["outputs"]
    expected = served.model.segmentation(image)
    assert set(got) == set(RESULTS)
    for name in RESULTS:
        array = getattr(expected, name)
        np.testing.assert_array_equal(np.array(got[name], array.dtype), array)


def test_a_foreign_client_gets_the_mask(served, scans: list[Path], tmp_path: Path) -> None:
    scan = nib.load(scans[3])
    hu = np.ascontiguousarray(np.asarray(scan.dataobj).astype(np.int16))
    np.savez(tmp_path / "in.npz", hu=hu, affine=scan.affine.astype(np.float32))
    arguments = [served.grpc_address, str(tmp_path / "in.npz"), str(tmp_path / "out.npz")]
    done = subprocess.run([sys.executable, "-c", OVMSCLIENT, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "out.npz") as found:
        expected = served.model.segmentation(read_image(scans[3]))
        for name in RESULTS:
            np.testing.assert_array_equal(found[name], getattr(expected, name))


def test_tensorflow_servings_own_stubs(served) -> None:
    with grpc.insecure_channel(served.grpc_address) as channel:
        models = model_service_pb2_grpc.ModelServiceStub(channel)
        predictions = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = "kits"
        (status,) = models.GetModelStatus(request).model_version_status
        assert (status.version, status.state) == (1, get_model_status_pb2.ModelVersionStatus.AVAILABLE)
        asked = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        asked.model_spec.name = "kits"
        found = get_model_metadata_pb2.SignatureDefMap()
        predictions.GetModelMetadata(asked).metadata["signature_def"].Unpack(found)
        assert {"serving_default", "probabilities", "metadata"} <= set(found.signature_def)
        outputs = found.signature_def["serving_default"].outputs
        assert {name: info.dtype for name, info in outputs.items()} == {"labels": 4, "volumes_ml": 1, "confidence": 1}
        metadata = predict_pb2.PredictRequest(output_filter=["json"])
        metadata.model_spec.name, metadata.model_spec.signature_name = "kits", "metadata"
        assert predictions.Predict(metadata, timeout=20).outputs["json"].string_val[0].startswith(b"{")


def documented(served) -> str:
    """Returns what docs/serving.md says of other clients, with the addresses of a server."""
    part = (ROOT / "docs" / "serving.md").read_text().partition("## Clients of your own")[2].partition("\n## ")[0]
    return part.replace("localhost:8501", served.rest_address).replace("localhost:8500", served.grpc_address)


def typed(folder: Path, *command: str) -> str:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl here")
def test_curl_gets_the_mask_as_documented(served, scans: list[Path], tmp_path: Path) -> None:
    shutil.copyfile(scans[0], tmp_path / "scan.nii.gz")
    status, metadata, mask = re.findall(r"^    (curl .*)$", documented(served), re.MULTILINE)
    assert json.loads(typed(tmp_path, *shlex.split(status)))["model_version_status"][0]["state"] == "AVAILABLE"
    assert json.loads(typed(tmp_path, *shlex.split(metadata)))["outputs"].startswith('{"classes": ')
    to_json, _ = re.findall(r"```python\n(.*?)```", documented(served), re.DOTALL)
    typed(tmp_path, sys.executable, "-c", to_json)
    typed(tmp_path, *shlex.split(mask))
    outputs = json.loads((tmp_path / "mask.json").read_text())["outputs"]
    expected = served.model.segmentation(read_image(scans[0])).labels
    np.testing.assert_array_equal(np.array(outputs["labels"], np.uint8), expected)


def test_tensorflow_servings_messages_get_the_mask_as_documented(served, scans: list[Path], tmp_path: Path) -> None:
    shutil.copyfile(scans[0], tmp_path / "scan.nii.gz")
    _, over_grpc = re.findall(r"```python\n(.*?)```", documented(served), re.DOTALL)
    typed(tmp_path, sys.executable, "-c", over_grpc)
    expected = served.model.segmentation(read_image(scans[0])).labels
    np.testing.assert_array_equal(np.asarray(nib.load(tmp_path / "mask.nii.gz").dataobj), expected)


def test_rest_lists_versions_and_signatures(served) -> None:
    root = f"http://{served.rest_address}/v1/models/kits"
    (status,) = requests.get(root, timeout=20).json()["model_version_status"]
    assert status == {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    assert requests.get(f"{root}/versions/1", timeout=20).json()["model_version_status"] == [status]
    found = requests.get(f"{root}/metadata", timeout=20).json()["metadata"]["signature_def"]["signature_def"]
    hu = found["serving_default"]["inputs"]["hu"]
    assert hu["dtype"] == "DT_INT16" and [dim["size"] for dim in hu["tensor_shape"]["dim"]] == ["-1"] * 3
    for path in ("/v1/models/hearts", "/v1/models/kits/versions/7", "/v1/models/kits/versions/7/metadata"):
        assert requests.get(f"http://{served.rest_address}{path}", timeout=20).status_code == 404
    # One output comes without its name.
    assert predict_over_rest(served, "metadata", {}).json()["outputs"].startswith('{"classes": ')


IMPOSSIBLE = [
    ({"hu": np.zeros((0, 3, 3), np.int16)}, "hu: expected at least one voxel"),
    ({"affine": np.full((4, 4), np.nan, np.float32)}, "affine: expected finite numbers"),
    ({"affine": np.zeros((4, 4), np.float32)}, "affine: expected three independent axes of a length above 0 mm"),
    ({"affine": 1e4 * np.eye(4, dtype=np.float32)}, "affine: expected a scan of 3000 mm at most along each axis"),
]


@pytest.mark.parametrize(("change", "message"), IMPOSSIBLE)
def test_impossible_scans_are_refused_in_a_sentence(change: dict, message: str, served) -> None:
    inputs = {"hu": np.zeros((3, 3, 3), np.int16), "affine": np.eye(4, dtype=np.float32)} | change
    with Client(served.grpc_address) as client:
        with pytest.raises(InputError, match=f"refused by .*: {message}") as refused:
            client._connection.predict("serving_default", inputs)
        assert "\n" not in str(refused.value) and "node" not in str(refused.value)
    if "hu" in change:
        message = "hu: expected shape"  # JSON has no shape of nothing
    response = predict_over_rest(served, "serving_default", inputs)
    assert response.status_code == 400 and message in response.json()["error"]


def test_what_is_no_ct_is_refused_by_the_server_and_before_it(served, scans: list[Path]) -> None:
    scan = nib.load(scans[0])
    hu, affine = np.asarray(scan.dataobj), scan.affine.astype(np.float32)
    for values, reason in (
        (hu + np.int16(1024), "was an offset of 1024 or 1000 lost, or is it inverted, or no CT?"),
        (np.clip(hu, -160, 240), "was a window applied?"),
    ):
        inputs = {"hu": np.ascontiguousarray(values), "affine": affine}
        with Client(served.grpc_address) as client:
            # A client of others has the server's word.
            with pytest.raises(InputError) as refused:
                client._connection.predict("serving_default", inputs)
            assert str(refused.value).endswith(
                f": hu: expected Hounsfield units: {reason} The signature unchecked takes any values. "
                f"Values from and to [{values.min()} {values.max()}]"
            )
            taken = client._connection.predict("unchecked", inputs)
            # Ours does not send it.
            with pytest.raises(IntensityError, match=re.escape(reason)):
                client.segment(Volume.from_stored(values, affine))
        with Client(served.grpc_address, accept_intensities=True) as client:
            found = client.segment(Volume.from_stored(values, affine))
        np.testing.assert_array_equal(found.labels, taken["labels"])
        assert reason in found.warnings[0]


def test_what_is_no_ct_is_refused_over_rest_too(served) -> None:
    inputs = {"hu": np.arange(2, dtype=np.int16).reshape(1, 1, 2), "affine": np.eye(4, dtype=np.float32)}
    response = predict_over_rest(served, "serving_default", inputs)
    assert response.status_code == 400 and "normalized already, or a mask?" in response.json()["error"]
    assert predict_over_rest(served, "unchecked", inputs).status_code == 200


def test_what_is_not_served_is_unavailable(served, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "kits_tf")
    for other in ({"model_name": "hearts"}, {"model_version": 99}):
        with pytest.raises(UnavailableError, match=r"(hearts|99).* \(--model_name, --model_version and --model_label"):
            Client(served.grpc_address, **other)
    with pytest.raises(UnavailableError, match="localhost:1: expected a server, tried 2 times: "):
        Client("localhost:1", attempts=2)
    assert caplog.messages == ["localhost:1 does not answer yet; it is tried 2 times"]


def test_a_port_that_speaks_another_protocol_is_named(served) -> None:
    """At once: another attempt would hear the same."""
    for server, options, message in (
        (
            served.rest_address,
            {},
            "expected gRPC, that port speaks HTTP, as REST does: gRPC has another port, usually 8500",
        ),
        (served.grpc_address, {"tls": True}, "expected TLS, that port speaks without: leave out --tls"),
    ):
        with pytest.raises(UnavailableError) as refused:
            Client(server, attempts=99, **options)
        assert str(refused.value) == f"{server}: {message}"


def test_a_client_takes_settings_or_their_fields(served) -> None:
    settings = config.ConnectionSettings(server=served.grpc_address, deadline_s=7.0)
    for made in (Client(settings), Client(server=served.grpc_address, deadline_s=7.0)):
        with made:
            assert made.settings == settings
    with pytest.raises(InputError, match="server: expected HOST:PORT, got none"):
        Client("")
    with pytest.raises(InputError, match=r"--server: expected HOST:PORT, or \[ADDRESS\]:PORT of IPv6, got here"):
        Client("here")
    with pytest.raises(InputError, match=r"got http://here:8500: leave out http://$"):
        Client("http://here:8500")


def test_answers_that_are_no_mask_of_the_scan_are_refused(served, scans: list[Path], monkeypatch) -> None:
    image = read_image(scans[0])
    shape, zeros = image.stored.shape, np.zeros(4, np.float32)
    whole = {"volumes_ml": zeros, "confidence": zeros}
    with Client(served.grpc_address) as found:
        for answer, message in (
            ({"volumes_ml": zeros}, r"expected labels uint8 \(27, 60, 60\), volumes_ml and confidence, got {'vol"),
            (whole | {"labels": np.zeros((2, 2, 2), np.uint8)}, "expected labels uint8"),
            (whole | {"labels": np.zeros(shape, np.int32)}, "expected labels uint8"),
            (whole | {"labels": np.full(shape, 9, np.uint8)}, r"expected labels 0..3, found \[9\]"),
        ):
            monkeypatch.setattr(found._connection, "predict", lambda *_, answer=answer: answer)
            with pytest.raises(InputError, match=message):
                found.segment(image)


def test_the_command_writes_what_predict_writes(
    served, scans: list[Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "kits_tf")
    (tmp_path / "bad.nii.gz").write_bytes(b"no scan")
    turned = as_codes(nib.load(scans[0]), "SAR")
    nib.save(turned, tmp_path / "turned.nii.gz")
    settings = client.Client(
        output_dir=str(tmp_path / "masks"), connection=config.ConnectionSettings(server=served.grpc_address)
    )
    inputs = [str(scans[0]), str(tmp_path / "turned.nii.gz"), str(tmp_path / "bad.nii.gz")]
    with pytest.raises(InputError, match="1 of 3 scans failed, the first: .*bad.nii.gz: expected a whole NIfTI file"):
        client.main(settings, inputs)
    for scan in inputs[:2]:
        mask = nib.load(tmp_path / "masks" / Path(scan).name)
        np.testing.assert_array_equal(np.asarray(mask.dataobj), served.model.segmentation(read_image(scan)).labels)
        assert (mask.affine == nib.load(scan).affine).all() and mask.get_data_dtype() == np.uint8
    lost = str(tmp_path / "lost.nii.gz")
    nib.save(nib.Nifti1Image(np.asarray(turned.dataobj) + np.int16(1024), turned.affine), lost)
    with pytest.raises(InputError, match="was an offset of 1024 or 1000 lost"):
        client.main(settings, [lost])
    client.main(replace(settings, scans=config.ScanSettings(accept_intensities=True)), [lost])
    warning, note = read_labels(tmp_path / "masks" / "lost.nii.gz").metadata.warnings
    assert "was an offset of 1024 or 1000 lost" in warning and note == OF_PHANTOMS
    client.main(settings, inputs[:2])
    assert f"skipped 2 scans, already segmented by this model in {settings.output_dir}: " in caplog.text
