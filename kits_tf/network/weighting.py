"""Weights of the classes, from how many voxels each has in the training cases."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def class_weights(case_voxels: ArrayLike, weighting: str, beta: float = 0.0) -> tuple[float, ...]:
    """Returns weights w_c that fall with the frequency of class c, their mean over all counted voxels 1.

    So the scale of a loss does not depend on the weighting. Before it is scaled, w_c is
        none: 1.
        inverse: 1 / f_c, with f_c the share of class c among all voxels; scaled, 1 / (C f_c) for C classes.
        square_root: 1 / sqrt(f_c).
        median_frequency: 1 / g_c, with g_c the share of class c in those cases that have it. Eigen and Fergus 2015,
            "Predicting depth, surface normals and semantic labels", ICCV, multiply by the median of all g_c, which
            scaling undoes.
        effective_number: (1 - beta) / (1 - beta ** n_c), with n_c the voxels of class c. Cui et al. 2019,
            "Class-balanced loss based on effective number of samples", CVPR. From "none" for beta 0 towards "inverse"
            for beta near 1.

    A class without voxels has weight 0.

    Args:
        case_voxels: (cases, classes), voxels of each class in each training case.
        weighting: one of those names.
        beta: of "effective_number", 0..1.

    Raises:
        ValueError: there is no voxel.
    """
    counts = np.asarray(case_voxels, np.float64)
    voxels = counts.sum(axis=0)
    if voxels.sum() <= 0:
        raise ValueError(f"case_voxels: expected at least one voxel, received: {counts.tolist()}")
    present = voxels > 0
    weights = np.zeros_like(voxels)
    weights[present] = _unscaled(counts[:, present], weighting, beta)
    return tuple((weights * voxels.sum() / (weights * voxels).sum()).tolist())


def _unscaled(counts: NDArray, weighting: str, beta: float) -> NDArray:
    voxels = counts.sum(axis=0)
    if weighting == "none":
        return np.ones_like(voxels)
    if weighting == "inverse":
        return 1 / voxels
    if weighting == "square_root":
        return 1 / np.sqrt(voxels)
    if weighting == "median_frequency":
        in_those_cases = ((counts > 0) * counts.sum(axis=1, keepdims=True)).sum(axis=0)
        return in_those_cases / voxels
    if weighting == "effective_number":
        # expm1 and log1p: beta ** n is too near 1 where beta is.
        return -1 / np.expm1(voxels * np.log1p(beta - 1)) if beta else np.ones_like(voxels)
    raise ValueError(f"weighting: expected one of those above, received: {weighting}")
