"""Scores of a mask against the truth, on the original grid: SCORES has a row for each.

A score is a function of a `MaskPair` and a row that says what it is; cases.csv, summary.json, the table on the terminal
and the report's page read the rows. A module outside the package adds one with the decorator `score`.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kits_tf.analysis.lesions import Lesion
from kits_tf.analysis.mask_pair import KITS23_REGIONS, STRUCTURES, MaskPair, confusion, region_dice
from kits_tf.analysis.score_rows import (
    DICE_TOPICS,
    SCORES,
    Score,
    Topic,
    class_score,
    score,
    scores_by_topic,
    scores_of_structures,
)
from kits_tf.base.words import structure_text
from kits_tf.ct.geometry import resampled_shape
from kits_tf.ct.labels import CHALLENGE_KIDNEY, Scheme, challenge_lookup, region_labels

__all__ = [
    "COMPOSITE",
    "DICE_TOPICS",
    "KIDNEY_DICE",
    "SCORES",
    "TUMOR_AS_KIDNEY",
    "TUMOR_DICE",
    "CaseScores",
    "Score",
    "ScoreTable",
    "ScoreValues",
    "Topic",
    "class_score",
    "dice_scores",
    "score",
    "score_pair",
    "score_values",
    "scores_by_topic",
    "scores_of_structures",
]

# Values of one case by the keys of SCORES; some are inf or nan.
ScoreValues = dict[str, float]
# The same for each case, by its id.
ScoreTable = dict[str, ScoreValues]


@dataclass(frozen=True)
class CaseScores:
    """Scores of one case on its original grid.

    Attributes:
        case_id: identifier of the case.
        values: value of each score, by the keys of SCORES. Distances are inf where one mask is empty, nan where both
            are. Without a predicted mask Dice are 0, whatever the truth is (`Score.when_missing`).
        lesions: tumors of both masks.
        counts: `label_counts` of the masks, which doubts of the labels rest on.
    """

    case_id: str
    values: ScoreValues
    lesions: tuple[Lesion, ...]
    counts: NDArray[np.int64] = field(compare=False, repr=False)


def score_pair(case_id: str, pair: MaskPair, counts: NDArray[np.int64]) -> CaseScores:
    """Returns all scores of a case that its masks have, with the `label_counts` of these masks."""
    return CaseScores(case_id, score_values(pair), tuple(pair.lesions), counts)


def score_values(pair: MaskPair, topics: Collection[Topic] = tuple(Topic)) -> ScoreValues:
    """Returns the scores of some topics that a pair of masks has; of DICE_TOPICS alone no surface is searched."""
    rows = [row for row in SCORES.values() if row.topic in topics and row.applies(pair)]
    return {row.key: _value(row, pair) for row in rows}


def _value(row: Score, pair: MaskPair) -> float:
    return row.when_missing if pair.is_missing and row.when_missing is not None else row.value(pair)


def dice_scores(truth: NDArray[np.uint8], predicted: NDArray[np.uint8], scheme: Scheme) -> ScoreValues:
    """Returns the scores of DICE_TOPICS, for which voxels need no size, of two masks (z, y, x) of `scheme`."""
    pair = MaskPair(truth=truth, predicted=predicted, scheme=scheme, spacing_mm=(1.0, 1.0, 1.0))
    return score_values(pair, DICE_TOPICS)


# KiTS19's own scores, and their mean, by which cases and networks are ranked.
KIDNEY_DICE = "kidney_dice"
TUMOR_DICE = "tumor_dice"
COMPOSITE = "composite"


@score(
    KIDNEY_DICE,
    "kidney Dice",
    topic=Topic.CHALLENGE,
    structure="kidney",
    region="kidney + tumor",
    measure="Dice",
    when_missing=0.0,
)
def kidney_dice(pair: MaskPair) -> float:
    """Returns KiTS19's Dice of kidney, with the tumors in it."""
    return pair.dice(region_labels(pair.scheme)["kidney"])


@score(
    TUMOR_DICE,
    "tumor Dice",
    topic=Topic.CHALLENGE,
    structure="tumor",
    region="tumor",
    measure="Dice",
    when_missing=0.0,
)
def tumor_dice(pair: MaskPair) -> float:
    """Returns KiTS19's Dice of tumor."""
    return pair.dice(region_labels(pair.scheme)["tumor"])


@score(COMPOSITE, "mean of both Dice", topic=Topic.CHALLENGE, region="mean of both", measure="Dice", when_missing=0.0)
def composite(pair: MaskPair) -> float:
    """Returns the mean of KiTS19's Dice of kidney and of tumor."""
    return (kidney_dice(pair) + tumor_dice(pair)) / 2


def class_dice(class_name: str, pair: MaskPair) -> float:
    """Returns the Dice of one class of the scheme."""
    return pair.dice([pair.scheme.classes.index(class_name)])


def _has_class(class_name: str, pair: MaskPair) -> bool:
    return class_name in pair.scheme.classes


for _name in ("kidney", "right_kidney", "left_kidney", "tumor", "cyst"):
    score(
        class_score(_name),
        f"{_name.replace('_', ' ')} alone, Dice",
        applies=partial(_has_class, _name),
        topic=Topic.CLASS,
        class_name=_name,
        region="kidney alone" if _name == "kidney" else structure_text(_name),
        measure="Dice",
        in_means=_name != "tumor",  # which is the challenge's tumor
        in_cases=False,
        when_missing=0.0,
    )(partial(class_dice, _name))


def kits23_dice(region: str, pair: MaskPair) -> float:
    """Returns the Dice of one of KITS23_REGIONS."""
    return pair.dice(pair.region_labels(region))


def kits23_surface_dice(region: str, pair: MaskPair) -> float:
    """Returns the share of both surfaces of one of KITS23_REGIONS that lies within its tolerance of the other one."""
    return pair.surface_distances(region).dice(KITS23_REGIONS[region].tolerance_mm)


def hd95_mm(region: str, pair: MaskPair) -> float:
    """Returns the 95 % Hausdorff distance of one of KITS23_REGIONS."""
    return pair.surface_distances(region).hd95_mm()


def average_distance_mm(region: str, pair: MaskPair) -> float:
    """Returns the average symmetric surface distance of one of KITS23_REGIONS."""
    return pair.surface_distances(region).average_mm()


def volume_error_ml(region: str, pair: MaskPair) -> float:
    """Returns the predicted minus the true volume of one of KITS23_REGIONS."""
    labels = pair.region_labels(region)
    return float((pair.counts[:, labels].sum() - pair.counts[labels].sum()) * pair.voxel_ml)


# Names of KITS23_REGIONS where there are labels of cysts.
_REGION_WORDS = {"kidney_and_mass": "kidney + tumor + cyst", "mass": "tumor + cyst", "tumor": "tumor"}


def _add_scores_of_region(region: str) -> None:
    """Adds the rows of KiTS23's Dice and surface Dice of one of KITS23_REGIONS."""
    structure = next((name for name, of_structure in STRUCTURES.items() if of_structure == region), "")
    words, is_shown = structure or region, bool(structure)
    dice = score(
        f"kits23_{region}_dice",
        f"KiTS23's {words} Dice",
        region=_REGION_WORDS[region],
        measure="Dice (KiTS23)",
        topic=Topic.KITS23_DICE,
        in_means=False,
        in_cases=False,
        when_missing=0.0,
    )
    dice(partial(kits23_dice, region))
    surface_dice = score(
        f"kits23_{region}_surface_dice",
        f"{words} surface Dice",
        topic=Topic.SURFACE_DICE,
        structure=structure,
        region=_REGION_WORDS[region],
        measure="surface Dice",
        in_means=is_shown,
        in_cases=is_shown,
        when_missing=0.0,
    )
    surface_dice(partial(kits23_surface_dice, region))


def _add_scores_of_structure(structure: str) -> None:
    """Adds the rows of distances and volumes of one of STRUCTURES."""
    region = STRUCTURES[structure]
    distance: dict[str, Any] = {
        "structure": structure,
        "region": _REGION_WORDS[region],
        "unit": "mm",
        "text_format": "{:.1f}",
    }
    hausdorff = score(
        f"{structure}_hd95_mm",
        f"{structure} Hausdorff distance, 95 %",
        topic=Topic.HD95,
        measure="HD95",
        **distance,
    )
    hausdorff(partial(hd95_mm, region))
    average = score(
        f"{structure}_average_distance_mm",
        f"{structure} average surface distance",
        topic=Topic.AVERAGE_DISTANCE,
        measure="average surface distance",
        in_cases=False,
        **distance,
    )
    average(partial(average_distance_mm, region))
    volume_error = score(
        f"{structure}_volume_error_ml",
        f"{structure} volume, predicted - true",
        topic=Topic.VOLUME,
        structure=structure,
        region=_REGION_WORDS[region],
        measure="volume error",
        unit="mL",
        text_format="{:+.1f}",
    )
    volume_error(partial(volume_error_ml, region))


_add_scores_of_region("kidney_and_mass")
_add_scores_of_structure("kidney")
_add_scores_of_region("mass")
_add_scores_of_region("tumor")
_add_scores_of_structure("tumor")


@score(
    "side_confusion",
    "share of kidney with the other side",
    region="kidney",
    measure="on the wrong side (share)",
    applies=partial(_has_class, "right_kidney"),
    topic=Topic.SIDES,
    in_cases=False,
    when_missing=np.nan,
)
def side_confusion(pair: MaskPair) -> float:
    """Returns which share of what both masks call kidney has the other side in each; 0 if there is nothing."""
    sides = [pair.scheme.classes.index(name) for name in ("right_kidney", "left_kidney")]
    both = pair.counts[np.ix_(sides, sides)]
    return float((both.sum() - np.trace(both)) / max(1, both.sum()))


# The tumors one by one, and what became of those that are lost.
TUMOR_AS_KIDNEY = "tumor_as_kidney"
_COUNT: dict[str, Any] = {"topic": Topic.LESIONS, "text_format": "{:.0f}", "in_means": False}


@score("lesions", "tumors", measure="true tumors", **_COUNT)
def num_lesions(pair: MaskPair) -> int:
    """Returns the number of tumors of the true mask."""
    return sum(lesion.is_true for lesion in pair.lesions)


@score("lesions_detected", "detected", measure="detected tumors", **_COUNT)
def num_lesions_detected(pair: MaskPair) -> int:
    """Returns the number of tumors of the true mask that the predicted one has too."""
    return sum(lesion.is_true and lesion.matched for lesion in pair.lesions)


@score("lesions_falsely_raised", "false tumors", measure="false tumors", **_COUNT, when_missing=np.nan)
def num_lesions_falsely_raised(pair: MaskPair) -> int:
    """Returns the number of tumors of the predicted mask that the true one lacks."""
    return sum(not lesion.is_true and not lesion.matched for lesion in pair.lesions)


@score(
    TUMOR_AS_KIDNEY,
    "share of the tumors that is marked as kidney",
    measure="tumor marked as kidney (share)",
    topic=Topic.LESIONS,
    in_means=False,
    in_cases=False,
    when_missing=np.nan,
)
def tumor_as_kidney(pair: MaskPair) -> float:
    """Returns which share of the true tumors' voxels the predicted mask calls kidney; nan without a true tumor."""
    tumor = pair.counts[pair.region_labels("tumor")].sum(axis=0)
    return float(tumor[_kidney_alone(pair.scheme)].sum() / tumor.sum()) if tumor.any() else np.nan


def _has_training_grid(pair: MaskPair) -> bool:
    return pair.training_grid is not None


@score(
    "mlperf_label_1_dice",
    "MLPerf's Dice of label 1, comparable with none of these",
    applies=_has_training_grid,
    topic=Topic.MLPERF,
    in_cases=False,
    when_missing=0.0,
)
def mlperf_label_1_dice(pair: MaskPair) -> float:
    """Returns the Dice of the challenge's label 1, kidney without tumor, on the training grid."""
    from kits_tf.ct.preprocess import resample_labels  # the only score that needs TensorFlow

    assert pair.training_grid is not None
    kernel, num_classes = pair.training_grid.label_kernel, len(pair.scheme.classes)
    shape = resampled_shape(pair.truth.shape, pair.spacing_mm, pair.training_grid.spacing_zyx_mm)
    truth = resample_labels(pair.truth, shape, kernel, num_classes).numpy()
    predicted = resample_labels(pair.predicted, shape, kernel, num_classes).numpy()
    return region_dice(confusion(truth, predicted, num_classes), _kidney_alone(pair.scheme))


def _kidney_alone(scheme: Scheme) -> NDArray[np.intp]:
    """Returns the labels of a scheme that are the challenge's label 1, kidney without tumor."""
    return np.flatnonzero(challenge_lookup(scheme.classes) == CHALLENGE_KIDNEY)
