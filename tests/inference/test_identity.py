"""Identities of models: by the bytes that decide the masks, and never by where they lie."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from fake_model import FAKE_METADATA

from kits_tf.base.errors import InputError
from kits_tf.config import InferenceSettings
from kits_tf.inference.identity import (
    corrected,
    folder_name,
    identity,
    is_corrected,
    runs_identity,
    same_model,
    with_labels,
)
from kits_tf.serving.versions import model_identity

FILES = {"train.flags": b"--records_dir=a\n--run_dir=b\n", "manifest.json": b"{}", "best.weights.h5": b"weights"}
PLAIN = InferenceSettings()


def make_run(folder: Path, **changes: bytes) -> Path:
    folder.mkdir(parents=True)
    for name, content in (FILES | {"best.weights.h5": changes.get("weights", b"weights")}).items():
        (folder / name).write_bytes(content)
    return folder


def digest_of(files: dict[str, bytes]) -> str:
    lines = [f"{name} {hashlib.sha256(content).hexdigest()}\n" for name, content in files.items()]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def test_a_run_is_known_by_its_files(tmp_path: Path) -> None:
    run = make_run(tmp_path / "base")
    plain = f"base sha256:{digest_of(FILES)[:16]}"
    assert runs_identity([run], PLAIN) == model_identity(str(run), PLAIN) == plain
    (run / "history.csv").write_text("loss\n")  # which decides no mask
    assert runs_identity([run], PLAIN) == plain
    assert runs_identity([run], InferenceSettings(flip_axes="x")) == f"{plain} --flip_axes=x"
    chain = b'{"chain": "open:9"}'
    (run / "postprocess.json").write_bytes(chain)
    files = FILES | {"postprocess.json": chain}
    assert runs_identity([run], PLAIN) == f"base sha256:{digest_of(files)[:16]}"
    # Where a flag says which steps are done, those that were chosen are not.
    assert runs_identity([run], InferenceSettings(postprocess="fill")) == f"{plain} --postprocess=fill"


def test_several_runs_are_one_model_in_their_order(tmp_path: Path) -> None:
    first, second = make_run(tmp_path / "m" / "fold0"), make_run(tmp_path / "m" / "fold1", weights=b"others")
    digests = [digest_of(FILES), digest_of(FILES | {"best.weights.h5": b"others"})]
    both = f"fold0+fold1 sha256:{hashlib.sha256(' '.join(digests).encode()).hexdigest()[:16]}"
    assert runs_identity([first, second], PLAIN) == model_identity(str(tmp_path / "m"), PLAIN) == both
    cascade = runs_identity([second], InferenceSettings(coarse_model=str(first)))
    assert cascade == f"fold1 sha256:{digests[1][:16]} --coarse_model=fold0@{digests[0][:16]}"


def test_the_same_model_elsewhere_is_the_same(tmp_path: Path) -> None:
    names = [runs_identity([make_run(tmp_path / name)], PLAIN) for name in ("a", "b c")]
    assert names[1].startswith("b_c sha256:") and same_model(*names)
    other = runs_identity([make_run(tmp_path / "other", weights=b"others")], PLAIN)
    assert not same_model(names[0], other) and not same_model(names[0], f"{names[0]} --flip_axes=x")
    assert not same_model("", "") and not same_model(names[0], "")


def test_an_export_is_known_by_graph_and_weights(tmp_path: Path) -> None:
    version = tmp_path / "kits" / "3"
    (version / "variables").mkdir(parents=True)
    (version / "assets.extra").mkdir()
    files = {"saved_model.pb": b"graph", "variables/variables.index": b"weights"}
    for name, content in files.items():
        (version / name).write_bytes(content)
    (version / "assets.extra" / "model_card.md").write_text("a card decides no mask")
    expected = f"kits/3 sha256:{digest_of(files)[:16]}"
    assert model_identity(str(version), PLAIN) == model_identity(str(tmp_path / "kits"), PLAIN) == expected
    # Metadata that does not know the weights changes nothing.
    metadata = version / "assets.extra" / "metadata.json"
    metadata.write_text(FAKE_METADATA.to_json())
    assert model_identity(str(version), PLAIN) == expected
    (version / "variables" / "variables.index").write_bytes(b"others")
    assert not same_model(model_identity(str(version), PLAIN), expected)
    text = replace(FAKE_METADATA, model="base sha256:0123456789abcdef").to_json()
    metadata.write_text(text)
    of_metadata = f"kits/3 sha256:{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    assert model_identity(str(version), PLAIN) == of_metadata
    assert model_identity(str(version), InferenceSettings(postprocess="fill")) == f"{of_metadata} --postprocess=fill"
    metadata.write_text("{}")
    with pytest.raises(InputError, match="metadata.json: expected a model of format version 1, got None"):
        model_identity(str(version), PLAIN)


@pytest.mark.parametrize("name", ["manifest.json", "best.weights.h5", "train.flags"])
def test_a_run_without_a_file_is_no_model(tmp_path: Path, name: str) -> None:
    (make_run(tmp_path / "run") / name).unlink()
    with pytest.raises(InputError, match=r"run.*: expected a (file of a trained run|run directory)"):
        runs_identity([tmp_path / "run"], PLAIN)
    with pytest.raises(InputError, match="gone: expected a run directory or an exported model, found no such folder"):
        runs_identity([tmp_path / "gone"], PLAIN)


def test_words_in_an_identity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert identity("my model", ["0123456789abcdef0"], "--flip_axes=x") == (
        "my_model sha256:0123456789abcdef --flip_axes=x"
    )
    model = "kits/1 sha256:00"
    assert with_labels(model, "model") == model and with_labels("", "challenge") == ""
    assert with_labels(model, "challenge") == f"{model} --labels=challenge"
    assert corrected(model) == f"{model}, corrected by hand" == corrected(corrected(model))
    assert is_corrected(corrected(model)) and not is_corrected(model)
    assert not same_model(model, corrected(model))
    (tmp_path / "here" / "below").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here" / "below")
    assert [folder_name(Path(path)) for path in (".", "..", tmp_path / "link")] == ["below", "here", "link"]
