"""A score of a module outside the package: one function and one row."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from kits_tf import evaluate
from kits_tf.analysis.evaluation_files import read_masks_evaluation
from kits_tf.analysis.scores import SCORES
from kits_tf.base.registry import import_plugins
from kits_tf.config import MaskSchemeSettings
from kits_tf.ct.case_facts import CaseFacts
from kits_tf.views.pages.evaluation_page import tables

MODULE = """
from kits_tf.analysis.mask_pair import MaskPair
from kits_tf.analysis.scores import score


@score("tumor_recall", "share of the tumor that was segmented", text_format="{:.2f}")
def tumor_recall(pair: MaskPair) -> float:
    tumor = pair.region_labels("tumor")
    return float(pair.counts[tumor][:, tumor].sum() / pair.counts[tumor].sum())
"""


def test_a_score_is_in_every_file_table_and_page(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "scores_of_mine.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("KITS_TF_PLUGINS", "")
    monkeypatch.setattr(SCORES, "_things", dict(SCORES.items()))
    import_plugins(("scores_of_mine",))
    masks_dir, masks = tmp_path / "masks", MaskSchemeSettings(label_scheme="kits19")
    masks_dir.mkdir()
    shutil.copyfile(data_dir / "case_00002" / "segmentation.nii.gz", masks_dir / "case_00002.nii.gz")
    folders = {"predictions_dir": str(masks_dir), "data_dir": str(data_dir)}
    evaluate.main(evaluate.Evaluate(**folders, masks=masks, workers=1))
    with open(masks_dir / "evaluation" / "cases.csv", newline="") as file:
        (row,) = csv.DictReader(file)
    assert list(row)[-1] == "tumor_recall" and float(row["tumor_recall"]) == 1
    summary = json.loads((masks_dir / "evaluation" / "summary.json").read_text())
    assert summary["tumor_recall"] == {"mean": 1.0, "interval_95": [None, None], "median": 1.0, "left_out": 0}
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("share of the tumor")]
    assert line.split()[-4:] == ["1.00", "-", "1.00", "1"]
    evaluation = read_masks_evaluation(masks_dir, str(data_dir), masks, None)
    means = {row.name: row.cells for row in tables.mean_rows([evaluation], {})}
    assert means["share of the tumor that was segmented"] == ["1.00, median 1.00"]
    facts = CaseFacts(
        shape_zyx=(1, 1, 1),
        spacing_zyx_mm=(1, 1, 1),
        axes="IPL",
        dtype="int16",
        hu_range=(0, 1),
        scan_crc32=0,
        labels=None,
    )
    cells = {cell.key: cell.text for cell in tables.cells("case_00002", [evaluation], facts)}
    assert cells["tumor_recall"] == "1.00"
    # An evaluation without the score shows a dash.
    evaluation.scores["case_00002"].pop("tumor_recall")
    cells = {cell.key: cell.text for cell in tables.cells("case_00002", [evaluation], facts)}
    assert cells["tumor_recall"] == "-" and np.isfinite(float(cells["tumor_dice"]))
