"""The network that comes with the package: its files, and that it is there where no model is named."""

import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import h5py
import nibabel as nib
import numpy as np
import pytest
from scripts import ROOT, loaded_script

import kits_tf
from kits_tf import predict, serve, train
from kits_tf.base.flagfile import from_flagfile
from kits_tf.base.settings import select
from kits_tf.config import InferenceSettings, RunSettings, ServerSettings
from kits_tf.config.shared import STARTER
from kits_tf.ct.labels import KITS19
from kits_tf.ct.layouts import find_cases
from kits_tf.ct.volume import read_labels
from kits_tf.inference.own_settings import notices, own_settings
from kits_tf.network.architecture import make_architecture
from kits_tf.serving.remote_model import Client
from kits_tf.serving.server.server import Server
from kits_tf.serving.versions import find_saved_model, model_identity
from kits_tf.training import fit
from kits_tf.training.run import load_run
from kits_tf.training.run_files import BEST_WEIGHTS, FLAGS, STARTER_DIR, run_folders

NOTICE = "starter network: for trying things out, not for measuring patients; its tumors are not to be trusted"
WEIGHTS = (STARTER_DIR / BEST_WEIGHTS, STARTER_DIR / "coarse" / BEST_WEIGHTS)


def test_the_files_are_those_of_the_card_and_small() -> None:
    card = (STARTER_DIR / "model_card.md").read_text()
    named = dict(re.findall(r"`([\w./]+\.h5)` \| `([0-9a-f]{64})`", card))
    digests = {str(path.relative_to(STARTER_DIR)): hashlib.sha256(path.read_bytes()).hexdigest() for path in WEIGHTS}
    assert named == digests
    assert sum(path.stat().st_size for path in STARTER_DIR.rglob("*")) < 5e6
    assert (ROOT / "docs/starter.md").read_text() == card
    assert "CC BY" in (STARTER_DIR / "LICENSE").read_text()


@pytest.mark.parametrize(("folder", "name"), [(STARTER_DIR, "starter"), (STARTER_DIR / "coarse", "starter_coarse")])
def test_its_flags_are_those_of_the_flag_files(folder: Path, name: str) -> None:
    kept = from_flagfile(RunSettings, folder / FLAGS)
    paths = ["--records_dir=records", "--run_dir=run", "--cache=", f"--coarse_model={kept.inference.coarse_model}"]
    by_flags, _ = train.COMMAND.parse([f"--flagfile={ROOT}/configs/{name}.flags", *paths])
    assert kept == select(RunSettings, by_flags)
    assert kept.inference.coarse_model == ("coarse" if name == "starter" else "")


def test_it_is_used_as_its_flags_say() -> None:
    own = own_settings([STARTER_DIR], InferenceSettings())
    assert own == InferenceSettings(flip_axes="x", coarse_model=str(STARTER_DIR / "coarse"))
    with loaded_script("benchmarks/starter.py") as starter:
        assert load_run(STARTER_DIR).postprocess == starter.CHAIN
    assert notices([STARTER_DIR]) == (NOTICE,)


def test_the_name_is_the_packages_whatever_folders_there_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "starter/1").mkdir(parents=True)
    (tmp_path / "starter/1/saved_model.pb").touch()
    monkeypatch.chdir(tmp_path)
    assert find_saved_model("starter") is None and find_saved_model("./starter") == Path("starter/1")
    assert run_folders("starter,./starter,starter/coarse") == [STARTER_DIR, Path("starter"), STARTER_DIR / "coarse"]


@pytest.mark.slow
def test_predict_takes_it_where_no_model_is_named(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    predict.main(predict.Predict(), [str(data_dir / "case_00000")])
    mask = nib.load(tmp_path / "masks/case_00000.nii.gz")
    content = json.loads(mask.header.extensions[0].get_content())
    assert list(content["labels"].values()) == ["background", "right_kidney", "left_kidney", "tumor"]
    assert NOTICE in content["warnings"]
    assert re.match(r"starter sha256:[0-9a-f]{16} --flip_axes=x --coarse_model=coarse@", content["model"])
    assert f"WARNING: {NOTICE}" in capsys.readouterr().out


@pytest.mark.slow
def test_serve_exports_it_where_no_model_is_named() -> None:
    with serve.model_folder(serve.Serve()) as folder:
        assert Path(folder).name == "kits" and NOTICE in (Path(folder) / "1/assets.extra/model_card.md").read_text()
        server = Server(ServerSettings(export_dir=folder, grpc_port=0, rest_port=0))
        server.start()
        try:
            with Client(server.grpc_address) as client:
                by_client, identity = client.model, client.metadata.model
            models = [kits_tf.load_model(folder).network, server.service.model(), by_client]
        finally:
            server.stop()
    assert not Path(folder).exists()
    for model in models:
        assert model.notices == (NOTICE,)
        assert [step.name for step in model.chain] == ["kidneys", "touch", "no_tumors", "close", "fill"]
    assert identity == model_identity(STARTER, InferenceSettings())


def test_training_begins_with_its_weights() -> None:
    architecture = make_architecture(from_flagfile(RunSettings, STARTER_DIR / FLAGS).network)
    trainer = SimpleNamespace(**{name: architecture.build(len(KITS19.classes)) for name in ("network", "validated")})
    fit.begin_with(trainer, STARTER, KITS19)
    saved: list[bytes] = []
    with h5py.File(WEIGHTS[0]) as file:
        file.visititems(lambda _, item: saved.append(as_float32(item)) if isinstance(item, h5py.Dataset) else None)
    for network in (trainer.network, trainer.validated):
        ours = [weights.tobytes() for weights in network.get_weights()]
        assert len(ours) > 20 and set(ours) <= set(saved)


def as_float32(item: h5py.Dataset) -> bytes:
    return item[()].astype(np.float32).tobytes()


def test_real_scans_are_trained_on_several_times_and_simulated_ones_validate(data_dir: Path, tmp_path: Path) -> None:
    scans = tmp_path / "scans.csv"
    case = data_dir / "case_00000"
    scans.write_text(f"case_id,image,label\na,{case}/imaging.nii.gz,{case}/segmentation.nii.gz\nb,scan.nii.gz,\n")
    with loaded_script("benchmarks/starter.py") as starter:
        starter.VALIDATION_CASES, repeats = 1, starter.REPEATS
        starter.write_data_set(str(data_dir), str(scans), tmp_path)
    bodies = [f"case_0000{i}" for i in range(4)]
    copies = [f"a_{i}" for i in range(repeats)]
    splits = json.loads((tmp_path / "splits.json").read_text())
    assert splits == {"train": bodies[:3] + copies, "validation": bodies[3:], "test": []}
    cases = {files.case_id: files for files in find_cases(str(tmp_path / "cases.csv"))}
    assert set(cases) == {*bodies, *copies} and cases["a_0"].labels == tmp_path / "a.nii.gz"
    assert cases["a_7"].image == cases["case_00000"].image == case / "imaging.nii.gz"
    before, after = (read_labels(str(path)).array for path in (case / "segmentation.nii.gz", tmp_path / "a.nii.gz"))
    assert (after[before > 0] == before[before > 0]).all() and set(np.unique(after[before == 0])) <= {0, 1}


def test_a_packed_run_is_the_run_with_less(run_dir: Path, tmp_path: Path) -> None:
    with loaded_script("benchmarks/starter.py") as starter:
        starter.pack(run_dir, tmp_path / "packed", coarse_model="coarse")
    ours, theirs = load_run(tmp_path / "packed"), load_run(run_dir)
    for packed, whole in zip(ours.network.get_weights(), theirs.network.get_weights(), strict=True):
        np.testing.assert_array_equal(packed, whole.astype(np.float16).astype(np.float32))
    assert ours.manifest.grid == theirs.manifest.grid and ours.manifest.scheme == theirs.manifest.scheme
    written = "".join((tmp_path / "packed" / name).read_text() for name in (FLAGS, "manifest.json"))
    assert "case_0" not in written and str(run_dir.parent) not in written
    assert ours.settings.inference.coarse_model == "coarse"
    assert replace(ours.settings, **_PLACES) == replace(theirs.settings, **_PLACES, inference=ours.settings.inference)


_PLACES = {"records_dir": "", "run_dir": ""}
