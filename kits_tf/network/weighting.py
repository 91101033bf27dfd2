"""Weights of the classes, from their numbers of voxels in the training patches."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

# Weight of a class before it is scaled, from its number of voxels.
_UNSCALED: dict[str, Callable[[NDArray], NDArray]] = {
    "none": np.ones_like,
    "inverse": lambda voxels: 1 / voxels,
    "square_root": lambda voxels: 1 / np.sqrt(voxels),
}


@dataclass(frozen=True, kw_only=True)
class ClassBalance:
    """How much each class counts in a loss, and how often an untrained network should predict it.

    Attributes:
        weights: weight of each class in the cross-entropy, background first.
        shares: share of each class that an untrained network should predict; None for equal ones.
    """

    weights: tuple[float, ...]
    shares: tuple[float, ...] | None = None


def class_balance(voxels: NDArray, weighting: str, logit_adjustment: float) -> ClassBalance:
    """Returns the weights of the classes, and the shares that minimize their cross-entropy if every voxel looks alike.

    Args:
        voxels: (classes,), voxels of each class in the training patches.
        weighting: name of the weighting, as in `class_weights`.
        logit_adjustment: part of the weights that the loss takes back, 0..1.

    Raises:
        ValueError: there is no voxel.
    """
    weights = class_weights(voxels, weighting)
    left = 1 - logit_adjustment
    shares = [w**left * n for w, n in zip(weights, voxels.tolist(), strict=True)]
    return ClassBalance(weights=weights, shares=tuple(shares))


def class_weights(voxels: ArrayLike, weighting: str) -> tuple[float, ...]:
    """Returns weights w_c that fall with the frequency of class c, their mean over all counted voxels 1.

    So the scale of a loss does not depend on the weighting. Before it is scaled, w_c is
        none: 1.
        inverse: 1 / f_c, with f_c the share of class c among all voxels; scaled, 1 / (C f_c) for C classes.
        square_root: 1 / sqrt(f_c).

    A class without voxels has weight 0.

    Args:
        voxels: (classes,), voxels of each class in the training patches.
        weighting: none, inverse or square_root.

    Raises:
        ValueError: there is no voxel.
    """
    counts = np.asarray(voxels, np.float64)
    if counts.sum() <= 0:
        raise ValueError(f"voxels: expected at least one voxel, got {counts.tolist()}")
    present = counts > 0
    weights = np.zeros_like(counts)
    weights[present] = _UNSCALED[weighting](counts[present])
    return tuple((weights * counts.sum() / (weights * counts).sum()).tolist())
