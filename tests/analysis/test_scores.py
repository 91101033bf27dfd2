import warnings

import numpy as np
import pytest
import surface_distance
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from kits_tf.analysis import scores
from kits_tf.analysis.mask_pair import MaskPair, confusion
from kits_tf.ct.geometry import Spacing
from kits_tf.ct.labels import KITS19, LATERALITY, Scheme, find_scheme

SPACING = (3.0, 0.8, 0.7)


def all_scores(truth: np.ndarray, predicted: np.ndarray, scheme: Scheme, spacing_mm: Spacing) -> scores.ScoreValues:
    return scores.score_values(MaskPair(truth=truth, predicted=predicted, scheme=scheme, spacing_mm=spacing_mm))


def official(truth: np.ndarray, predicted: np.ndarray) -> tuple[float, float]:
    """The challenge's formula on its own labels, with both empty = 1."""
    result = []
    for mine, theirs in ((truth > 0, predicted > 0), (truth == 2, predicted == 2)):
        total = mine.sum() + theirs.sum()
        result.append(1.0 if total == 0 else 2 * (mine & theirs).sum() / total)
    return result[0], result[1]


@given(hnp.arrays(np.uint8, (2, 3, 4, 5), elements=st.integers(0, 3)))
def test_equals_the_challenges_formula(pair: np.ndarray) -> None:
    truth, predicted = pair
    found = scores.dice_scores(truth, predicted, LATERALITY)
    kidney, tumor = official(LATERALITY.to_challenge(truth), LATERALITY.to_challenge(predicted))
    assert found["kidney_dice"] == pytest.approx(kidney, abs=1e-12)
    assert found["tumor_dice"] == pytest.approx(tumor, abs=1e-12)
    assert found["composite"] == pytest.approx((kidney + tumor) / 2)
    assert scores.dice_scores(predicted, truth, LATERALITY) == found


@settings(deadline=None, max_examples=50)
@given(hnp.arrays(np.uint8, (2, 3, 4, 5), elements=st.integers(0, 4)))
def test_equals_kits23s_formula(pair: np.ndarray) -> None:
    """Its own: both empty = 1, one empty = 0; surfaces by the surface-distance library."""
    scheme = find_scheme("laterality", "class")
    found = all_scores(*pair, scheme, SPACING)
    truth, predicted = np.array([0, 1, 1, 2, 3])[pair]
    regions = {"kidney_and_mass": ((1, 2, 3), 1.0330772532390826), "mass": ((2, 3), 1.1328796488598762)}
    for name, (labels, tolerance_mm) in (regions | {"tumor": ((2,), 1.1498198361434828)}).items():
        mine, theirs = np.isin(truth, labels), np.isin(predicted, labels)
        if mine.any() and theirs.any():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # it calls SciPy by old names
                distances = surface_distance.compute_surface_distances(mine, theirs, SPACING)
            surface = surface_distance.compute_surface_dice_at_tolerance(distances, tolerance_mm)
            assert found[f"kits23_{name}_dice"] == pytest.approx(
                2 * (mine & theirs).sum() / (mine.sum() + theirs.sum())
            )
            assert found[f"kits23_{name}_surface_dice"] == pytest.approx(surface, abs=1e-6)
        else:
            expected = float(not mine.any() and not theirs.any())
            assert found[f"kits23_{name}_dice"] == found[f"kits23_{name}_surface_dice"] == expected


def test_what_else_a_case_is_scored_by() -> None:
    """Two voxels of 0.5 mL that are the wrong kidney, one too many, one tumor lost."""
    truth = np.array([[[1, 1, 1, 0, 2, 2, 2, 3, 0, 0]]], np.uint8)
    predicted = np.array([[[1, 1, 2, 0, 2, 1, 2, 2, 2, 0]]], np.uint8)
    found = all_scores(truth, predicted, LATERALITY, (5.0, 10.0, 10.0))
    assert found["side_confusion"] == pytest.approx(2 / 6)
    assert found["kidney_volume_error_ml"] == pytest.approx(0.5)
    assert found["tumor_volume_error_ml"] == pytest.approx(-0.5)
    assert found["tumor_hd95_mm"] == found["tumor_average_distance_mm"] == np.inf
    assert (found["lesions"], found["lesions_detected"], found["lesions_falsely_raised"]) == (1, 0, 0)
    assert found["tumor_as_kidney"] == 1
    # Only the end has moved, by a voxel: less than a twentieth of both surfaces.
    assert found["kidney_hd95_mm"] == 0 < found["kidney_average_distance_mm"] < 0.5
    assert "side_confusion" not in all_scores(truth % 3, predicted % 3, KITS19, SPACING)


def test_what_becomes_of_a_tumor() -> None:
    """Of four voxels of tumor one is kept, two are called kidney and one background; without a tumor there is none."""
    truth = np.array([[[1, 3, 3, 3, 3, 2]]], np.uint8)
    predicted = np.array([[[1, 3, 1, 2, 0, 2]]], np.uint8)
    assert all_scores(truth, predicted, LATERALITY, SPACING)["tumor_as_kidney"] == 0.5
    assert np.isnan(all_scores(truth % 3, predicted, LATERALITY, SPACING)["tumor_as_kidney"])


def test_by_hand_and_sides_count() -> None:
    truth = np.array([[[1, 1, 2, 2, 3, 0]]], np.uint8)
    predicted = np.array([[[1, 2, 2, 2, 0, 0]]], np.uint8)
    found = scores.dice_scores(truth, predicted, LATERALITY)
    by_class = {"dice_right_kidney": 2 / 3, "dice_left_kidney": 4 / 5, "dice_tumor": 0}
    assert {name: found[name] for name in by_class} == pytest.approx(by_class)
    assert found["kidney_dice"] == pytest.approx(8 / 9)  # sides do not matter here


def test_empty_cases_are_decided() -> None:
    empty, full = np.zeros((2, 2, 2), np.uint8), np.full((2, 2, 2), 2, np.uint8)
    assert scores.dice_scores(empty, empty, KITS19) == {
        "kidney_dice": 1, "tumor_dice": 1, "composite": 1, "dice_kidney": 1, "dice_tumor": 1
    }  # fmt: skip
    assert (
        scores.dice_scores(full, empty, KITS19)["composite"]
        == scores.dice_scores(empty, full, KITS19)["composite"]
        == 0
    )
    nothing = all_scores(empty, empty, KITS19, SPACING)
    assert nothing["kits23_kidney_and_mass_surface_dice"] == 1 and np.isnan(nothing["kidney_hd95_mm"])
    assert nothing["kidney_volume_error_ml"] == nothing["lesions"] == 0


def test_confusion_counts_pairs() -> None:
    counts = confusion(np.array([[[0, 1, 1]]], np.uint8), np.array([[[0, 1, 2]]], np.uint8), 3)
    assert counts.tolist() == [[1, 0, 0], [0, 1, 1], [0, 0, 0]]
    with pytest.raises(ValueError, match="expected masks of one shape"):
        confusion(np.zeros((1, 1, 1), np.uint8), np.zeros((1, 1, 2), np.uint8), 3)


def test_every_class_of_every_scheme_has_its_dice() -> None:
    for name in ("laterality", "kits19"):
        classes = find_scheme(name, "class").classes[1:]
        assert [row.class_name for row in scores.SCORES.values() if row.class_name in classes] == list(classes)


def test_the_truth_itself_has_the_best_scores() -> None:
    """The truth itself is scored best; the truth without its tumor and with a side exchanged is worse."""
    truth = np.zeros((6, 12, 20), np.uint8)
    truth[1:5, 2:9, 2:8], truth[1:5, 2:9, 12:18], truth[2:4, 4:7, 4:7] = 1, 2, 3
    wrong = np.array([0, 2, 2, 1], np.uint8)[truth]
    wrong[0] = 1
    best = all_scores(truth, truth, LATERALITY, (5.0, 3.0, 3.0))
    worse = all_scores(truth, wrong, LATERALITY, (5.0, 3.0, 3.0))
    assert list(best) == [
        key for key in scores.SCORES if key not in ("dice_kidney", "dice_cyst", "mlperf_label_1_dice")
    ]
    for key, value in best.items():
        row = scores.SCORES[key]
        if key == "lesions":
            assert worse[key] == value == 1
        elif key == "lesions_falsely_raised":
            assert worse[key] == value == 0
        elif row.unit == "mL":
            assert worse[key] != value == 0, key
        elif row.unit == "mm" or key in ("side_confusion", "tumor_as_kidney"):
            assert worse[key] > value == 0, key
        else:
            assert worse[key] < value, key
        assert not row.unit or key.endswith(f"_{row.unit.lower()}"), key
    assert scores.SCORES["tumor_volume_error_ml"].difference_format == "{:+.1f}"
    titles = [row.title for row in scores.SCORES.values()]
    assert len(set(titles)) == len(titles)
    headings = [row.heading(["dice_cyst"]) for row in scores.SCORES.values() if row.key != "dice_tumor"]
    assert len(set(headings)) == len(headings)
    assert {"kidney + tumor Dice", "mean of both Dice", "tumor HD95 (mm)", "right kidney Dice", "false tumors"} < {
        *headings
    }
    assert scores.SCORES["kidney_volume_error_ml"].heading(["dice_cyst"]) == "kidney + tumor + cyst volume error (mL)"
    assert scores.SCORES["kidney_volume_error_ml"].heading(["dice_kidney"]) == "kidney + tumor volume error (mL)"
    assert scores.scores_of_structures(scores.Topic.SURFACE_DICE) == {
        "kidney": "kits23_kidney_and_mass_surface_dice", "tumor": "kits23_tumor_surface_dice"
    }  # fmt: skip


def test_dice_of_a_pair_searches_no_surface(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kits_tf.analysis.mask_pair.surface_distances", lambda *_: pytest.fail("searched"))
    masks = np.ones((2, 2, 2), np.uint8)
    assert list(scores.dice_scores(masks, masks, KITS19)) == [
        "kidney_dice", "tumor_dice", "composite", "dice_kidney", "dice_tumor"
    ]  # fmt: skip
