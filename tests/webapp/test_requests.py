"""What the page's server answers, asked without a browser."""

import csv
import gzip
import io
import json
import os
import re
import signal
import subprocess
import sys
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

from kits_tf import app, config, measure, serve
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
        "details": f"{' x '.join(map(str, nib.load(scan).shape))} voxels of 8 x 6 x 6 mm",
        "state": "done",
        "message": "",
        "before": 0,
        "windows": user.state(key)["windows"],
        "choices": [],
        "is_series": False,
        "segmentation_problem": "",
        "is_corrected": False,
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
    # The same numbers, with the digits of their units.
    for kind in ("kidneys", "lesions"):
        table = user.get(f"api/scans/{key}/{kind}.csv")
        assert table.headers["content-disposition"] == f"attachment; filename*=UTF-8''imaging_{kind}.csv"
        rows = list(csv.DictReader(io.StringIO(table.text)))
        assert [(row["is_corrected"], row["warnings"]) for row in rows] == [("False", OF_PHANTOMS)] * len(
            expected[kind]
        )
        for row, known in zip(rows, expected[kind], strict=True):
            for name, digits in (("volume_ml", 2), ("mean_hu", 1)):
                assert row[name] == ("" if known[name] is None else str(round(known[name], digits))), name
    assert user.get(f"api/scans/{key}/measurements.pdf").content.startswith(b"%PDF")
    refused = user.get(f"api/scans/{key}/mask.dcm")
    assert refused.status_code == 404 and "expected a scan that came as DICOM" in refused.json()["error"]


def test_a_corrected_mask_is_kept_and_measured_anew(user, scan: Path, predicted: Path, tmp_path: Path) -> None:
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
    # What measure says of the mask as it was downloaded.
    mask = tmp_path / "imaging_corrected.nii.gz"
    mask.write_bytes(user.get(f"api/scans/{key}/mask.nii.gz").content)
    measure.main(measure.Measure(output_dir=str(tmp_path)), [str(mask)])
    (measured,) = json.loads((tmp_path / "measurements.json").read_text()).values()
    assert measured["is_corrected"] is True
    rows = list(csv.DictReader((tmp_path / "kidneys.csv").read_text().splitlines()))
    assert [row["is_corrected"] for row in rows] == ["True", "True"]
    for file, name in (
        ("mask.nii.gz", "imaging_corrected.nii.gz"),
        ("kidneys.csv", "imaging_corrected_kidneys.csv"),
        ("measurements.pdf", "imaging_corrected_measurements.pdf"),
        ("scan.nii.gz", "imaging_scan.nii.gz"),
    ):
        headers = user.get(f"api/scans/{key}/{file}").headers
        assert headers["content-disposition"] == f"attachment; filename*=UTF-8''{name}"


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
    assert {segment.SegmentAlgorithmType for segment in found.SegmentSequence} == {"SEMIAUTOMATIC"}
    (right, _) = csv.DictReader(user.get(f"api/scans/{key}/kidneys.csv").text.splitlines())
    assert (right["is_corrected"], right["warnings"]) == ("True", OF_PHANTOMS)
    assert found.ImageComments == f"{OF_PHANTOMS} The mask was corrected by hand."


def test_without_uids_there_is_no_dicom_seg_and_the_reason_is_known(user, tmp_path: Path) -> None:
    places = [float(25 * i) for i in range(12)]
    folder = write_series(tmp_path / "series", places, SOPInstanceUID=None, PatientID="A 7")
    key = user.drop(*sorted(folder.iterdir()), name="series")
    state = user.wait(key)
    problem = "expected SOPInstanceUID in every slice, found slices without"
    assert (state["state"], state["segmentation_problem"]) == ("done", problem)
    refused = user.get(f"api/scans/{key}/mask.dcm")
    assert (refused.status_code, refused.json()) == (409, {"error": problem})
    assert user.get(f"api/scans/{key}/mask.nii.gz").status_code == 200


def test_a_series_without_a_name_gets_its_patients(user, tmp_path: Path) -> None:
    places = [float(25 * i) for i in range(12)]
    folder = write_series(tmp_path / "series", places, PatientID="A 7", SeriesDescription="arterial")
    key = user.post("api/scans", json={"name": ""}).json()["key"]
    assert user.state(key)["name"] == "scan"
    for number, file in enumerate(sorted(folder.iterdir())):
        user.put(f"api/scans/{key}/files/{number}", data=file.read_bytes(), params={"name": file.name})
    user.post(f"api/scans/{key}/start", json={})
    state = user.wait(key)
    assert state["name"] == "A 7" and re.fullmatch(
        "patient A 7, arterial, 12 x [0-9]+ x [0-9]+ voxels of 25 x [0-9.]+ x [0-9.]+ mm", state["details"]
    )
    mask = user.get(f"api/scans/{key}/mask.nii.gz")
    assert mask.headers["content-disposition"] == "attachment; filename*=UTF-8''A%207.nii.gz"


def drop_case(user: User, case: Path, reference: bytes) -> str:
    """Sends the image of a case with a mask beside it."""
    key = user.post("api/scans", json={"name": case.name}).json()["key"]
    image = (case / "imaging.nii.gz").read_bytes()
    user.put(f"api/scans/{key}/files/0", data=image, params={"name": "imaging.nii.gz"})
    name = {"name": "segmentation.nii.gz"}
    assert user.put(f"api/scans/{key}/reference", data=reference, params=name).status_code == 200
    assert user.post(f"api/scans/{key}/start", json={}).status_code == 200
    return key


def test_the_mask_of_a_case_is_shown_with_sides_and_not_segmented(user, data_dir: Path) -> None:
    case = data_dir / "case_00000"
    key = drop_case(user, case, (case / "segmentation.nii.gz").read_bytes())
    assert user.wait(key)["state"] == "done" and len(user.get("api/scans").json()["scans"]) == 1
    reference = user.get(f"api/scans/{key}").json()["findings"]["reference"]
    assert [each["name"] for each in reference["classes"]][:3] == ["right kidney", "left kidney", "tumor"]
    shown = nib.Nifti1Image.from_bytes(gzip.decompress(user.get(f"api/scans/{key}/reference.nii.gz").content))
    true, labels = np.asarray(nib.load(case / "segmentation.nii.gz").dataobj), np.asarray(shown.dataobj)
    np.testing.assert_array_equal(np.array([0, 1, 1, 2])[labels], true)  # kidneys of both sides, tumor
    right = shown.affine[0, 3] + shown.affine[0, :3] @ np.argwhere(labels == 1).mean(0)
    left = shown.affine[0, 3] + shown.affine[0, :3] @ np.argwhere(labels == 2).mean(0)
    assert right > left, "NIfTI's x runs to the patient's right"


def test_a_mask_beside_a_scan_that_cannot_be_used_says_why(user, data_dir: Path) -> None:
    case = data_dir / "case_00000"
    other = nib.Nifti1Image(np.zeros((3, 3, 3), np.uint8), np.eye(4)).to_bytes()
    key = drop_case(user, case, gzip.compress(other))
    assert user.wait(key)["state"] == "done"
    problem = user.get(f"api/scans/{key}").json()["findings"]["reference"]["problem"]
    assert problem.startswith("expected the scan's grid") and "/" not in problem
    assert user.get(f"api/scans/{key}/reference.nii.gz").status_code == 404
    plain = user.drop(case / "imaging.nii.gz")
    user.wait(plain)
    assert user.get(f"api/scans/{plain}").json()["findings"]["reference"] is None


def test_the_page_says_what_its_model_knows_and_offers_an_example(run_dir: Path, scan: Path, user) -> None:
    about = user.get("api/about").json()
    assert about["notices"] == [OF_PHANTOMS] and about["model"].startswith(f"{run_dir.name} sha256:")
    with pytest.raises(InputError, match=r"--example=.*nothing\.nii: expected a NIfTI file, found none"):
        config.PageSettings(example=str(scan.with_name("nothing.nii")))
    page = config.PageSettings(example=str(scan))
    with app.serve_page(app.App(model=str(run_dir), page_port=0, page=page)) as url:
        guest = User(url)
        assert guest.get("api/about").json()["example"] == "imaging.nii.gz"
        key = guest.post("api/example").json()["key"]
        assert guest.wait(key)["state"] == "done"
        assert guest.get(f"api/scans/{key}/scan.nii.gz").status_code == 200


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
    rows = list(csv.DictReader(io.StringIO(user.get(f"api/scans/{key}/kidneys.csv").text)))
    assert [row["warnings"] for row in rows] == [f"{problem}; {OF_PHANTOMS}"] * 2
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
    assert found.ImageComments == f"{' '.join(warnings_of(user, key))} The mask was corrected by hand."
    assert "was an offset lost?" in found.ImageComments


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("scan.nii.gz", b"no gzip", "expected a whole NIfTI file"),
        ("scan.nii", b"", "expected a whole NIfTI file"),
        (
            "photo.jpg",
            b"\xff\xd8",
            "photo.jpg: expected a NIfTI file (*.nii.gz, *.nii), or a folder or zip file of a DICOM",
        ),
        (
            "scan.nrrd",
            b"NRRD",
            "scan.nrrd: expected NIfTI or DICOM, got another format: 3D Slicer or SimpleITK can save",
        ),
        ("scan.zip", b"PK", "scan"),
    ],
)
def test_files_that_are_no_scan_say_why(user, tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    key = user.drop(tmp_path / name)
    found = user.wait(key)
    assert found["state"] == "failed" and message in found["message"]
    assert "kits_tf-page" not in found["message"], "names of this machine's folders are not for users"


def test_a_lost_slice_is_named_in_the_users_words(user, tmp_path: Path) -> None:
    files = sorted(write_series(tmp_path / "series", [0.0, 25.0, 75.0, 100.0, 125.0]).iterdir())
    found = user.wait(user.drop(*files, name="thorax"))
    assert (found["state"], found["message"]) == (
        "failed",
        "thorax: expected evenly spaced slices, found 50.00 mm after z1 where 25.00 mm is usual (1 such gap): slices "
        "are missing; export the series again with all of them, since what lies between them is not known",
    )


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
        assert "Drop scans anywhere" in user.get(url).text


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
        assert (process.returncode, output) == (0, "stopping: all scans are removed\n")
        assert all(line.startswith("starting TensorFlow") for line in noise.splitlines())  # if that takes long
    assert list(tmp_path.iterdir()) == []
