"""The exported model and the run it came from give the same mask for any scan, in any axis order."""

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import tensorflow as tf
from conftest import ALL_AXIS_CODES, as_codes
from fake_model import FakeModel, save_fake_model

from kits_tf import config, export
from kits_tf.analysis.evaluation_files import write_scores
from kits_tf.analysis.scores import CaseScores
from kits_tf.analysis.statistics import Statistics, Summary
from kits_tf.base.errors import InputError
from kits_tf.config import InferenceSettings
from kits_tf.ct.labels import LATERALITY
from kits_tf.inference.building import build_segmenter
from kits_tf.inference.segmenter import Segmenter
from kits_tf.serving import saved_model, versions
from kits_tf.serving.assets import export_metadata, write_assets
from kits_tf.serving.metadata import Metadata
from kits_tf.serving.model_card import model_card
from kits_tf.serving.models import open_model
from kits_tf.serving.saved_model import SavedModel
from kits_tf.training.run import load_run


@pytest.fixture(scope="module")
def scan(data_dir: Path) -> nib.Nifti1Image:
    return nib.load(data_dir / "case_00003" / "imaging.nii.gz")


def test_signature_is_the_contract(saved: SavedModel) -> None:
    signature = saved.signatures["serving_default"]
    inputs = signature.structured_input_signature[1]
    assert (inputs["hu"].dtype, inputs["hu"].shape.rank) == (tf.int16, 3)
    assert (inputs["affine"].dtype, inputs["affine"].shape.as_list()) == (tf.float32, [4, 4])
    assert set(inputs) == {"hu", "affine"}
    outputs = signature.structured_outputs
    assert set(outputs) == {"labels", "volumes_ml", "confidence"}
    assert (outputs["labels"].dtype, outputs["labels"].shape.rank) == (tf.uint8, 3)
    assert (outputs["volumes_ml"].dtype, outputs["volumes_ml"].shape.rank) == (tf.float32, 1)
    assert (outputs["confidence"].dtype, outputs["confidence"].shape.rank) == (tf.float32, 1)
    probabilities = saved.signatures["probabilities"]
    assert probabilities.structured_input_signature[1] == {"hu": tf.TensorSpec([None] * 4, tf.int16, name="hu")}
    found = probabilities.structured_outputs["probabilities"]
    assert (found.dtype, found.shape.as_list()) == (tf.float16, [None, 8, 16, 16, 4])


def test_graph_holds_no_python_function_and_no_random_op(model_dir: Path) -> None:
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    parsed = SavedModel()
    parsed.ParseFromString((model_dir / "1" / "saved_model.pb").read_bytes())
    graph = parsed.meta_graphs[0].graph_def
    operations = {node.op for node in graph.node} | {n.op for f in graph.library.function for n in f.node_def}
    assert not [name for name in operations if "PyFunc" in name or "Random" in name or "Dropout" in name]
    assert "Conv3D" in operations
    attributes = [node.attr for node in graph.node] + [n.attr for f in graph.library.function for n in f.node_def]
    attributes += [function.attr for function in graph.library.function]
    assert not [name for attr in attributes for name in attr if "Xla" in name and attr[name].b]
    # TensorFlow Serving's loader restores what the graph reads, and nothing else is there: no copies, no optimizer.
    restored = {node.attr["shared_name"].s for node in graph.node if node.op == "VarHandleOp"}
    assert restored and not [name for name in restored if name.startswith(b"Variable") or b"adam" in name.lower()]


def test_run_and_model_agree_in_every_axis_order(
    saved: SavedModel, segmenter: Segmenter, scan: nib.Nifti1Image
) -> None:
    from_run = segmenter.model().segment
    reference = None
    for codes in ALL_AXIS_CODES[::5]:
        turned = as_codes(scan, codes)
        hu, affine = np.asarray(turned.dataobj), turned.affine
        labels = saved.segment(hu, affine).labels
        np.testing.assert_array_equal(labels, from_run(hu, affine).labels)
        back = np.asarray(as_codes(nib.Nifti1Image(labels, turned.affine), "IPL").dataobj)
        reference = back if reference is None else reference
        np.testing.assert_array_equal(back, reference)
    assert len(np.unique(reference)) > 1  # or the comparison would say nothing


def test_overlap_reaches_the_model_and_cannot_be_changed_after(
    model_dir: Path, run_dir: Path, segmenter: Segmenter, scan: nib.Nifti1Image
) -> None:
    hu, affine = tf.constant(np.asarray(scan.dataobj)), tf.constant(scan.affine, tf.float32)
    without = build_segmenter([load_run(run_dir)], InferenceSettings(overlap=0.0))
    masks = [each.segment(hu, affine)["labels"].numpy() for each in (without, segmenter)]
    assert InferenceSettings().overlap > 0 and (masks[0] != masks[1]).any()
    with pytest.raises(InputError, match="an exported model has its inference built in"):
        open_model(str(model_dir), InferenceSettings(overlap=0.25))


@pytest.mark.parametrize(
    ("shape", "change", "message"),
    [
        ((0, 4, 4), {}, "hu: expected at least one voxel"),
        ((4, 4, 4), {(0, 0): np.nan}, "affine: expected finite numbers"),
        ((4, 4, 4), {(0, 0): 0.0}, "affine: expected three independent axes of a length above 0 mm"),
        ((4, 4, 4), {(0, 0): 1e3}, r"affine: expected a scan of 3000 mm at most .*2 m\^3, got, in mm, \[4000 4 4\]$"),
        ((300, 300, 300), {(0, 0): 9, (1, 1): 9, (2, 2): 9}, "affine: expected a scan of 3000 mm at most"),
    ],
)
def test_impossible_input_is_refused_by_the_graph(saved: SavedModel, shape: tuple, change: dict, message: str) -> None:
    affine = np.eye(4, dtype=np.float32)
    for index, value in change.items():
        affine[index] = value
    with pytest.raises(InputError, match=message):
        saved.segment(np.zeros(shape, np.int16), affine)


def test_an_export_reports_its_windows_and_can_be_stopped(saved: SavedModel, scan: nib.Nifti1Image) -> None:
    hu, affine = np.asarray(scan.dataobj), scan.affine
    reports: list[tuple[int, int]] = []
    labels = saved.segment(hu, affine, lambda *windows: reports.append(windows)).labels
    done, total = reports[-1]
    assert done == total > 1

    def enough(*_: int) -> None:
        raise KeyError("enough")

    with pytest.raises(KeyError, match="enough"):
        saved.segment(hu, affine, enough)
    np.testing.assert_array_equal(saved.segment(hu, affine).labels, labels)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 40, 3), (50, 2, 2)])
def test_tiny_and_thin_scans_work(saved: SavedModel, shape: tuple[int, int, int]) -> None:
    result = saved.segment(np.zeros(shape, np.int16), np.eye(4))
    assert result.labels.shape == shape
    assert result.volumes_ml.sum() == pytest.approx(np.prod(shape) / 1000, rel=1e-5)


def test_versions_count_up_and_the_newest_is_taken(tmp_path: Path) -> None:
    root = tmp_path / "kits"
    (root / "7").mkdir(parents=True)
    (root / "notes").mkdir()
    assert versions.find_saved_model(root) is None
    assert save_fake_model(root) == root / "8" and list(versions.version_folders(root)) == [7, 8]
    assert versions.find_saved_model(root) == root / "8" == versions.find_saved_model(root / "8")
    assert versions.find_saved_model(root / "7") is None and list(versions.complete_versions(root)) == [8]
    assert versions.version_folders(tmp_path / "gone") == {}
    assert sorted(p.name for p in root.iterdir()) == ["7", "8", "notes"]


def test_an_export_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail(_: Path) -> None:
        raise KeyError("no room")

    with pytest.raises(KeyError, match="no room"):
        saved_model.save_version(FakeModel(), tmp_path / "kits", fail)
    assert list((tmp_path / "kits").iterdir()) == []


def test_the_wrong_level_is_named(tmp_path: Path) -> None:
    """A run, a model, its version and what lies above and in them, where one of the others is expected."""
    save_fake_model(tmp_path / "models" / "kits")
    run = tmp_path / "runs" / "base"
    run.mkdir(parents=True)
    (run / "train.flags").touch()
    (run / "best.weights.h5").touch()
    model, version = tmp_path / "models/kits", tmp_path / "models/kits/1"
    for path, found in (
        (tmp_path / "gone", "no such folder"),
        (model, "an exported model"),
        (version, "a version of an exported model"),
        (run / "best.weights.h5", f"a file in a run: give {run}"),
        (version / "saved_model.pb", f"a file in a version of an exported model: give {version}"),
        (version / "assets.extra", f"a folder in a version of an exported model: give {version}"),
        (tmp_path / "models", f"a folder that holds {model} (an exported model)"),
        (tmp_path / "runs", f"a folder that holds {run} (a run)"),
        (tmp_path, "a folder that is neither a run nor an exported model"),
    ):
        with pytest.raises(InputError) as refused:
            load_run(path)
        assert str(refused.value) == f"{path}: expected a run directory, found {found}"
    expected = "expected the folder of an exported model, which holds its versions; found"
    for path, found in (
        (run, f"a run: export it first (python -m kits_tf.export --run_dir={run} --export_dir=models/base)"),
        (version, f"a version of an exported model: give the folder above it, {model}"),
        (tmp_path / "models", f"a folder that holds {model} (an exported model)"),
    ):
        with pytest.raises(InputError) as refused:
            versions.require_versions(path)
        assert str(refused.value) == f"{path}: {expected} {found}"
    versions.require_versions(model)


def test_unusable_models_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="gone: expected a run directory or an exported model, found no such folder"):
        open_model(str(tmp_path / "gone"), InferenceSettings())
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "saved_model.pb").write_bytes(b"nothing")
    with pytest.raises(InputError, match="1: expected a SavedModel that kits_tf exported"):
        open_model(str(tmp_path), InferenceSettings())
    other = tf.Module()
    other.f = tf.function(lambda x: {"y": x}, input_signature=[tf.TensorSpec([], tf.float32, name="x")])
    tf.saved_model.save(other, str(tmp_path / "2"), signatures={"serving_default": other.f})
    with pytest.raises(InputError, match="2: expected a SavedModel that kits_tf exported: 'probabilities'"):
        open_model(str(tmp_path), InferenceSettings())


def test_segmenting_a_volume_uses_the_grid_of_the_records(run_dir: Path, data_dir: Path, segmenter: Segmenter) -> None:
    from kits_tf.ct.volume import read_image

    image = read_image(data_dir / "case_00003" / "imaging.nii.gz")
    found = segmenter.model().segmentation(image)
    labels, volumes_ml = segmenter.model().labels(image), found.volumes_ml
    assert labels.shape == image.array.shape and labels.max() < len(LATERALITY.classes)
    assert json.loads((run_dir / "manifest.json").read_text())["grid"]["label_scheme"] == LATERALITY.name
    voxel_ml = np.prod(image.grid.spacing_mm) / 1000
    np.testing.assert_allclose(volumes_ml, np.bincount(labels.ravel(), minlength=4) * voxel_ml, rtol=1e-5)


@pytest.mark.slow
def test_a_chain_goes_with_the_model(run_dir: Path, saved: SavedModel, scan: nib.Nifti1Image, tmp_path: Path) -> None:
    """Its graph does the random field, which changes the mask; its metadata has the rest."""
    chain, runs = InferenceSettings(postprocess="crf,kidneys,specks:0.5"), [load_run(run_dir)]
    segmenter = build_segmenter(runs, chain)
    served = saved_model.ServingModule(segmenter, export_metadata(runs, segmenter, chain, "float32"))
    saved_model.save_version(served, tmp_path / "kits", lambda folder: None)
    model = open_model(str(tmp_path / "kits"), InferenceSettings())
    assert ",".join(map(str, model.chain)) == "kidneys,specks:0.5"
    hu, affine = np.asarray(scan.dataobj), scan.affine
    with_crf = model.segment(hu, affine).labels
    np.testing.assert_array_equal(with_crf, segmenter.model().segment(hu, affine).labels)
    assert (with_crf != saved.segment(hu, affine).labels).any()
    other = open_model(str(tmp_path / "kits"), InferenceSettings(postprocess="crf,fill"))
    assert ",".join(map(str, other.chain)) == "fill"
    with pytest.raises(InputError, match="expected --postprocess with crf, as exported"):
        open_model(str(tmp_path / "kits"), InferenceSettings(postprocess="off"))


def test_nothing_private_and_no_training_is_inside(model_dir: Path, run_dir: Path, data_dir: Path) -> None:
    private = [str(path).encode() for path in (run_dir, data_dir, Path.home(), Path(__file__).parents[2])]
    for path in model_dir.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert not [text for text in private if text in content], path
    manifest = json.loads((model_dir / "1" / "assets.extra" / "manifest.json").read_text())
    assert manifest["data_dir"] == "" and manifest["splits"]["test"] == ["case_00003"]


def test_metadata_has_what_a_client_needs(model_dir: Path, saved: SavedModel) -> None:
    metadata = saved.metadata
    assert metadata.scheme == LATERALITY and metadata.classes == LATERALITY.classes
    assert metadata.patch_size_zyx == (8, 16, 16) and metadata.grid.spacing_zyx_mm == (12.0, 10.0, 10.0)
    assert metadata.inference == InferenceSettings(postprocess="off") and metadata.temperature == 1.0
    assert metadata.intensity[0].window_hu == config.IntensitySettings().window_hu
    assert {"kits_tf", "tensorflow", "keras", "git"} <= set(metadata.versions) and metadata.precision == "float32"
    written = (model_dir / "1" / "assets.extra" / "manifest.json").read_bytes()
    assert metadata.manifest_sha256 == (hashlib.sha256(written).hexdigest(),)
    assert Metadata.parse(metadata.to_json(), "x") == metadata


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "x: expected a model of kits_tf, its metadata is not JSON"),
        ("[]", "x: expected a model of kits_tf, its metadata is not JSON"),
        ('{"format_version": 9}', "x: expected a model of format version 1, got 9"),
        ('{"format_version": 1}', "x: expected a model of kits_tf: required field missing"),
    ],
)
def test_metadata_of_something_else_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Metadata.parse(text, "x")


def test_the_card_has_data_scores_and_use(model_dir: Path, saved: SavedModel, run_dir: Path, tmp_path: Path) -> None:
    card = (model_dir / "1" / "assets.extra" / "model_card.md").read_text()
    for text in (
        "0 background, 1 right_kidney, 2 left_kidney, 3 tumor",
        "2 train, 1 validation, 1 test cases",
        "Not a medical device",
        "Not evaluated when it was exported",
        "Not calibrated",
        "12.0,10.0,10.0 mm",
    ):
        assert text in card
    copy = shutil.copytree(run_dir, tmp_path / "run")
    score = Statistics(mean=0.5, interval_95=(0.25, 0.75), median=0.5, left_out=0)
    keys = ("kidney_dice", "tumor_dice", "composite", "dice_right_kidney", "dice_left_kidney", "dice_tumor")
    scores = dict.fromkeys(keys, score) | {"dice_tumor": replace(score, mean=None, interval_95=(None, None))}
    summary = Summary(num_cases=30, scores=scores, lesions_by_size=[], inference="--flip_axes=x")
    write_scores(
        [CaseScores("case_00000", dict.fromkeys(keys, 0.5), (), np.zeros((4, 4), np.int64))],
        summary,
        copy / "evaluation" / "test",
    )
    run = load_run(copy)
    run = replace(run, settings=replace(run.settings, run_dir=str(copy)))
    text = model_card([run], saved.metadata, None)
    assert "test, 30 cases, on the scans' own grids, by --flip_axes=x: mean" in text
    assert "| composite | 0.500 | 0.250..0.750 |\n| right_kidney | 0.500 | 0.250..0.750 |" in text
    assert "| tumor |" not in text  # it has no mean
    assert "Sides are recognized from the\npicture." in text
    without_sides = replace(saved.metadata, classes=("background", "kidney", "tumor"))
    assert "It has no labels for\nsides: `predict` tells right from left" in model_card([run], without_sides, None)


def test_several_runs_have_a_manifest_each(run_dir: Path, saved: SavedModel, tmp_path: Path) -> None:
    runs = [load_run(run_dir)] * 2
    metadata = replace(saved.metadata, manifest_sha256=("a", "b"))
    write_assets(tmp_path, runs, metadata, None)
    for name in ("run0", "run1"):
        assert (tmp_path / name / "manifest.json").is_file()
    assert "run1/manifest.json beside this card" in (tmp_path / "model_card.md").read_text()


def test_mixed_precision_is_in_the_graph_and_gives_nearly_the_same(
    run_dir: Path, saved: SavedModel, scan: nib.Nifti1Image, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    settings = export.Export(
        run_dir=str(run_dir), export_dir=str(tmp_path), calibrate=False, serving_precision="mixed_bfloat16"
    )
    export.main(settings)
    assert f"wrote {tmp_path / '1'} (" in capsys.readouterr().out
    assert (tmp_path / "1" / "assets.extra" / "model_card.md").is_file()
    mixed = saved_model.load(tmp_path / "1")
    assert mixed.metadata.precision == "mixed_bfloat16"
    hu, affine = np.asarray(scan.dataobj).astype(np.int16), scan.affine.astype(np.float32)
    found, expected = mixed.segment(hu, affine), saved.segment(hu, affine)
    np.testing.assert_allclose(found.confidence, expected.confidence, atol=0.01)
    windows = np.random.default_rng(2).integers(-200, 300, (1, 8, 16, 16)).astype(np.int16)
    shares = [
        each.signatures["probabilities"](hu=tf.constant(windows))["probabilities"].numpy() for each in (mixed, saved)
    ]
    assert 0 < np.abs(shares[0].astype(float) - shares[1]).max() < 0.01
    assert mixed.signatures["probabilities"].structured_outputs["probabilities"].dtype == tf.float16
