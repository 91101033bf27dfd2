"""The exported model and the run it came from give the same mask for any scan, in any axis order."""

import json
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import tensorflow as tf
from conftest import ALL_AXIS_CODES

from kits_tf import config, export, predict
from kits_tf.config import InferenceSettings
from kits_tf.ct.labels import LATERALITY
from kits_tf.errors import InputError
from kits_tf.inference.segmenter import Segmenter
from kits_tf.serving import saved_model
from kits_tf.training.run import load_run

# In a process without kits_tf: the model must bring all it needs.
FOREIGN = """
import sys, numpy as np, nibabel as nib, tensorflow as tf
model = tf.saved_model.load(sys.argv[1])
scan = nib.load(sys.argv[2])
result = model.signatures["serving_default"](
    hu=tf.constant(np.asarray(scan.dataobj).astype(np.int16)), affine=tf.constant(scan.affine, tf.float32)
)
nib.save(nib.Nifti1Image(result["labels"].numpy(), scan.affine), sys.argv[3])
np.save(sys.argv[4], result["volumes_ml"].numpy())
assert not [name for name in sys.modules if name.startswith(("kits_tf", "tfrecords_tools"))]
"""


@pytest.fixture(scope="module")
def model_dir(run_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("models") / "kits"
    export.main(config.Export(run_dir=str(run_dir), export_dir=str(root)))
    return root


@pytest.fixture(scope="module")
def scan(data_dir: Path) -> nib.Nifti1Image:
    return nib.load(data_dir / "case_00003" / "imaging.nii.gz")


def as_codes(image: nib.Nifti1Image, codes: str) -> nib.Nifti1Image:
    ornt = nib.orientations
    change = ornt.ornt_transform(ornt.io_orientation(image.affine), ornt.axcodes2ornt(tuple(codes)))
    return image.as_reoriented(change)


def test_signature_is_the_contract(model_dir: Path) -> None:
    signature = tf.saved_model.load(str(model_dir / "1")).signatures["serving_default"]
    inputs = signature.structured_input_signature[1]
    assert (inputs["hu"].dtype, inputs["hu"].shape.rank) == (tf.int16, 3)
    assert (inputs["affine"].dtype, inputs["affine"].shape.as_list()) == (tf.float32, [4, 4])
    assert set(inputs) == {"hu", "affine"}
    outputs = signature.structured_outputs
    assert set(outputs) == {"labels", "volumes_ml"}
    assert (outputs["labels"].dtype, outputs["labels"].shape.rank) == (tf.uint8, 3)
    assert (outputs["volumes_ml"].dtype, outputs["volumes_ml"].shape.rank) == (tf.float32, 1)


def test_graph_holds_no_python_function_and_no_random_op(model_dir: Path) -> None:
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    parsed = SavedModel()
    parsed.ParseFromString((model_dir / "1" / "saved_model.pb").read_bytes())
    graph = parsed.meta_graphs[0].graph_def
    operations = {node.op for node in graph.node} | {n.op for f in graph.library.function for n in f.node_def}
    assert not [name for name in operations if "PyFunc" in name or "Random" in name or "Dropout" in name]
    assert "Conv3D" in operations


def test_run_and_model_agree_in_every_axis_order(model_dir: Path, run_dir: Path, scan: nib.Nifti1Image) -> None:
    from_model = saved_model.load_model(str(model_dir), InferenceSettings()).segment
    from_run = saved_model.load_model(str(run_dir), InferenceSettings()).segment
    reference = None
    for codes in ALL_AXIS_CODES[::5]:
        turned = as_codes(scan, codes)
        hu, affine = np.asarray(turned.dataobj), tf.constant(turned.affine, tf.float32)
        labels = from_model(tf.constant(hu), affine)["labels"].numpy()
        np.testing.assert_array_equal(labels, from_run(tf.constant(hu), affine)["labels"])
        back = np.asarray(as_codes(nib.Nifti1Image(labels, turned.affine), "IPL").dataobj)
        reference = back if reference is None else reference
        np.testing.assert_array_equal(back, reference)
    assert len(np.unique(reference)) > 1  # or the comparison would say nothing


def test_a_foreign_process_gets_the_same_mask_as_predict(
    model_dir: Path, run_dir: Path, data_dir: Path, scan: nib.Nifti1Image, tmp_path: Path
) -> None:
    nib.save(as_codes(scan, "PRS"), tmp_path / "scan.nii.gz")
    (tmp_path / "foreign.py").write_text(FOREIGN)
    arguments = [model_dir / "1", tmp_path / "scan.nii.gz", tmp_path / "foreign.nii.gz", tmp_path / "ml.npy"]
    command = [sys.executable, "-I", tmp_path / "foreign.py", *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for model in (model_dir, model_dir / "1", run_dir):
        settings = config.Predict(model=str(model), output_dir=str(tmp_path / "out"))
        predict.main(settings, [str(tmp_path / "scan.nii.gz")])
        ours, foreign = nib.load(tmp_path / "out" / "scan.nii.gz"), nib.load(tmp_path / "foreign.nii.gz")
        np.testing.assert_array_equal(np.asarray(ours.dataobj), np.asarray(foreign.dataobj))
        assert (ours.affine == nib.load(tmp_path / "scan.nii.gz").affine).all()
    labels = np.asarray(ours.dataobj)
    voxel_ml = abs(np.linalg.det(ours.affine[:3, :3])) / 1000
    np.testing.assert_allclose(
        np.load(tmp_path / "ml.npy"), np.bincount(labels.ravel(), minlength=4) * voxel_ml, rtol=1e-4
    )


def test_overlap_reaches_the_model_and_cannot_be_changed_after(model_dir: Path, run_dir: Path, scan) -> None:
    hu, affine = tf.constant(np.asarray(scan.dataobj)), tf.constant(scan.affine, tf.float32)
    run = load_run(run_dir)
    segmenters = [Segmenter([run], InferenceSettings(overlap=overlap)) for overlap in (0.0, 0.7)]
    masks = [segmenter.segment(hu, affine)["labels"].numpy() for segmenter in segmenters]
    assert (masks[0] != masks[1]).any()
    with pytest.raises(InputError, match="an exported model has its inference built in"):
        saved_model.load_model(str(model_dir), InferenceSettings(overlap=0.25))


@pytest.mark.parametrize(
    ("shape", "change", "message"),
    [
        ((0, 4, 4), {}, "hu: expected at least one voxel"),
        ((4, 4, 4), {(0, 0): np.nan}, "affine: expected finite numbers"),
        ((4, 4, 4), {(0, 0): 0.0}, "affine: expected three independent axes of a length above 0 mm"),
    ],
)
def test_impossible_input_is_refused_by_the_graph(model_dir: Path, shape: tuple, change: dict, message: str) -> None:
    affine = np.eye(4, dtype=np.float32)
    for index, value in change.items():
        affine[index] = value
    segment = saved_model.load_model(str(model_dir), InferenceSettings()).segment
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        segment(tf.zeros(shape, tf.int16), tf.constant(affine))


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 40, 3), (50, 2, 2)])
def test_tiny_and_thin_scans_work(model_dir: Path, shape: tuple[int, int, int]) -> None:
    result = saved_model.load_model(str(model_dir), InferenceSettings()).segment(tf.zeros(shape, tf.int16), tf.eye(4))
    assert result["labels"].shape == shape
    assert float(tf.reduce_sum(result["volumes_ml"])) == pytest.approx(np.prod(shape) / 1000, rel=1e-5)


def test_versions_count_up_and_the_newest_is_taken(run_dir: Path, tmp_path: Path) -> None:
    root = tmp_path / "kits"
    (root / "7").mkdir(parents=True)
    (root / "notes").mkdir()
    written = saved_model.export(Segmenter([load_run(run_dir)], InferenceSettings()), root)
    assert written == root / "8" and saved_model.versions(root) == [7, 8]
    assert saved_model.find(root) == root / "8" and saved_model.find(root / "7") is None
    assert sorted(p.name for p in root.iterdir()) == ["7", "8", "notes"]


def test_unusable_models_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="gone: expected a run directory, found no such folder"):
        saved_model.load_model(str(tmp_path / "gone"), InferenceSettings())
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "saved_model.pb").write_bytes(b"nothing")
    with pytest.raises(InputError, match="1: expected a SavedModel with serving_default"):
        saved_model.load_model(str(tmp_path), InferenceSettings())
    other = tf.Module()
    other.f = tf.function(lambda x: {"y": x}, input_signature=[tf.TensorSpec([], tf.float32, name="x")])
    other.g = tf.function(lambda: {"json": tf.constant("{}")}, input_signature=[])
    signatures = {"serving_default": other.f, "metadata": other.g}
    tf.saved_model.save(other, str(tmp_path / "2"), signatures=signatures)
    with pytest.raises(InputError, match=r"expected inputs hu and affine, output labels, found inputs \['x'\]"):
        saved_model.load_model(str(tmp_path), InferenceSettings())


def test_segmenting_a_volume_uses_the_grid_of_the_records(run_dir: Path, data_dir: Path) -> None:
    from kits_tf.ct.volume import read_image

    run = load_run(run_dir)
    image = read_image(data_dir / "case_00003" / "imaging.nii.gz")
    segmenter = Segmenter([run], InferenceSettings())
    found = segmenter.model().results(image)
    labels, volumes_ml = segmenter.model().labels(image), found["volumes_ml"]
    assert labels.shape == image.array.shape and labels.max() < len(LATERALITY.classes)
    assert json.loads((run_dir / "manifest.json").read_text())["grid"]["label_scheme"] == LATERALITY.name
    voxel_ml = np.prod(image.grid.spacing_mm) / 1000
    np.testing.assert_allclose(volumes_ml, np.bincount(labels.ravel(), minlength=4) * voxel_ml, rtol=1e-5)


def test_a_chain_goes_with_the_model(run_dir: Path, model_dir: Path, scan: nib.Nifti1Image, tmp_path: Path) -> None:
    """Its graph does the random field, which changes the mask; the rest is told to whoever asks."""
    chain = InferenceSettings(postprocess="crf,kidneys,specks:0.5")
    segmenter = Segmenter([load_run(run_dir)], chain)
    saved_model.export(segmenter, tmp_path / "kits")
    model = saved_model.load_model(str(tmp_path / "kits"), InferenceSettings())
    assert ",".join(map(str, model.chain)) == "crf,kidneys,specks:0.5"
    hu, affine = tf.constant(np.asarray(scan.dataobj)), tf.constant(scan.affine, tf.float32)
    with_crf = model.segment(hu, affine)["labels"].numpy()
    np.testing.assert_array_equal(with_crf, segmenter.segment(hu, affine)["labels"])
    plain = saved_model.load_model(str(model_dir), InferenceSettings())
    assert (with_crf != plain.segment(hu, affine)["labels"].numpy()).any()
    other = saved_model.load_model(str(tmp_path / "kits"), InferenceSettings(postprocess="crf,fill"))
    assert ",".join(map(str, other.chain)) == "crf,fill"
    with pytest.raises(InputError, match="expected --postprocess with crf, as exported"):
        saved_model.load_model(str(tmp_path / "kits"), InferenceSettings(postprocess="off"))
