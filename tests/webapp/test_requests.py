"""What the page's server answers, asked without a browser."""

import gzip
import io
import json
import os
import re
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
import requests
from conftest import OF_PHANTOMS
from pydicom.uid import generate_uid
from series import write_series
from user import User

from kits_tf import app, measure, serve
from kits_tf.base.errors import InputError
from kits_tf.ct.mask_metadata import metadata_in


def read_mask(user, key: str) -> nib.Nifti1Image:
    """Returns the mask of a scan as it is downloaded."""
    return nib.Nifti1Image.from_bytes(gzip.decompress(user.get(f"api/scans/{key}/mask.nii.gz").content))


def test_a_scan_is_segmented_measured_and_taken_home(user, scan: Path, predicted: Path, tmp_path: Path) -> None:
    key = user.drop(scan)
    assert user.wait(key) == {
        "key": key,
        "name": "imaging",
        "state": "done",
        "message": "",
        "before": 0,
        "windows": user.state(key)["windows"],
        "choices": [],
        "is_series": False,
    }
    done, total = user.state(key)["windows"]
    assert done == total > 0
    mask = user.get(f"api/scans/{key}/mask.nii.gz")
    assert mask.content == predicted.read_bytes()
    assert mask.headers["content-disposition"] == "attachment; filename*=UTF-8''imaging.nii.gz"
    # What measure says of the same mask.
    measure.main(measure.Measure(output_dir=str(tmp_path), image=str(scan)), [str(predicted)])
    expected = next(iter(json.loads((tmp_path / "measurements.json").read_text()).values()))
    findings = user.get(f"api/scans/{key}").json()["findings"]
    for kind in ("kidneys", "lesions"):
        for found, known in zip(findings[kind], expected[kind], strict=True):
            assert {name: found[name] for name in known if name != "flags"} == {
                name: value for name, value in known.items() if name != "flags"
            }
            assert len(found["notes"]) == len(known["flags"])
    # A lesion's place is one of its voxels.
    labels = nib.load(predicted)
    for lesion in findings["lesions"]:
        voxel = np.rint(np.linalg.inv(labels.affine) @ [*lesion["place_mm"], 1])[:3].astype(int)
        assert findings["classes"][int(labels.dataobj[tuple(voxel)]) - 1]["name"] == lesion["kind"]
    assert findings["start_mm"] == findings["lesions"][0]["place_mm"]
    archive = zipfile.ZipFile(io.BytesIO(user.get(f"api/scans/{key}/measurements.zip").content))
    assert archive.namelist() == ["kidneys.csv", "lesions.csv", "measurements.json", "pairs.csv", "warnings.txt"]
    assert user.get(f"api/scans/{key}/measurements.pdf").content.startswith(b"%PDF")
    refused = user.get(f"api/scans/{key}/mask.dcm")
    assert refused.status_code == 404 and "expected a scan that came as DICOM" in refused.json()["error"]


def test_a_corrected_mask_is_kept_and_measured_anew(user, scan: Path, predicted: Path) -> None:
    key = user.drop(scan)
    user.wait(key)
    image = nib.load(predicted)
    labels = np.asarray(image.dataobj).copy()
    labels[:] = 0
    labels[2:5, 3:6, 4:8] = 1
    corrected = nib.Nifti1Image(labels, image.affine).to_bytes()
    findings = user.put(f"api/scans/{key}/mask", data=corrected).json()["findings"]
    voxel_ml = abs(np.linalg.det(image.affine[:3, :3])) / 1000
    assert findings["is_corrected"] and findings["lesions"] == [] and "tumor" not in findings["confidence"]
    np.testing.assert_allclose(findings["start_mm"], (image.affine @ [2, 4, 5.5, 1])[:3])
    assert findings["kidneys"][0]["volume_ml"] == pytest.approx(3 * 3 * 4 * voxel_ml, rel=1e-6)
    kept = read_mask(user, key)
    np.testing.assert_array_equal(np.asarray(kept.dataobj), labels)
    np.testing.assert_array_equal(kept.affine, image.affine)
    for bad in (nib.Nifti1Image(labels[1:], image.affine), nib.Nifti1Image(labels + np.uint8(9), image.affine)):
        refused = user.put(f"api/scans/{key}/mask", data=bad.to_bytes())
        assert refused.status_code == 400
        assert refused.json()["error"] == "expected a mask of this scan, with the labels that it has"
    assert user.put(f"api/scans/{key}/mask", data=b"no NIfTI").status_code == 400


def test_a_series_gives_a_dicom_seg(user, tmp_path: Path) -> None:
    folder = write_series(tmp_path / "series", [float(25 * i) for i in range(12)])
    key = user.drop(*sorted(folder.iterdir()), name="series")
    assert user.wait(key)["state"] == "done" and user.state(key)["is_series"]
    labels = read_mask(user, key)
    corrected = np.zeros(labels.shape, np.uint8)
    corrected[2:5, 1:4, 2:6] = 3
    content = nib.Nifti1Image(corrected, labels.affine).to_bytes()
    assert user.put(f"api/scans/{key}/mask", data=content).status_code == 200
    found = pydicom.dcmread(io.BytesIO(user.get(f"api/scans/{key}/mask.dcm").content))
    assert found.Modality == "SEG" and found.pixel_array.sum() == (corrected > 0).sum()


def test_of_several_series_the_user_chooses_one(user, tmp_path: Path) -> None:
    places = [float(25 * i) for i in range(12)]
    uids = [generate_uid(), generate_uid()]
    files: list[Path] = []
    for uid, words in zip(uids, ("arterial", "venous"), strict=True):
        folder = write_series(tmp_path / words, places, SeriesInstanceUID=uid, SeriesDescription=words)
        files += sorted(folder.iterdir())
    key = user.drop(*files, name="both")
    waiting = user.wait(key)
    assert waiting["state"] == "choosing"
    assert sorted(waiting["choices"]) == sorted([[uids[0], "arterial, 12 slices"], [uids[1], "venous, 12 slices"]])
    assert user.get(f"api/scans/{key}").status_code == 409
    assert user.post(f"api/scans/{key}/start", json={"series": uids[1]}).status_code == 200
    assert user.wait(key)["state"] == "done" and user.state(key)["is_series"]
    content = nib.Nifti1Image(np.full(read_mask(user, key).shape, 3, np.uint8), read_mask(user, key).affine).to_bytes()
    assert user.put(f"api/scans/{key}/mask", data=content).status_code == 200
    found = pydicom.dcmread(io.BytesIO(user.get(f"api/scans/{key}/mask.dcm").content))
    assert found.ReferencedSeriesSequence[0].SeriesInstanceUID == uids[1]


def warnings_of(user, key: str) -> tuple[str, ...]:
    """Returns the warnings in the header of a mask as it is downloaded."""
    return metadata_in(extension.get_content() for extension in read_mask(user, key).header.extensions).warnings


def test_intensities_are_refused_until_the_user_accepts_them(user, scan: Path, tmp_path: Path) -> None:
    image = nib.load(scan)
    lost = np.clip(np.asarray(image.dataobj) + 1024, 0, None).astype(np.int16)
    nib.save(nib.Nifti1Image(lost, image.affine), tmp_path / "lost.nii.gz")
    key = user.drop(tmp_path / "lost.nii.gz")
    refused = user.wait(key)
    assert refused["state"] == "refused"
    problem = refused["message"]
    assert problem.startswith("expected Hounsfield units, got air near ") and "--accept" not in problem
    assert user.get(f"api/scans/{key}").status_code == 409
    # To ask again is not to accept.
    assert user.post(f"api/scans/{key}/start", json={}).status_code == 200 and user.wait(key)["state"] == "refused"
    assert user.post(f"api/scans/{key}/start", json={"accept_intensities": "true"}).status_code == 200
    assert user.wait(key)["state"] == "done" and user.state(key)["message"] == ""
    assert user.get(f"api/scans/{key}").json()["findings"]["warnings"] == [problem, OF_PHANTOMS]
    assert warnings_of(user, key) == (problem, OF_PHANTOMS)
    archive = zipfile.ZipFile(io.BytesIO(user.get(f"api/scans/{key}/measurements.zip").content))
    assert archive.read("warnings.txt").decode() == f"{problem}\n{OF_PHANTOMS}\n"
    # A correction is of the same scan.
    labels = np.zeros(lost.shape, np.uint8)
    labels[2:5, 3:6, 4:8] = 1
    corrected = nib.Nifti1Image(labels, image.affine).to_bytes()
    assert user.put(f"api/scans/{key}/mask", data=corrected).json()["findings"]["warnings"] == [problem, OF_PHANTOMS]
    assert warnings_of(user, key) == (problem, OF_PHANTOMS)
    other = user.drop(scan)
    assert user.wait(other)["state"] == "done"
    assert user.get(f"api/scans/{other}").json()["findings"]["warnings"] == [OF_PHANTOMS]
    assert warnings_of(user, other) == (OF_PHANTOMS,)


def test_a_dicom_seg_keeps_the_warning(user, tmp_path: Path) -> None:
    places = [float(25 * i) for i in range(12)]
    key = user.drop(*sorted(write_series(tmp_path / "series", places, RescaleIntercept=9000).iterdir()), name="series")
    assert user.wait(key)["state"] == "refused"
    user.post(f"api/scans/{key}/start", json={"accept_intensities": "true"})
    assert user.wait(key)["state"] == "done"
    labels = read_mask(user, key)
    content = nib.Nifti1Image(np.full(labels.shape, 3, np.uint8), labels.affine).to_bytes()
    assert user.put(f"api/scans/{key}/mask", data=content).status_code == 200
    found = pydicom.dcmread(io.BytesIO(user.get(f"api/scans/{key}/mask.dcm").content))
    assert found.ImageComments == " ".join(warnings_of(user, key)) and "was an offset lost?" in found.ImageComments


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("scan.nii.gz", b"no gzip", "expected a whole NIfTI file"),
        ("scan.nii", b"", "expected a whole NIfTI file"),
        ("photo.jpg", b"\xff\xd8", "expected a CT series in DICOM files, found no DICOM"),
        ("scan.zip", b"PK", "scan"),
    ],
)
def test_files_that_are_no_scan_say_why(user, tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    key = user.drop(tmp_path / name)
    found = user.wait(key)
    assert found["state"] == "failed" and message in found["message"]
    assert "kits_tf-page" not in found["message"], "names of this machine's folders are not for users"


def test_two_users_do_not_see_each_others_scans(new_user, scan: Path) -> None:
    one, other = new_user(), new_user()
    key = one.drop(scan)
    one.wait(key)
    assert other.get("api/scans").json() == {"scans": []}
    for method, path in (
        ("GET", f"api/scans/{key}"),
        ("GET", f"api/scans/{key}/mask.nii.gz"),
        ("GET", f"api/scans/{key}/scan.nii.gz"),
        ("PUT", f"api/scans/{key}/mask"),
        ("PUT", f"api/scans/{key}/files/0"),
        ("POST", f"api/scans/{key}/start"),
        ("DELETE", f"api/scans/{key}"),
    ):
        assert other.request(method, path).status_code == 404, path
    assert one.state(key)["state"] == "done"


def test_a_scan_is_cancelled_and_removed(user, scan: Path) -> None:
    keys = [user.drop(scan) for _ in range(3)]
    for key in keys[1:]:
        assert user.delete(f"api/scans/{key}").status_code == 200
    assert [each["key"] for each in user.get("api/scans").json()["scans"]] == keys[:1]
    assert user.wait(keys[0])["state"] == "done"


def test_limits(user, scan: Path, tmp_path: Path) -> None:
    for _ in range(4):
        assert user.post("api/scans", json={"name": "a"}).status_code == 201
    refused = user.post("api/scans", json={"name": "a"})
    assert refused.status_code == 429 and refused.json() == {"error": "expected 4 scans at most; remove one first"}
    key = user.get("api/scans").json()["scans"][0]["key"]
    refused = user.put(f"api/scans/{key}/files/0", data=bytes(100_000_001), params={"name": "a.nii"})
    assert refused.status_code == 413 and "expected a scan of 100 MB at most" in refused.json()["error"]
    for body in (b"[]", b"no JSON", b'{"name": 3}', b"x" * 20_000):
        assert user.post("api/scans", data=body).status_code in (400, 413)


def test_only_this_page_and_this_machine_are_answered(url: str, user) -> None:
    assert user.get("", headers={"host": "evil.example:80"}).status_code == 403
    assert user.post("api/scans", json={"name": "a"}, headers={"origin": "http://evil.example"}).status_code == 403
    assert requests.get(f"{url}api/scans", timeout=10).status_code == 401
    found = user.get("")
    assert "default-src 'none'" in found.headers["content-security-policy"]
    assert found.headers["x-content-type-options"] == "nosniff"
    for name in ("../server.py", "__init__.py", "%2e%2e%2fserver.py", "nothing.js"):
        assert user.get(f"files/{name}").status_code == 404, name
    cookie = next(iter(user.cookies))
    assert cookie.has_nonstandard_attr("HttpOnly") and cookie.get_nonstandard_attr("SameSite") == "strict"


def test_a_token_is_required_where_there_is_one(fake_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret\n")
    with pytest.raises(InputError, match=r"--host=0.0.0.0: expected --page_token_file"):
        app.App(model=str(fake_dir), host="0.0.0.0")
    with pytest.raises(InputError, match=r"--host=0.0.0.0: expected --token_file"):
        serve.Serve(export_dir="models", host="0.0.0.0", page=True)
    serve.Serve(export_dir="models", host="0.0.0.0")
    with app.serve_page(app.App(model=str(fake_dir), page_port=0, page_token_file=str(tmp_path / "token"))) as url:
        user = requests.Session()
        assert "Sign in" in user.get(url).text and not user.cookies
        assert user.get(f"{url}api/scans").status_code == 401
        refused = user.post(f"{url}sign-in", json={"token": "guess"})
        assert refused.status_code == 401 and not user.cookies
        assert user.post(f"{url}sign-in", json={"token": "secret"}).status_code == 200
        assert user.get(f"{url}api/scans").json() == {"scans": []}
        assert "Drop a scan here" in user.get(url).text


def test_nothing_is_left_on_the_disk(fake_dir: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with app.serve_page(app.App(model=str(fake_dir), page_port=0)) as url:
        requests.get(url, timeout=10)
        assert len(list(tmp_path.glob("kits_tf-page-*/*"))) == 1
    assert list(tmp_path.iterdir()) == []


def test_the_command_starts_without_noise_and_leaves_nothing(fake_dir: Path, tmp_path: Path, scan: Path) -> None:
    command = [sys.executable, "-m", "kits_tf.app", f"--model={fake_dir}", "--page_port=0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | {"TMPDIR": str(tmp_path)}
    ) as process:
        assert process.stdout.readline() == "loading the model\n"
        url = re.match(r"open (http://127.0.0.1:\d+/) in a browser", process.stdout.readline())[1]
        user = User(url)
        assert user.wait(user.drop(scan))["state"] == "done"
        assert len(list(tmp_path.iterdir())) == 1
        process.send_signal(signal.SIGTERM)
        output, noise = process.communicate(timeout=60)
        assert (process.returncode, output, noise) == (0, "", "")
    assert list(tmp_path.iterdir()) == []
