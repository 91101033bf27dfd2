"""Whether labels of predicted masks mean something else than they were read as: good masks would be scored as bad."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kits_tf.analysis.mask_pair import confusion
from kits_tf.base.words import structure_text
from kits_tf.ct.labels import KITS19, LATERALITY, find_scheme

# What a voxel truly is, whatever the labels of the true masks are: the scheme with sides and cysts.
TRUE_CLASSES = find_scheme(LATERALITY.name, "class").classes
# What a label can mean, as parts of TRUE_CLASSES.
_MEANINGS = {
    "background": (0,),
    "kidney": (1, 2),
    "right_kidney": (1,),
    "left_kidney": (2,),
    "tumor": (3,),
    "cyst": (4,),
}
_OTHER_SIDE = {"right_kidney": "left_kidney", "left_kidney": "right_kidney"}
_MIRRORED = "Were the scans or the masks mirrored on their way?"
# A label fits a meaning that it has this Dice with. Masks of kidneys have 0.9; a label that a network puts into the
# wrong place now and then never gets there over all cases, even if half of the kidneys are called tumor (2/3).
_FITS = 0.7
# Together, kidneys and tumors have 0.8 at least in masks that are worth a doubt; half of them, as one kidney, has 2/3.
_COVERS = 0.8
# It fits it better than its own where its own Dice is less than this share: one kidney of two has 2/3 of both.
_MUCH_LESS = 0.5


def label_counts(true_structures: NDArray[np.uint8], labels: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Returns the (5, 5) voxel counts of [TRUE_CLASSES, label of the mask as its file has it].

    Args:
        true_structures: (z, y, x) true labels in the scheme with sides, with or without cysts.
        labels: labels 0..4 of the predicted mask, of the same shape.
    """
    return confusion(true_structures, labels, len(TRUE_CLASSES))


@dataclass(frozen=True, kw_only=True)
class _Fit:
    """How a label fits the structure that it was read as, and the one that it fits best."""

    label: int
    meaning: str
    dice: float
    best: str
    best_dice: float

    @property
    def is_better(self) -> bool:
        return self.best_dice >= _FITS and self.dice < _MUCH_LESS * self.best_dice

    def __str__(self) -> str:
        best, given = structure_text(self.best), structure_text(self.meaning)
        return (
            f"label {self.label} fits the {best} (Dice {self.best_dice:.3f}) rather than the {given} ({self.dice:.3f})"
        )


def label_doubts(counts: Sequence[NDArray[np.int64]], classes: Sequence[str], *, is_named: bool) -> tuple[str, ...]:
    """Returns what speaks against the meaning that the labels of masks were read with, in whole sentences.

    Over all cases together, each label is compared with every structure of the truth. Files that name their labels are
    believed, but for their sides, which scans that were mirrored exchange.

    Args:
        counts: `label_counts` of each case; of none nothing is doubted.
        classes: names that the labels were read as, background first.
        is_named: whether the files name their labels.
    """
    if not counts:
        return ()
    pooled = np.sum(counts, axis=0)
    if _is_truth(pooled, classes):
        return ("Every mask equals the true mask of its case, voxel for voxel: these are the references themselves.",)
    fits = [_fit(pooled, label, name) for label, name in enumerate(classes) if pooled[:, label].any()]
    moved = [fit for fit in fits if fit.best != fit.meaning]
    better = [fit for fit in moved if fit.is_better]
    if not better or not _covers_foreground(pooled, fits):
        return ()
    are_sides = all(_OTHER_SIDE.get(fit.meaning) == fit.best for fit in moved)
    if is_named and not are_sides:
        return ()
    problem = "Right and left kidney seem to be exchanged" if are_sides else "The labels seem to mean something else"
    remedy = _MIRRORED if is_named else _remedy({fit.label: fit.best for fit in fits}, classes)
    return (f"{problem}: {', '.join(map(str, moved))}. {remedy}",)


def _is_truth(counts: NDArray[np.int64], classes: Sequence[str]) -> bool:
    """Returns whether each label has all voxels of its own structure and no other, and there is a structure at all."""
    own = np.zeros_like(counts)
    for label, name in enumerate(classes):
        parts = list(_MEANINGS[name])
        own[parts, label] = counts[parts, label]
    return bool(counts[1:].any()) and bool((own == counts).all())


def _fit(counts: NDArray[np.int64], label: int, name: str) -> _Fit:
    """Returns the fit of a label: of two meanings that fit alike its own is the best one, or the first."""
    dice = {meaning: _dice(counts, parts, [label]) for meaning, parts in _MEANINGS.items() if counts[list(parts)].any()}
    own = dice.get(name, 0.0)
    best = max(dice, key=lambda meaning: (dice[meaning], meaning == name))
    return _Fit(label=label, meaning=name, dice=own, best=best, best_dice=dice[best])


def _dice(counts: NDArray[np.int64], true: Iterable[int], labels: Iterable[int]) -> float:
    true, labels = list(true), list(labels)
    total = int(counts[true].sum() + counts[:, labels].sum())
    return 2 * int(counts[np.ix_(true, labels)].sum()) / total if total else 0.0


def _covers_foreground(counts: NDArray[np.int64], fits: Sequence[_Fit]) -> bool:
    """Returns whether the labels that fit a structure best mark together what is no background.

    A network that has learned nothing, and gives everything one label, fits the background and nothing else.
    """
    labels = [fit.label for fit in fits if fit.best != "background"]
    return _dice(counts, range(1, len(TRUE_CLASSES)), labels) >= _COVERS


def _remedy(meanings: Mapping[int, str], classes: Sequence[str]) -> str:
    """Returns what to do: the flag that reads the labels so, or else the values that the files should have."""
    for scheme in (KITS19, LATERALITY):
        for cyst_as, flag in (("kidney", ""), ("class", " --cyst_as=class")):
            names = find_scheme(scheme.name, cyst_as).classes
            if all(label < len(names) and names[label] == name for label, name in meanings.items()):
                return f"--label_scheme={scheme.name}{flag} reads them so."
    has_sides = any(name in _OTHER_SIDE for name in meanings.values())
    target = find_scheme((LATERALITY if has_sides else KITS19).name, "class")
    parts = [
        f"{target.classes.index(name)} ({structure_text(name)}) where they have {label}"
        for label, name in meanings.items()
        if name in target.classes and target.classes.index(name) != label
    ]
    flag = f"; then give --label_scheme={target.name}" if "right_kidney" in classes or has_sides else ""
    return f"The files should have {', '.join(parts)}{flag}."
