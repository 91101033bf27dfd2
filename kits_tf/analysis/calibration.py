"""Temperature scaling: one number that makes a run's probabilities as right as they claim to be.

Guo, Pleiss, Sun and Weinberger 2017, "On calibration of modern neural networks", arXiv:1706.04599.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from kits_tf.base.errors import InputError
from kits_tf.base.files import write_text
from kits_tf.base.paths import as_path
from kits_tf.base.progress import still_working, track
from kits_tf.config import InferenceSettings
from kits_tf.inference.building import build_segmenter
from kits_tf.inference.segmenter import Segmenter
from kits_tf.inference.sliding import merge_windows
from kits_tf.pipeline.case import Case
from kits_tf.pipeline.manifest import MANIFEST_NAME, Manifest
from kits_tf.training.run import CALIBRATION, Run
from tfrecords_tools.read import read_records

SPLIT = "validation"
VOXELS_PER_CASE = 100_000
NUM_BINS = 10
_LOWEST, _HIGHEST = 0.05, 20.0


@dataclass(frozen=True)
class Bin:
    """Voxels whose largest probability lies in a tenth of 0..1.

    Attributes:
        share: share of all voxels that lie in the bin.
        confidence: mean of their largest probability.
        accuracy: share of them whose label is right.
    """

    share: float
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class Reliability:
    """How far probabilities are right.

    Attributes:
        nll: mean negative log-likelihood of the true label, in nats.
        ece: expected calibration error, the mean over voxels of |confidence - accuracy| of their bin.
        bins: bins that hold a voxel, from low to high.
    """

    nll: float
    ece: float
    bins: tuple[Bin, ...]


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """A temperature, and the voxels that it was fitted to.

    Attributes:
        temperature: number that logits are divided by.
        num_cases: number of validation cases.
        num_voxels: number of voxels that are labeled or predicted as anything but background, VOXELS_PER_CASE a case at
            most: elsewhere a network is right without effort, and would hide what matters.
        before: reliability with temperature 1.
        after: reliability with the fitted temperature.
    """

    temperature: float
    num_cases: int
    num_voxels: int
    before: Reliability
    after: Reliability


def calibrate(run: Run, inference: InferenceSettings) -> Calibration:
    """Returns the temperature with the least negative log-likelihood on a run's validation records; the run keeps it.

    The whole grid of each record is segmented: of a cascade the first stage has no part in it.

    Raises:
        InputError: the records are gone or others than those of the training, or no voxel is labeled or predicted.
    """
    logits_of = _merged_logits(build_segmenter([run], replace(inference, coarse_model="")))
    logits, truth = [], []
    num_cases = len(run.manifest.splits[SPLIT])
    for case in track(_cases(run), "calibration on case", num_cases):
        if case.labels is not None:
            case_logits, case_truth = _sample(logits_of(case.hu).numpy(), case.labels)
            logits.append(case_logits)
            truth.append(case_truth)
    if not sum(map(len, truth)):
        raise InputError(
            f"{run.settings.run_dir}: expected a voxel that is labeled or predicted in its {num_cases} validation "
            "cases, found none: --nocalibrate exports without them"
        )
    with still_working("fitting the temperature"):
        calibration = fit_temperature(np.concatenate(logits), np.concatenate(truth), num_cases)
    write_text(Path(run.settings.run_dir) / CALIBRATION, json.dumps(asdict(calibration), indent=1) + "\n")
    return calibration


def fit_temperature(logits: NDArray[np.float32], truth: NDArray[np.uint8], num_cases: int) -> Calibration:
    """Returns the calibration of logits (voxels, classes) for true labels (voxels,), one voxel or more."""

    def nll(log_temperature: float) -> float:
        return _nll(_log_probabilities(logits, float(np.exp(log_temperature))), truth)

    bounds = (np.log(_LOWEST), np.log(_HIGHEST))
    minimum = minimize_scalar(nll, bounds=bounds, method="bounded", options={"xatol": 1e-4})
    temperature = float(np.exp(minimum.x))
    return Calibration(
        temperature=temperature,
        num_cases=num_cases,
        num_voxels=len(truth),
        before=reliability(_log_probabilities(logits, 1.0), truth),
        after=reliability(_log_probabilities(logits, temperature), truth),
    )


def reliability(log_probabilities: NDArray[np.float64], truth: NDArray[np.uint8]) -> Reliability:
    """Returns how far log-probabilities (voxels, classes) are right for true labels (voxels,)."""
    confidence = np.exp(log_probabilities.max(axis=1))
    is_right = log_probabilities.argmax(axis=1) == truth
    bin_index = np.minimum((confidence * NUM_BINS).astype(int), NUM_BINS - 1)
    bins = []
    for i in np.unique(bin_index):
        inside = bin_index == i
        bins.append(Bin(float(inside.mean()), float(confidence[inside].mean()), float(is_right[inside].mean())))
    ece = sum(part.share * abs(part.confidence - part.accuracy) for part in bins)
    return Reliability(_nll(log_probabilities, truth), ece, tuple(bins))


def _merged_logits(segmenter: Segmenter) -> Callable[[NDArray[np.int16]], tf.Tensor]:
    """Returns a function that gives the logits (z, y, x, classes) float32 of a scan (z, y, x) on the training grid."""

    @tf.function(input_signature=[tf.TensorSpec([None] * 3, tf.int16)], autograph=False)
    def logits_of(hu: tf.Tensor) -> tf.Tensor:
        return merge_windows(hu, segmenter.network, segmenter.plan.window)

    return logits_of


def _cases(run: Run) -> Iterator[Case]:
    records_dir = run.settings.records_dir
    _check_records(run)
    for path in run.manifest.shard_paths(SPLIT, records_dir):
        for record in read_records(path):
            yield Case.parse(record)


def _check_records(run: Run) -> None:
    """Raises InputError if the records of a run are not where it knows them, or others are."""
    folder = as_path(run.settings.records_dir)
    is_there = (folder / MANIFEST_NAME).is_file()
    if not is_there or Manifest.read(folder).shards != run.manifest.shards:
        raise InputError(
            f"{folder}: expected the records that {run.settings.run_dir} was trained on, found "
            f"{'others' if is_there else 'none'}; --records_dir names their folder, --nocalibrate exports without them"
        )


def _sample(logits: NDArray[np.float32], labels: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Returns logits (n, classes) and labels (n,) of what is labeled or predicted, drawn evenly, always the same."""
    voxels = np.flatnonzero((labels > 0) | (logits.argmax(axis=-1) > 0))
    if len(voxels) > VOXELS_PER_CASE:
        voxels = np.random.default_rng(0).choice(voxels, VOXELS_PER_CASE, replace=False)
    return logits.reshape(-1, logits.shape[-1])[voxels], labels.ravel()[voxels]


def _log_probabilities(logits: NDArray[np.float32], temperature: float) -> NDArray[np.float64]:
    return log_softmax(logits.astype(np.float64) / temperature, axis=1)


def _nll(log_probabilities: NDArray[np.float64], truth: NDArray[np.uint8]) -> float:
    return float(-np.take_along_axis(log_probabilities, truth[:, None].astype(int), axis=1).mean())
