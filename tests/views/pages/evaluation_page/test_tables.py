from dataclasses import replace
from pathlib import Path

import numpy as np

from kits_tf.analysis.evaluation_files import Evaluation
from kits_tf.analysis.lesions import Lesion
from kits_tf.analysis.mask_files import MaskFolder
from kits_tf.analysis.scores import SCORES, CaseScores
from kits_tf.analysis.statistics import differences, summarize
from kits_tf.ct.case_facts import CaseFacts, LabelFacts
from kits_tf.ct.labels import KITS19, LATERALITY, Scheme
from kits_tf.views.pages.evaluation_page import tables

FACTS = CaseFacts(
    shape_zyx=(1, 1, 1),
    spacing_zyx_mm=(1, 1, 1),
    axes="IPL",
    dtype="int16",
    hu_range=(0, 1),
    scan_crc32=0,
    labels=None,
)


def evaluation(name: str, tumor: list[float], scheme: Scheme = LATERALITY) -> Evaluation:
    keys = [key for key, row in SCORES.items() if not row.class_name or row.class_name in scheme.classes]
    lesions = (Lesion(True, 10.0, 0.5), Lesion(True, 10.0, 0.0), Lesion(False, 40.0, 0.0))
    halves = dict.fromkeys(keys, 0.5)
    cases = [
        CaseScores(f"case_{i}", halves | {"tumor_dice": dice}, lesions, np.zeros((4, 4), np.int64))
        for i, dice in enumerate(tumor)
    ]
    cases[0].values["tumor_hd95_mm"] = np.inf
    cases[1].values["kidney_hd95_mm"] = np.nan
    scores = {case.case_id: case.values for case in cases}
    return Evaluation(
        name=name,
        scores_dir=Path(name),
        masks=MaskFolder(folder=Path(name), masks={}, scheme=scheme, problems={}),
        cases=[],
        scores=scores,
        summary=summarize(cases),
        run_dir=None,
    )


def test_means_have_interval_median_and_what_is_left_out() -> None:
    rows = {row.name: row for row in tables.mean_rows([evaluation("a", [0.2, 0.4, 0.9])], {})}
    assert rows["tumor Dice"].cells[0].startswith("0.500 (0.2") and rows["tumor Dice"].cells[0].endswith("median 0.400")
    assert rows["kidney + tumor Dice"].cells == ["0.500 (0.500 to 0.500), median 0.500"]
    assert rows["tumor HD95 (mm)"].cells == ["0.5 (0.5 to 0.5), median 0.5, 1 left out"]
    assert "right kidney Dice" in rows and len(rows) == 3 + 2 + 10
    assert rows["kidney + tumor volume error (mL)"].cells[0].startswith("+0.5")
    mostly_infinite = evaluation(
        "a", [0.2, 0.4]
    )  # of two distances one, so that the median is infinite and the mean is not
    rows = {row.name: row for row in tables.mean_rows([mostly_infinite], {})}
    assert rows["tumor HD95 (mm)"].cells == ["0.5, median ∞, 1 left out"]
    without_sides = {row.name for row in tables.mean_rows([evaluation("a", [0.2, 0.4], KITS19)], {})}
    assert "kidney alone Dice" in without_sides and "right kidney Dice" not in without_sides


def test_differences_are_the_second_minus_the_first() -> None:
    first, second = evaluation("a", [0.2, 0.4, 0.9]), evaluation("b", [0.3, 0.5, 1.0])
    changes = {each.key: each for each in differences(first.scores, second.scores, list(first.scores))}
    rows = {row.name: row for row in tables.mean_rows([first, second], changes)}
    assert rows["tumor Dice"].difference == "+0.100 (+0.100 to +0.100)" and rows["tumor Dice"].p_value == "0.25"
    assert (
        rows["kidney + tumor Dice"].difference == "+0.000 (+0.000 to +0.000)"
        and rows["kidney + tumor Dice"].p_value == "1"
    )
    keys = [column.key for column in tables.columns([first, second])]
    cells = {cell.key: cell for cell in tables.cells("case_1", [first, second], FACTS)}
    assert list(cells) == keys and len(keys) == 3 + 6 + 2 + 9
    assert cells["change_tumor_dice"].text == "+0.100" and cells["second_tumor_dice"].text == "0.500"


def test_cells_sort_as_numbers_and_say_what_is_none() -> None:
    one = evaluation("a", [0.2, 0.4])
    volumes_ml = {"kidney": 300.0, "tumor": 20.0, "cyst": 5.0}
    labels = LabelFacts(dtype="uint8", volumes_ml=volumes_ml, parts=2, specks=0, tumors=1, scan_ends=(), hu_mean=100.0)
    facts = replace(FACTS, labels=labels)
    cells = {cell.key: cell for cell in tables.cells("case_0", [one], facts)}
    assert (cells["tumor_hd95_mm"].value, cells["tumor_hd95_mm"].text) == ("Infinity", "∞")
    assert (cells["true_kidney_ml"].text, cells["true_tumor_ml"].text) == ("325.0", "20.0")
    assert float(cells["tumor_dice"].value) == 0.2
    cells = {cell.key: cell for cell in tables.cells("case_1", [one], facts)}
    assert (cells["kidney_hd95_mm"].value, cells["kidney_hd95_mm"].text) == ("", "-")


def test_published_figures_say_what_they_were_measured_on() -> None:
    ours, *others = tables.published_rows([evaluation("a", [0.2, 0.4])])
    assert ours.name == "a" and ours.measured_on == "2 cases of this page" and ours.kidney == "0.500 (0.500 to 0.500)"
    assert [(row.kidney, row.tumor) for row in others] == [("0.91", "0.65"), ("0.974", "0.851"), ("0.983", "0.923")]
    assert all("KiTS19" in row.measured_on for row in others)


def test_tumors_by_size() -> None:
    rows = dict(tables.lesion_rows([evaluation("a", [0.2, 0.4])]))
    assert rows["20 to 40 mm"] == ["2 of 4", "0"]  # 10 mL: 27 mm
    assert rows["40 to 70 mm"] == ["0 of 0", "2"]  # 40 mL: 42 mm
