import numpy as np

from kits_tf.analysis.lesions import Lesion
from kits_tf.analysis.scores import SCORES, CaseScores
from kits_tf.analysis.statistics import differences, summarize
from kits_tf.views.terminal.scores_table import differences_table, folds_table, scores_table

COUNTS = np.zeros((3, 3), np.int64)


def case(name: str, without: tuple[str, ...] = ("dice_kidney", "dice_cyst"), **values: float) -> CaseScores:
    """Returns a case with two true tumors, one of which is detected, and a false one; scores are 0.5 by default."""
    lesions = (Lesion(True, 10.0, 0.8), Lesion(True, 20.0, 0.0), Lesion(False, 10.0, 0.8), Lesion(False, 1.0, 0.0))
    return CaseScores(name, {key: 0.5 for key in SCORES if key not in without} | values, lesions, COUNTS)


def table_of(*cases: CaseScores) -> dict[str, list[str]]:
    """Returns the cells of each line by its heading."""
    return cells(scores_table(cases, summarize(cases)))


def cells(table: str) -> dict[str, list[str]]:
    lines = [[word.strip() for word in line.split("  ") if word] for line in table.splitlines()]
    return {line[0]: line[1:] for line in lines if line}


def test_columns_and_rows_have_the_fields_names() -> None:
    text = scores_table([case("a")], summarize([case("a")]))
    heading = [word.strip() for word in text.splitlines()[1].split("  ") if word]
    assert heading == ["kidney + tumor", "tumor", "mean of both", "right kidney", "left kidney"]
    rows = cells(text)
    assert rows["tumor HD95 (mm)"] == ["0.5", "-", "0.5", "1"]
    assert rows["kidney + tumor volume error (mL)"] == ["+0.5", "-", "+0.5", "1"]
    assert rows["kidney + tumor surface Dice"] == ["0.500", "-", "0.500", "1"]
    assert rows["tumor diameter (mm)"] == ["true", "detected", "missed", "false"]
    assert rows["20 to 40"] == ["2", "1", "1", "0"] and rows["all"] == ["2", "1", "1", "1"]
    two = cells(scores_table([case("a"), case("b")], summarize([case("a"), case("b")])))
    assert two["tumor HD95 (mm)"] == ["0.5", "0.5..0.5", "0.5", "2"]
    far = [case("a"), case("b", tumor_hd95_mm=np.inf)]
    assert cells(scores_table(far, summarize(far)))["tumor HD95 (mm)"] == ["0.5", "-", "∞", "1"]
    assert rows["95 % CI (none, n=1)"] == ["-"] * 5 and two["95 % CI of the mean"] == ["0.500..0.500"] * 5
    assert not any("KiTS23" in line or "cyst" in line for line in text.splitlines())


def test_cysts_have_rows_of_their_own() -> None:
    rows = table_of(case("a", without=("dice_right_kidney", "dice_left_kidney")))
    assert "kidney + tumor + cyst HD95 (mm)" in rows and "tumor + cyst Dice (KiTS23)" in rows


def test_poor_tumors_are_explained() -> None:
    poor = [case("a", tumor_as_kidney=0.2), case("b")]
    line = "tumor Dice is 0.500: 2 of 4 tumors missed, 2 false, on average 35 % of a case's tumor is marked as kidney"
    assert line in scores_table(poor, summarize(poor)).splitlines()
    good = [case("a", tumor_dice=0.7)]
    assert "missed," not in scores_table(good, summarize(good))
    without_tumor = [case("a", tumor_as_kidney=np.nan)]
    assert "2 tumors missed, 1 false\n" in scores_table(without_tumor, summarize(without_tumor))


def test_folds_stand_below_each_other() -> None:
    folds = {"fold0": summarize([case("a"), case("b")]), "fold1": summarize([case("c", tumor_dice=0.7)])}
    rows = cells(folds_table(folds))
    assert rows["fold0"] == ["2", *["0.500"] * 5] and rows["fold1"][:3] == ["1", "0.500", "0.700"]
    assert rows["standard deviation"][:2] == ["0.000", "0.141"]


def test_differences_have_the_same_names() -> None:
    first, second = case("a").values | {"mine": 0.0}, case("a", tumor_dice=0.75).values | {"mine": 1.0}
    rows = cells(differences_table(differences({"a": first}, {"a": second}, ["a"])))
    assert rows["tumor Dice"][:2] == ["1", "+0.2500"] and rows["mine"][:2] == ["1", "+1.0000"]
    assert "false tumors" in rows and "tumor Dice (KiTS23)" not in rows
