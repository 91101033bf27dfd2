"""Choosing a chain of post-processing: tried on the validation cases of a run, kept only where it surely helps."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kits_tf.analysis.case_scoring import read_truth
from kits_tf.analysis.evaluation import cases_of_split
from kits_tf.analysis.scores import COMPOSITE, class_score, dice_scores
from kits_tf.analysis.statistics import Difference, difference, finite_or_none
from kits_tf.base.errors import InputError
from kits_tf.base.files import write_text
from kits_tf.base.progress import track
from kits_tf.config import InferenceSettings
from kits_tf.ct.labels import Scheme
from kits_tf.inference.building import build_segmenter
from kits_tf.inference.own_settings import own_settings
from kits_tf.inference.postprocess import CRF, Context, apply_chain, parse_postprocess
from kits_tf.training.run import POSTPROCESS, load_run

_MASK_CHAINS = (
    "kidneys",
    "touch",
    "fill",
    "specks:0.5",
    "sides",
    "open:1",
    "close:2",
    "kidneys,touch",
    "kidneys,touch,fill",
    "kidneys,touch,fill,specks:0.1",
    "kidneys,touch,fill,specks:0.5",
    "kidneys,touch,fill,specks:0.5,sides",
)
CHAINS = ("", *_MASK_CHAINS, CRF, *(f"{CRF},{chain}" for chain in _MASK_CHAINS))
# With fewer paired differences not even a test that none of them contradicts finds anything at 5 %.
FEWEST_CASES = 6


@dataclass(frozen=True)
class ChainTrial:
    """A chain of post-processing, tried on the validation cases.

    Attributes:
        chain: text of the chain, in the form of --postprocess.
        mean: mean score over the cases; `case_score` defines it.
        gain: difference from the masks without post-processing.
    """

    chain: str
    mean: float
    gain: Difference


@dataclass(frozen=True)
class ChainChoice:
    """The outcome of trying all chains.

    Attributes:
        chain: the chain with the best mean of those whose gain has a 95 % interval above 0; "" if none has.
        trials: every chain of CHAINS.
    """

    chain: str
    trials: list[ChainTrial]


def choose_chain(run_dir: Path, data_dir: str | None, inference: InferenceSettings) -> ChainChoice:
    """Returns which chain helps a run, and writes it into the run's folder for evaluate, predict and export.

    Args:
        run_dir: folder of the run.
        data_dir: folder of scans and true masks; None for where convert found them.
        inference: settings of the segmentation, whose chain has no effect.

    Raises:
        InputError: the run cannot be used, or has fewer than FEWEST_CASES validation cases.
    """
    run, inference = load_run(run_dir), own_settings([run_dir], inference)
    cases = cases_of_split(run.manifest, "validation", data_dir or run.manifest.data_dir)
    if len(cases) < FEWEST_CASES:
        raise InputError(
            f"{run_dir}: --postprocess=auto: expected {FEWEST_CASES} validation cases or more, found {len(cases)}"
        )
    scheme, scores = run.manifest.scheme, np.empty((len(CHAINS), len(cases)))
    # CRF is part of the graph: two segmenters give the masks for all chains.
    models = {
        has_crf: build_segmenter([run], replace(inference, postprocess=CRF if has_crf else "off")).model()
        for has_crf in (False, True)
    }
    for column, files in enumerate(track(cases, "post-processing of case", len(cases))):
        image, truth = read_truth(files, scheme)
        context = Context(scheme, image.grid.spacing_mm, image.array)
        masks = {
            has_crf: replace(model, chain=(), accept_intensities=True).labels(image)
            for has_crf, model in models.items()
        }
        for row, text in enumerate(CHAINS):
            steps = parse_postprocess(text)
            labels = apply_chain(masks[steps.crf], context, steps.chain)
            scores[row, column] = case_score(truth, labels, scheme)
    choice = _best(scores)
    _write(run_dir / POSTPROCESS, choice)
    return choice


def case_score(truth: NDArray[np.uint8], predicted: NDArray[np.uint8], scheme: Scheme) -> float:
    """Returns the score of a case: the mean of KiTS19's composite and of the mean Dice over the scheme's classes.

    Unlike the composite alone, it counts kidneys of the wrong side.

    Args:
        truth: (z, y, x) uint8 labels of `scheme`.
        predicted: labels of the same shape and scheme.
        scheme: meaning of the labels.
    """
    values = dice_scores(truth, predicted, scheme)
    by_class = [values[class_score(class_name)] for class_name in scheme.classes[1:]]
    return (values[COMPOSITE] + float(np.mean(by_class))) / 2


def _best(scores: NDArray[np.float64]) -> ChainChoice:
    """Returns the choice by scores (chains, cases), of which the first row is without post-processing."""
    trials = [
        ChainTrial(chain, float(of_chain.mean()), difference("score", scores[0], of_chain))
        for chain, of_chain in zip(CHAINS, scores, strict=True)
    ]
    helpful = [trial for trial in trials if trial.gain.interval_95[0] > 0]
    best = max(helpful, key=lambda trial: trial.mean, default=None)
    return ChainChoice(best.chain if best else "", trials)


def _write(path: Path, choice: ChainChoice) -> None:
    rows = [
        {
            "chain": trial.chain,
            "mean": trial.mean,
            "gain": trial.gain.mean,
            "interval_95": [finite_or_none(end) for end in trial.gain.interval_95],
            "p_value": trial.gain.p_value,
        }
        for trial in choice.trials
    ]
    facts = {"chain": choice.chain, "validation_cases": choice.trials[0].gain.num_cases, "tried": rows}
    write_text(path, json.dumps(facts, indent=1) + "\n")
