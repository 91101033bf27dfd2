"""Whether labels of predicted masks mean something else than they were read as: good masks would be scored as bad."""

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kits_tf.analysis.mask_pair import region_dice
from kits_tf.base.words import structure_text

# Another reading is named where it is good, and better than the given one by so much. The mean Dice of all structures
# of a network that misses every tumor, or calls all of a large one kidney, is never both.
_GOOD, _GAIN = 0.55, 0.3
# A label is one of the kidneys where with the other's it fits both so well, has such a share of them, and is nearly
# nowhere in its own structure.
_GOOD_TOGETHER, _ONE_OF_TWO, _NEARLY_NOWHERE = 0.8, (0.38, 0.62), 0.1


def label_doubts(counts: Sequence[NDArray[np.int64]], classes: Sequence[str]) -> tuple[str, ...]:
    """Returns what speaks against the meaning that the labels of predicted masks were read with, in whole sentences.

    Args:
        counts: (classes, classes) voxel counts of [true label, predicted label] of each case, one at least.
        classes: names of the labels, background first.
    """
    if all(not of_case[~np.eye(len(classes), dtype=bool)].any() for of_case in counts):
        return ("Every mask equals the true one, voxel for voxel: were the true masks given as the predicted ones?",)
    pooled = np.sum(counts, axis=0)
    return _exchanged(pooled, classes) or _together(pooled, classes)


def _exchanged(counts: NDArray[np.int64], classes: Sequence[str]) -> tuple[str, ...]:
    """Returns whether the labels fit much better in another order."""
    labels = range(1, len(classes))
    true = [label for label in labels if counts[label].any()]
    orders = {
        order: np.mean([_dice(counts, label, order) for label in true]) for order in itertools.permutations(labels)
    }
    given, best = tuple(labels), max(orders, key=lambda order: orders[order])
    if orders[best] < _GOOD or orders[best] < orders[given] + _GAIN:
        return ()
    names = [structure_text(name) for name in classes]
    moved = [label for label in true if best[label - 1] != label and counts[:, best[label - 1]].any()]
    pairs = ", ".join(
        f"label {best[label - 1]}, read as {names[best[label - 1]]}, fits the true {names[label]}" for label in moved
    )
    return (
        f"The labels seem to mean something else: {pairs}. The mean Dice would be {orders[best]:.3f} instead of "
        f"{orders[given]:.3f}. --label_scheme says what labels mean.",
    )


def _dice(counts: NDArray[np.int64], label: int, order: Sequence[int]) -> float:
    """Returns the Dice of a true label and the predicted label that is in its place in an order."""
    predicted = order[label - 1]
    total = int(counts[label].sum() + counts[:, predicted].sum())
    return 2 * int(counts[label, predicted]) / total if total else 1.0


def _together(counts: NDArray[np.int64], classes: Sequence[str]) -> tuple[str, ...]:
    """Returns whether a label is a part of the kidneys that was read as a tumor, as the left one of two."""
    if "kidney" not in classes:
        return ()
    kidney = classes.index("kidney")
    for label in range(1, len(classes)):
        both = counts[kidney, [kidney, label]].sum()
        together = 2 * both / max(counts[kidney].sum() + counts[:, [kidney, label]].sum(), 1)
        share = counts[kidney, label] / max(counts[kidney].sum(), 1)
        is_nowhere = region_dice(counts, [label]) < _NEARLY_NOWHERE
        if is_nowhere and together > _GOOD_TOGETHER and _ONE_OF_TWO[0] < share < _ONE_OF_TWO[1]:
            return (
                f"The labels seem to mean something else: label {label}, read as {structure_text(classes[label])}, "
                f"covers {100 * share:.0f} % of the true kidneys: is it one of them? --label_scheme=laterality reads 1 "
                "as the right and 2 as the left kidney.",
            )
    return ()
