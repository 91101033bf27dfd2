import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from kits_tf import config, evaluate
from kits_tf.analysis import chain_choice, evaluation
from kits_tf.base.errors import InputError
from kits_tf.ct.labels import LATERALITY
from kits_tf.ct.volume import Volume
from kits_tf.inference.model import Model
from kits_tf.training.run import POSTPROCESS, load_run

AUTO = config.InferenceSettings(postprocess="auto")
CASES = [f"case_{i:05d}" for i in range(chain_choice.FEWEST_CASES)]


def truth_of(number: int) -> np.ndarray:
    labels = np.zeros((12, 30, 60), np.uint8)
    labels[2:9, 5:15, 5:15], labels[2:9, 5:15, 40 : 50 + number % 3] = 1, 2
    labels[4:6, 8:10, 8:10] = 3
    return labels


def predicted_of(number: int) -> np.ndarray:
    """Every mask but one has a speck far from the kidneys; all tumors are right."""
    labels = truth_of(number)
    if number:
        labels[10:12, 25:27, 25 : 27 + number] = 3
    return labels


@pytest.fixture
def pretended(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Cases and masks as above; the list gets the chains that networks are built with."""
    asked: list[str] = []

    def segmenter(_: list, inference: config.InferenceSettings) -> SimpleNamespace:
        asked.append(inference.postprocess)
        return SimpleNamespace(model=lambda: Model(None, LATERALITY, ()))

    monkeypatch.setattr(chain_choice, "cases_of_split", lambda *_: [SimpleNamespace(case_id=name) for name in CASES])
    monkeypatch.setattr(chain_choice, "segmenter_of", segmenter)
    monkeypatch.setattr(Model, "labels", lambda self, image: predicted_of(int(image.array[0, 0, 0])))

    def read_truth(files: SimpleNamespace, _: object) -> tuple[Volume, np.ndarray]:
        number = CASES.index(files.case_id)
        image = Volume.from_stored(np.full((12, 30, 60), number, np.int16), np.diag([-1.0, -1.0, -1.0, 1]))
        truth = truth_of(number)
        return Volume(np.full(truth.shape, number, np.int16), image.grid, image.stored, None), truth

    monkeypatch.setattr(chain_choice, "read_truth", read_truth)
    return asked


def test_what_helps_is_kept(pretended: list[str], run_dir: Path, tmp_path: Path, capsys, monkeypatch) -> None:
    copy = shutil.copytree(run_dir, tmp_path / "run")
    seen = []

    def evaluate_run(*arguments: object) -> None:
        seen.append(arguments[3])
        raise InputError("enough")

    monkeypatch.setattr(evaluation, "evaluate_run", evaluate_run)
    with pytest.raises(InputError, match="enough"):
        evaluate.main(evaluate.Evaluate(run_dir=str(copy), inference=AUTO))
    assert pretended == ["off", "crf"] and seen[0].postprocess == ""
    facts = json.loads((copy / POSTPROCESS).read_text())
    by_chain = {row["chain"]: row for row in facts["tried"]}
    assert facts["chain"] == "kidneys" and facts["validation_cases"] == 6
    assert by_chain["kidneys"]["interval_95"][0] > 0 and by_chain["kidneys"]["mean"] == pytest.approx(1)
    assert by_chain["open:1"]["gain"] != 0 and by_chain["sides"]["gain"] == 0
    assert "chosen: kidneys" in capsys.readouterr().out
    assert load_run(copy).postprocess == "kidneys"
    (copy / POSTPROCESS).write_text("{}")
    with pytest.raises(InputError, match="postprocess.json: expected the chain that was chosen"):
        load_run(copy)


def test_nothing_is_kept_where_nothing_surely_helps(pretended, run_dir: Path, tmp_path: Path, monkeypatch) -> None:
    copy = shutil.copytree(run_dir, tmp_path / "run")
    monkeypatch.setattr(Model, "labels", lambda self, image: truth_of(int(image.array[0, 0, 0])))
    choice = chain_choice.choose_chain(copy, None, AUTO)
    assert (
        choice.chain == ""
        and choice.trials[0].mean == 1
        and json.loads((copy / POSTPROCESS).read_text())["chain"] == ""
    )
    monkeypatch.setattr(chain_choice, "cases_of_split", lambda *_: CASES[:5])
    with pytest.raises(InputError, match="expected 6 validation cases or more, found 5"):
        chain_choice.choose_chain(copy, None, AUTO)
    with pytest.raises(InputError, match="expected --run_dir with --postprocess=auto"):
        evaluate.Evaluate(predictions_dir="p", data_dir="d", inference=AUTO)
